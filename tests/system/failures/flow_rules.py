"""Rules on viewers' datagrams: what could live was not cut, and what lost its relay came back in time. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tests.system.failures.excuses import Excuses
from tests.system.failures.history import Flow, History, Part
from tests.system.failures.violation import Violation


def cuts(history: History, excuses: Excuses) -> Iterator[Violation]:
    """Datagrams pass as long as their relay and their backend's node live, whatever else fails."""
    bounds = excuses.bounds
    for flow in history.flows:
        for cut in flow.cuts:
            if cut.lost < bounds.cut_lost or cut.ended - cut.began < bounds.cut_s:
                continue
            if not _stood_on_what_failed(flow, excuses, cut.began - 1, cut.ended):
                text = (
                    f"{cut.lost} datagrams in a row lost in {cut.ended - cut.began:.1f} s on {flow.relay}, {flow.node}"
                )
                yield Violation("cut", flow.session, text, cut.began)


def broken_chains(history: History, excuses: Excuses) -> Iterator[Violation]:
    """A viewer that lost its path did so for a reason, and had another in time."""
    by_session: dict[str, list[Flow]] = {}
    for flow in sorted(history.flows, key=lambda flow: flow.began):
        by_session.setdefault(flow.session, []).append(flow)
    for session, flows in by_session.items():
        for flow, following in pairwise(flows):
            if not _stood_on_what_failed(flow, excuses, flow.ended - 1, flow.ended + 1):
                yield Violation("cut", session, f"its signaling on {flow.relay} was closed", flow.ended)
            due = excuses.all_there_from(flow.ended) + excuses.bounds.reroute_s
            if following.began > due:
                took_s = following.began - flow.ended
                yield Violation("slow", session, f"had another path only after {took_s:.1f} s", flow.ended)
        last = flows[-1]
        if not last.left and not _may_stay_away(session, last, excuses):
            yield Violation("cut", session, f"lost its path on {last.relay} and never had another", last.ended)


def _stood_on_what_failed(flow: Flow, excuses: Excuses, began: float, ended: float) -> bool:
    parts = ((Part.RELAY, flow.relay), (Part.NODE, flow.node), (Part.BACKEND, flow.session))
    return any(excuses.during(part, name, began, ended) for part, name in parts)


def _may_stay_away(session: str, flow: Flow, excuses: Excuses) -> bool:
    """Its session was deleted or lost, or its backend went before another path was due."""
    due = excuses.all_there_from(flow.ended) + excuses.bounds.reroute_s
    return (
        excuses.delete_began_before(session)
        or excuses.may_be_lost(session)
        or excuses.during(Part.NODE, flow.node, flow.ended - 15, due)
        or excuses.during(Part.BACKEND, session, flow.ended - 15, due)
    )
