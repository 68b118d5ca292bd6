"""How a session looks on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from operator import attrgetter

from broker.api.dialect import Dialect
from broker.core.catalog import Clocks
from broker.core.clocks import next_alarm
from broker.core.pauses import Pause
from broker.core.queue import Place
from broker.core.session import Session, State
from signaling.routes import Json

_CLOCKS = attrgetter(*Clocks.__slots__)
_CONDITIONS = {State.READY: "ready", State.ENDED: "failed"}


def stream_json(
    session: Session, dialect: Dialect, place: Place | None = None, *, pauses: Sequence[Pause] = ()
) -> dict[str, Json]:
    """A stream as the contract has it, and what this project adds; `place` is where it stands in its queue.

    In `pauses`, oldest first, no clock ran.
    """
    stream: dict[str, Json] = {"id": session.id}
    if session.state is State.READY:
        stream["routes"] = _routes(session, nested=dialect.nested)
    elif dialect.empty_while_pending:
        stream["routes"] = {}
    if place is not None:
        eta_s = None if place.eta_s is None else round(place.eta_s, 1)
        stream["queue"] = {"position": place.position, "eta_s": eta_s, "length": place.length}
    alarm = next_alarm(session, None, pauses)
    return stream | {
        "status": _status(session),
        "application": session.application,
        "version": session.version,
        "profile": session.profile,
        "owner": session.owner,
        "phase": session.phase.value if session.phase is not None else None,
        "created_at": rfc3339(session.created_at),
        "expires_at": rfc3339(session.expires_at) if session.expires_at is not None else None,
        "ends_at": rfc3339(alarm.at) if alarm is not None else None,
        "ends_reason": alarm.reason.value if alarm is not None else None,
        "ends_by_stop": alarm is not None and alarm.stops,
        "extended_s": session.extended_s,
        "clocks": clocks_json(session.clocks),
    }


def clocks_json(clocks: Clocks) -> dict[str, Json]:
    """Each clock's setting, as the catalog has it."""
    return dict(zip(Clocks.__slots__, _CLOCKS(clocks), strict=True))


def ended_json(session: Session) -> dict[str, Json]:
    """A session that has ended, with its reason."""
    reason = session.end_reason.value if session.end_reason is not None else None
    return {
        "detail": session.message,
        "id": session.id,
        "end_reason": reason,
        "ended_at": rfc3339(session.ended_at) if session.ended_at is not None else None,
        "status": _status(session),
    }


def rfc3339(at: float) -> str:
    """A time in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _status(session: Session) -> dict[str, Json]:
    condition = _CONDITIONS.get(session.state, "pending")
    return {"condition": condition, "message": session.message, "status": session.state is State.READY}


def _routes(session: Session, *, nested: bool) -> dict[str, Json]:
    """The relay's ports are `source_port`, the backend's `destination_port`."""
    route, host = session.route, session.relay_host
    if route is None or host is None:
        return {}
    entries: list[Json] = [
        _entry("signaling", "TCP", route.signaling_port, route.backend.signaling_port),
        _entry("media", "UDP", route.media_port, route.backend.media_port),
    ]
    return {host: {"routes": entries} if nested else entries}


def _entry(description: str, protocol: str, source_port: int, destination_port: int) -> dict[str, Json]:
    return {
        "description": description,
        "destination_port": destination_port,
        "protocol": protocol,
        "source_port": source_port,
    }
