"""What a rule says of a history that broke it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """`about` names a broker, a session, a key or a claim; `at` is when it showed, None: in the end."""

    rule: str
    about: str
    text: str
    at: float | None = None

    def __str__(self) -> str:
        return f"[{self.rule}] {self.about}: {self.text}" + ("" if self.at is None else f" (at {self.at:.2f})")
