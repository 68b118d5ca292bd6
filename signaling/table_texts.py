"""How the route table's values are written in Redis, and how they are read back: what makes no sense is set aside."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from signaling.core.route_mirror import Announced
from signaling.fields import Json
from signaling.redis_link import Reply
from signaling.routes import RelayInfo, RelayLoad, Route, RouteReport
from signaling.tokens import AdmissionKey

logger = logging.getLogger(__name__)

_MOST_REMEMBERED = 1000


class _Writable(Protocol):
    def to_json(self) -> dict[str, Json]: ...


Value = TypeVar("Value", bound=_Writable)


class _Readable(Protocol[Value]):  # type: ignore[misc]
    def from_json(self, value: Json) -> Value: ...


def written(value: _Writable) -> str:
    """One spelling for each value, so that equal ones can be told by it."""
    return json.dumps(value.to_json(), separators=(",", ":"), sort_keys=True)


def route_written(route: Route) -> str:
    """As brokers keep it: without the record."""
    return written(replace(route, record=""))


def announcement_written(info: RelayInfo) -> tuple[str, str]:
    """The announcement without its load, and the load."""
    return written(replace(info, load=RelayLoad())), written(info.load)


def keys_written(keys: Sequence[AdmissionKey]) -> str:
    """The keys of admission tokens."""
    return json.dumps([key.to_json() for key in keys], separators=(",", ":"))


class Texts:
    """Reads values; each that makes no sense is logged once and counted, and the rest goes on."""

    def __init__(self) -> None:
        self._unreadable: dict[str, None] = {}
        self.set_aside = 0

    def route(self, key: str, text: bytes) -> Route | None:
        """A route; None where it is none, or is not the key's."""
        route = self._read(Route, "route", key, text)
        return route if route is not None and self._is_of("route", key, route.session_id) else None

    def report(self, key: str, text: bytes) -> RouteReport | None:
        """A report; None where it is none."""
        report = self._read(RouteReport, "report", key, text)
        return report if report is not None and self._is_of("report", key, report.session_id) else None

    def relay(self, key: str, text: bytes) -> Announced | None:
        """An announcement; None where it is none."""
        try:
            until, load, announcement = text.split(b"\n", 2)
            info = replace(RelayInfo.from_json(_json(announcement)), load=RelayLoad.from_json(_json(load)))
            announced = Announced(info, int(until) / 1000)
        except (ValueError, RecursionError) as error:
            self._complain("relay", key, error)
            return None
        return announced if self._is_of("relay", key, info.id) else None

    def where(self, announcement: bytes) -> str:
        """Where clients find the relay that was announced so."""
        info = self._read(RelayInfo, "relay", "", announcement)
        return "somewhere" if info is None else f"{info.host}, ports {info.ports.lo}-{info.ports.hi}"

    def keys(self, text: bytes) -> tuple[AdmissionKey, ...] | None:
        """The keys of admission tokens; None where they are none."""
        try:
            value = _json(text)
            if not isinstance(value, list):
                raise ValueError("they must be a list")
            return tuple(AdmissionKey.from_json(key) for key in value)
        except (ValueError, RecursionError) as error:
            self._complain("keys", "", error)
            return None

    def epoch(self, reply: Reply) -> str | None:
        """The name of the data's present life; None where it has none that can be read."""
        if not isinstance(reply, bytes):
            return None
        try:
            value = _json(reply)
            if isinstance(value, Mapping) and isinstance(value.get("id"), str):
                return str(value["id"])
            raise ValueError("it has no id")
        except (ValueError, RecursionError) as error:
            self._complain("epoch", "", error)
            return None

    def _read(self, kind: _Readable[Value], what: str, key: str, text: bytes) -> Value | None:
        try:
            return kind.from_json(_json(text))
        except (ValueError, RecursionError) as error:
            self._complain(what, key, error)
            return None

    def _is_of(self, what: str, key: str, named: str) -> bool:
        if named != key:
            self._complain(what, key, "it names another")
        return named == key

    def _complain(self, what: str, key: str, error: object) -> None:
        self.set_aside += 1
        name = f"{what} {key[:100]!r}"
        if name not in self._unreadable and len(self._unreadable) < _MOST_REMEMBERED:
            self._unreadable[name] = None
            logger.warning("the route table holds a %s that makes no sense, it is set aside: %s", name, error)


def _json(text: bytes) -> Json:
    value: Json = json.loads(text)
    return value


def name_of(reply: Reply) -> str:
    """A name that Redis said."""
    return reply.decode(errors="replace") if isinstance(reply, bytes) else ""


def number_of(reply: Reply) -> int:
    """A number that Redis said; -1 where it is none."""
    if isinstance(reply, int):
        return reply
    return int(reply) if isinstance(reply, bytes) and reply.isdigit() else -1


def items_of(reply: Reply) -> list[Reply]:
    """What Redis said as an array; nothing where it is none."""
    return list(reply) if isinstance(reply, Sequence) and not isinstance(reply, bytes) else []


def pairs_of(reply: Reply) -> Iterator[tuple[str, bytes]]:
    """Names and values of what Redis said as a flat array."""
    items = items_of(reply)
    for name, value in zip(items[::2], items[1::2], strict=False):
        if isinstance(value, bytes):
            yield name_of(name), value


def entries_of(reply: Reply) -> Iterable[tuple[str, Mapping[str, bytes]]]:
    """Ids and fields of a stream's entries."""
    for entry in items_of(reply):
        match items_of(entry):
            case [entry_id, fields]:
                yield name_of(entry_id), dict(pairs_of(fields))
