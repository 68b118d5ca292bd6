"""Sessions and events as JSON, for what outlives the process that wrote them.

Fields that have their default are left out and unknown ones are passed over, so brokers of neighbouring versions read
each other's sessions. It follows that a default in `Session`, or in what lies in it, is part of what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from pydantic import TypeAdapter

from broker.core.events import EventDraft
from broker.core.session import Session


def dump_session(session: Session) -> bytes:
    """JSON in one line, with the session's secrets. Raises ValueError for text that is no Unicode."""
    return _sessions().dump_json(session, exclude_defaults=True)


def load_session(text: bytes) -> Session:
    """Read `dump_session`'s text; raises ValueError for anything that is no session."""
    return _sessions().validate_json(text)


def dump_events(events: Sequence[EventDraft]) -> bytes:
    """JSON in one line. Raises ValueError for text that is no Unicode."""
    return _events().dump_json(tuple(events))


def load_events(text: bytes) -> tuple[EventDraft, ...]:
    """Read `dump_events`' text; raises ValueError."""
    return _events().validate_json(text)


@cache
def _sessions() -> TypeAdapter[Session]:
    return TypeAdapter(Session)


@cache
def _events() -> TypeAdapter[tuple[EventDraft, ...]]:
    return TypeAdapter(tuple[EventDraft, ...])
