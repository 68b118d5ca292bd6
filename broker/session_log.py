"""What is logged of sessions while they converge."""

from __future__ import annotations

import logging

from broker.core.session import Session, State
from broker.errors import StoreUnavailable
from signaling.errors import Deposed, TableUnavailable

logger = logging.getLogger(__name__)


def tell_of_move(before: Session, after: Session) -> None:
    """Log how a session moved on."""
    extra = {"session": after.id, "profile": after.profile, "application": after.application}
    if after.state is State.ENDED and before.state is not State.ENDED:
        reason = after.end_reason.value if after.end_reason is not None else ""
        logger.info("session %s ended (%s): %s", after.id, reason, after.message, extra=extra)
    elif (before.state, before.phase) != (after.state, after.phase):
        logger.info("session %s is %s", after.id, after.phase or after.state, extra=extra)


def tell_of_trouble(session_id: str, error: Exception) -> None:
    """A session did not converge, and is tried again."""
    extra = {"session": session_id}
    if isinstance(error, StoreUnavailable | TableUnavailable | Deposed):
        # Of all sessions alike, and told once by who follows store, table and lease.
        logger.debug("a session did not converge and is tried again: %r", error, extra=extra)
    else:
        logger.error("a session did not converge and is tried again", exc_info=error, extra=extra)
