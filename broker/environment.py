"""Variables of the environment that look like settings of ours and are none: most often a slip of the pen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from pydantic import BaseModel

from broker.configuration import model_in
from broker.settings import CONFIG_VARIABLE, NESTING, PREFIX

_OTHERS = ("TOKEN", "URL")
"""What the command line's client reads."""

_BACKENDS = (
    *("ARG_", "BACKEND_HOST", "CONTROL_", "ENCODER", "MAX_BITRATE", "MEDIA_PORT", "NODE_TOKEN", "SIGNALING_PORT"),
    *("SLOT", "USD_", "VIDEO"),
)
"""How those begin that streaming backends read: they inherit the environment."""


def strange_variables(model: type[BaseModel], environment: Iterable[str]) -> Iterator[str]:
    """A warning about each name that begins as settings do and that nobody reads, with the one that may be meant."""
    known = dict(_names(model, PREFIX))
    others = (CONFIG_VARIABLE, *(PREFIX + name for name in _OTHERS))
    for name in sorted(set(environment)):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in known or upper in others:
            continue
        if upper.startswith(tuple(PREFIX + start for start in _BACKENDS)):
            continue
        if any(is_open and upper.startswith(start + NESTING) for start, is_open in known.items()):
            continue
        near = get_close_matches(upper, [*known, *others], n=1, cutoff=0.75)
        yield f"{name} is no setting and is not read" + (f"; did you mean {near[0]}?" if near else "")


def _names(model: type[BaseModel], before: str) -> Iterator[tuple[str, bool]]:
    """Each setting's variable, and whether further names may follow below it, as below a table of free keys."""
    for name, field in model.model_fields.items():
        variable, inner = before + name.upper(), model_in(field.annotation)
        is_table = str(field.annotation).startswith(("dict", "collections.abc.Mapping"))
        yield variable, is_table
        if inner is not None and not is_table:
            yield from _names(inner, variable + NESTING)
