"""Reads a JSON object field by field; every complaint names object and field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import isfinite
from typing import TypeVar

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]

Member = TypeVar("Member", bound=StrEnum)


class Fields:
    """One JSON object, called `what` in complaints; raises ValueError."""

    def __init__(self, value: Json, what: str) -> None:
        if not isinstance(value, Mapping):
            raise ValueError(f"{what} must be a JSON object")
        self._value = value
        self._what = what

    def get(self, name: str) -> Json:
        """The field as it is; it may be null, but not missing."""
        if name not in self._value:
            raise ValueError(f"{self._what}.{name} is missing")
        return self._value[name]

    def has(self, name: str) -> bool:
        """Whether the field is there."""
        return name in self._value

    def text(self, name: str) -> str:
        """A string."""
        value = self.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a string")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        value = self.get(name)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self._wrong(name, "a list of strings")
        texts = tuple(item for item in value if isinstance(item, str))
        if len(texts) < len(value):
            raise self._wrong(name, "a list of strings")
        return texts

    def integer(self, name: str) -> int:
        """A whole number."""
        value = self.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "an integer")
        return value

    def number(self, name: str) -> float:
        """A number, finite."""
        value = self.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
            raise self._wrong(name, "a number")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.get(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def time(self, name: str) -> float | None:
        """Seconds, or null."""
        value = self.get(name)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise self._wrong(name, "a time in seconds or null")
        return value

    def optional_time(self, name: str) -> float | None:
        """Seconds, null or nothing."""
        return self.time(name) if self.has(name) else None

    def member(self, name: str, kind: type[Member]) -> Member:
        """A value of this enum."""
        value = self.get(name)
        try:
            return kind(value)  # type: ignore[arg-type]
        except ValueError:
            raise self._wrong(name, "one of " + ", ".join(kind)) from None

    def _wrong(self, name: str, wanted: str) -> ValueError:
        return ValueError(f"{self._what}.{name} must be {wanted}")
