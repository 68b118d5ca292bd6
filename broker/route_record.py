"""What a route's relay keeps of its session, for the day on which the store's data are lost."""

from __future__ import annotations

import logging
from dataclasses import replace

from broker.core.session import Session, evolved
from broker.stores.session_json import dump_session, load_session
from signaling.routes import RECORD_MAX_BYTES, Route

logger = logging.getLogger(__name__)


def recorded(route: Route, session: Session) -> Route:
    """The route with the session's record in it; where that is too long, without what can be done without."""
    text = dump_session(session)
    if len(text) > RECORD_MAX_BYTES:
        text = dump_session(evolved(session, handled=(), grants=(), labels={}, message=""))
    if len(text) > RECORD_MAX_BYTES:
        logger.warning("the session is too long to be kept with its route", extra={"session": session.id})
        text = b""
    return replace(route, record=text.decode())


def session_of(route: Route) -> Session | None:
    """The session in a route's record; None where there is none, or none that can be read."""
    try:
        session = load_session(route.record.encode())
    except ValueError:
        logger.warning("the record of a route cannot be read", extra={"session": route.session_id})
        return None
    return session if session.id == route.session_id else None


def durable_part(session: Session) -> tuple[object, ...]:
    """What of a session its record has to follow when it changes, besides its route."""
    return (session.state, session.expires_at, session.extended_s, session.grants, session.labels)
