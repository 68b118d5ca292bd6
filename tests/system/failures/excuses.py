"""What outages and losses of data explain: the one place that says how far a promise goes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from tests.system.failures.history import Call, CallKind, DataLoss, History, Outage, Part

_ENDED_WITH_ITS_BACKEND = ("node_lost", "backend_failed", "start_timeout")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long what may take.

    `answer_s`: an answer. `recover_s`: 503 may still come after the store is back. `reroute_s`: a viewer's way onto
    another relay once broker, store and relay are there. `cut_s`, `cut_lost`: a shorter or smaller gap is no cut.
    """

    answer_s: float = 5
    recover_s: float = 5
    reroute_s: float = 10
    cut_s: float = 1
    cut_lost: int = 10


class Excuses:
    """Asked by the rules."""

    def __init__(self, history: History, bounds: Bounds) -> None:
        self.bounds = bounds
        self._outages = history.outages
        self._losses = history.losses
        self.acknowledged = _first(call for call in history.calls if call.session and call.kind is CallKind.CREATE)
        self._nodes: dict[str, set[str]] = {}
        for flow in history.flows:
            self._nodes.setdefault(flow.session, set()).add(flow.node)
        self._ready_at = _first(call for call in history.calls if call.session and call.ready)
        self._deletes: dict[str, list[Call]] = {}
        for call in history.calls:
            if call.kind is CallKind.DELETE and call.session is not None:
                self._deletes.setdefault(call.session, []).append(call)

    def during(self, part: Part, name: str | None, began: float, ended: float) -> bool:
        """Whether such a part was out at any time between; any of its kind where no name is given."""
        return any(
            outage.part is part and name in (None, outage.name) and outage.began <= ended and outage.ended >= began
            for outage in self._outages
        )

    def broker_was_down(self, call: Call) -> bool:
        """Whether the broker was killed, frozen or not yet up while it was asked."""
        return self.during(Part.BROKER, call.broker, call.began, call.ended)

    def store_was_away(self, call: Call) -> bool:
        """Whether the broker could not reach its store, was just getting over that, or was stopping."""
        since = call.began - self.bounds.recover_s
        return (
            self.during(Part.STORE, None, since, call.ended)
            or self.during(Part.BROKERS_WAY, call.broker, since, call.ended)
            or self.during(Part.BROKER, call.broker, since, call.ended)
        )

    def delete_began_before(self, session: str, at: float = inf, *, besides: Call | None = None) -> bool:
        """Whether anybody had asked for its delete by then, in another call than this."""
        return any(call.began < at and call is not besides for call in self._deletes.get(session, ()))

    def deleted_at(self, session: str) -> float | None:
        """When its delete was acknowledged."""
        return min((call.ended for call in self._deletes.get(session, ()) if call.status == 204), default=None)

    def may_be_lost(self, session: str, by: float = inf) -> bool:
        """Whether a loss of data by that time reached the session."""
        return any(loss.went <= by and self._reaches(loss, session) for loss in self._losses)

    def delete_may_be_lost(self, session: str) -> bool:
        """Whether its delete was written so shortly before a loss of data that it may be undone."""
        deleted_at = self.deleted_at(session)
        return deleted_at is not None and any(
            loss.went - loss.window_s <= deleted_at <= loss.at for loss in self._losses
        )

    def may_end(self, session: str, reason: str | None, by: float = inf) -> bool:
        """Whether something was seen to fail that ends sessions for this reason, or somebody deleted it."""
        if reason == "deleted":
            return self.delete_began_before(session, by)
        if reason not in _ENDED_WITH_ITS_BACKEND:
            return False
        if self._delete_was_undone(session):
            return True  # its backend was given back
        nodes: Iterable[str | None] = self._nodes.get(session, (None,))
        return self.during(Part.BACKEND, session, 0, by) or any(self.during(Part.NODE, node, 0, by) for node in nodes)

    def _delete_was_undone(self, session: str) -> bool:
        """Whether a delete, answered or not, may have been carried out and then lost."""
        began = [call.began for call in self._deletes.get(session, ()) if call.status in (204, None)]
        return any(loss.went - loss.window_s <= at <= loss.at for loss in self._losses for at in began)

    def all_there_from(self, at: float) -> float:
        """When, from then on, everything that a reroute needs was there for as long as one takes."""
        parts = (Part.STORE, Part.BROKERS_WAY, Part.RELAYS_WAY, Part.BROKER)
        outages = sorted((outage for outage in self._outages if outage.part in parts), key=_began)
        for outage in outages:
            if outage.ended > at and outage.began <= at + self.bounds.reroute_s:
                at = outage.ended
        return at

    def _reaches(self, loss: DataLoss, session: str) -> bool:
        acknowledged = self.acknowledged.get(session, inf)
        if loss.went - loss.window_s <= acknowledged <= loss.at:
            return True
        return loss.queue_too and self._ready_at.get(session, inf) > loss.went - loss.window_s


def _began(outage: Outage) -> float:
    return outage.began


def _first(calls: Iterable[Call]) -> dict[str, float]:
    """When each session was first spoken of by one of these answers."""
    first: dict[str, float] = {}
    for call in calls:
        if call.session is not None:
            first[call.session] = min(first.get(call.session, inf), call.ended)
    return first
