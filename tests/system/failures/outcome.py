"""What a run comes to in a line: for the table in docs/reliability.md. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from tests.system.failures.history import CallKind, Flow, History


@dataclass(frozen=True, slots=True)
class Outcome:
    """`unanswered` calls went to brokers that were down. Datagrams are those of viewers on paths that lived.

    `rerouted_s` are the times from each path's loss to the first echo on the next.
    """

    name: str
    calls: int
    unavailable: int
    unanswered: int
    slowest_s: float
    sessions: int
    datagrams: int
    lost: int
    longest_gap_s: float
    rerouted_s: tuple[float, ...]


def outcome_of(name: str, history: History) -> Outcome:
    """From a whole history."""
    statuses = Counter(call.status for call in history.calls)
    took_s = [call.ended - call.began - call.wait_s for call in history.calls if call.status is not None]
    gaps_s = [cut.ended - cut.began for flow in history.flows for cut in flow.cuts]
    return Outcome(
        name=name,
        calls=len(history.calls),
        unavailable=statuses[503],
        unanswered=statuses[None],
        slowest_s=round(max(took_s, default=0), 2),
        sessions=len({call.session for call in history.calls if call.kind is CallKind.CREATE and call.session}),
        datagrams=sum(flow.sent for flow in history.flows),
        lost=sum(cut.lost for flow in history.flows for cut in flow.cuts),
        longest_gap_s=round(max(gaps_s, default=0), 2),
        rerouted_s=tuple(sorted(round(after_s, 2) for after_s in _rerouted(history.flows))),
    )


def _rerouted(flows: tuple[Flow, ...]) -> list[float]:
    by_session: dict[str, list[Flow]] = {}
    for flow in sorted(flows, key=lambda flow: flow.began):
        by_session.setdefault(flow.session, []).append(flow)
    return [after.began - before.ended for chain in by_session.values() for before, after in pairwise(chain)]
