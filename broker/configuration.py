"""What an administrator wrote wrongly, told in one line: where it stands, which key, what to write instead."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ValidationError

from broker.errors import BrokerError

_PLAIN = {
    "missing": "is missing: add it",
    "string_type": "must be a text in quotes",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "path_type": "must be a path in quotes",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
}


@dataclass(eq=False)
class ConfigurationError(BrokerError):
    """A wrong setting or catalog. `source` is a file, a variable or an option; `key` may be empty."""

    source: str
    key: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.source, self.key, self.reason) if part)


def read_toml(path: Path) -> dict[str, object]:
    """A TOML file's content. Raises ConfigurationError."""
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigurationError(str(path), "", f"cannot be read ({error.strerror}): name a file that can") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(str(path), "", "is not UTF-8 text: save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(str(path), "", f"is not TOML: {error}") from error


def first_problem(error: ValidationError, model: type[BaseModel]) -> tuple[tuple[str | int, ...], str]:
    """Where the first fault stands, and what is wrong with it, as people say it."""
    found = error.errors(include_url=False)[0]
    loc, kind = tuple(found["loc"]), found["type"]
    if kind == "extra_forbidden":
        return loc, _unknown_key(str(loc[-1]), _keys_at(model, loc[:-1]))
    return loc, _PLAIN.get(kind) or found["msg"].removeprefix("Value error, ")


def dotted(loc: Sequence[str | int]) -> str:
    """A key as TOML writes it, as far as one can."""
    return ".".join(f'"{part}"' if "." in str(part) else str(part) for part in loc)


def _unknown_key(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    mend = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return f"there is no such key; {mend}" if known else "there is no such key"


def _keys_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The keys that a model, or a model within it, has."""
    for part in loc:
        if not (isinstance(part, str) and part in model.model_fields):
            continue
        inner = model_in(model.model_fields[part].annotation)
        if inner is None:
            return []
        model = inner
    return sorted(model.model_fields)


def model_in(annotation: object) -> type[BaseModel] | None:
    """The first model that an annotation speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := model_in(argument)) is not None:
            return found
    return None


def flattened(table: Mapping[str, object], prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Every key of a table and of the tables in it."""
    keys = set()
    for name, value in table.items():
        keys.add((*prefix, name))
        if isinstance(value, Mapping):
            keys |= flattened(value, (*prefix, name))
    return keys
