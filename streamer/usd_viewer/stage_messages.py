"""The messages that the USD viewer hears (docs/protocol.md §2), parsed and bounds-checked. Pure.

Names and fields of the first group are those of Kit's USD viewer template, so that its clients work unchanged.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streamer.source import JsonObject

MAX_URL_CHARACTERS = 4096
MAX_PATH_CHARACTERS = 4096
MAX_FILTERS = 16
MAX_TIME_S = 1e6


class BadMessage(ValueError):
    """A message of ours whose payload does not fit; the text names the field."""


@dataclass(frozen=True, slots=True)
class OpenStage:
    """`openStageRequest`"""

    url: str


@dataclass(frozen=True, slots=True)
class AskLoadingState:
    """`loadingStateQuery`"""


@dataclass(frozen=True, slots=True)
class GetChildren:
    """`getChildrenRequest`; `filters` None lets every child through."""

    prim_path: str
    filters: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class SelectPrims:
    """`selectPrimsRequest`; no path for nothing."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MakePickable:
    """`makePrimsPickable`"""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResetStage:
    """`resetStage`"""


@dataclass(frozen=True, slots=True)
class FramePrims:
    """`framePrimsRequest`; None for what is selected, no path for everything."""

    paths: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class SetTimeline:
    """`timelineRequest`; None leaves as it is, so that the empty message only asks."""

    playing: bool | None
    time_s: float | None


@dataclass(frozen=True, slots=True)
class SetView:
    """`viewOptionsRequest`; None leaves as it is, so that the empty message only asks."""

    turntable: bool | None
    wireframe: bool | None


StageMessage = (
    OpenStage
    | AskLoadingState
    | GetChildren
    | SelectPrims
    | MakePickable
    | ResetStage
    | FramePrims
    | SetTimeline
    | SetView
)


def parse_message(event_type: str, payload: JsonObject) -> StageMessage | None:
    """The message that this is, None for one of another application. Raises BadMessage."""
    parse = _PARSERS.get(event_type)
    return None if parse is None else parse(payload)


def _open_stage(payload: JsonObject) -> OpenStage:
    return OpenStage(_text(payload, "url", MAX_URL_CHARACTERS))


def _get_children(payload: JsonObject) -> GetChildren:
    filters = payload.get("filters")
    if filters is None:
        return GetChildren(_path(payload.get("prim_path"), "prim_path"), None)
    if not isinstance(filters, list) or len(filters) > MAX_FILTERS:
        raise BadMessage(f"filters must be a list of at most {MAX_FILTERS} names")
    chosen = tuple(name for name in filters if isinstance(name, str))
    if len(chosen) != len(filters):
        raise BadMessage("filters must be names")
    return GetChildren(_path(payload.get("prim_path"), "prim_path"), chosen)


def _frame_prims(payload: JsonObject) -> FramePrims:
    return FramePrims(None if payload.get("paths") is None else _paths(payload))


def _set_timeline(payload: JsonObject) -> SetTimeline:
    time_s = payload.get("time")
    if time_s is None:
        return SetTimeline(_flag(payload, "playing"), None)
    if isinstance(time_s, bool) or not isinstance(time_s, int | float):
        raise BadMessage("time must be a number of seconds")
    if not 0 <= time_s <= MAX_TIME_S or not math.isfinite(time_s):
        raise BadMessage(f"time must be from 0 to {MAX_TIME_S:g} seconds")
    return SetTimeline(_flag(payload, "playing"), float(time_s))


def _set_view(payload: JsonObject) -> SetView:
    return SetView(_flag(payload, "turntable"), _flag(payload, "wireframe"))


_PARSERS: Mapping[str, Callable[[JsonObject], StageMessage]] = {
    "openStageRequest": _open_stage,
    "loadingStateQuery": lambda payload: AskLoadingState(),
    "getChildrenRequest": _get_children,
    "selectPrimsRequest": lambda payload: SelectPrims(_paths(payload)),
    "makePrimsPickable": lambda payload: MakePickable(_paths(payload)),
    "resetStage": lambda payload: ResetStage(),
    "framePrimsRequest": _frame_prims,
    "timelineRequest": _set_timeline,
    "viewOptionsRequest": _set_view,
}


def _text(payload: JsonObject, name: str, limit: int) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or len(value) > limit:
        raise BadMessage(f"{name} must be a text of at most {limit} characters")
    return value


def _flag(payload: JsonObject, name: str) -> bool | None:
    value = payload.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadMessage(f"{name} must be true or false")
    return value


def _paths(payload: JsonObject) -> tuple[str, ...]:
    """The list `paths`; missing or null is none, as Kit takes it."""
    value = payload.get("paths")
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadMessage("paths must be a list of prim paths")
    return tuple(dict.fromkeys(_path(path, "paths") for path in value))


def _path(value: object, name: str) -> str:
    """An absolute prim path, without the slash that some write at its end."""
    if not isinstance(value, str) or len(value) > MAX_PATH_CHARACTERS or not value.isprintable():
        raise BadMessage(f"{name} must hold printable prim paths of at most {MAX_PATH_CHARACTERS} characters")
    if not value.startswith("/") or "//" in value:
        raise BadMessage(f"{name} must hold absolute prim paths, such as /World/Box")
    return value.rstrip("/") or "/"
