"""Sessions made anew out of what brokers and relays still know, after the store's data were lost. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from broker.core.clocks import REPORT_LAG_S
from broker.core.session import READABLE_AFTER_END_S, Session, State, evolved


def newest(*known: Iterable[Session]) -> list[Session]:
    """Of each session the latest that anybody knows, those first that came first."""
    found: dict[str, Session] = {}
    for sessions in known:
        for session in sessions:
            if session.id not in found or session.revision > found[session.id].revision:
                found[session.id] = session
    return sorted(found.values(), key=lambda session: (session.created_at, session.id))


def is_worth_restoring(session: Session, now: float) -> bool:
    """Whether anybody may still ask for it."""
    return session.ended_at is None or now < session.ended_at + READABLE_AFTER_END_S


def restored(session: Session, now: float) -> Session:
    """The session as it goes on: nobody is judged by the time in which nothing was known."""
    if session.state is State.ENDED:
        return session
    pending = session.state is State.PENDING
    return evolved(
        session,
        pending_since=max(session.pending_since, now) if pending else session.pending_since,
        placed_at=now if pending and session.placed_at is not None else session.placed_at,
        relay_missing_since=None,
        unheard_since=None,
        kept_until=max(session.kept_until or 0.0, now + session.clocks.reconnect_grace_s + REPORT_LAG_S),
        updated_at=now,
    )
