"""What happened lately, minute by minute: sessions created, ended by reason, and how many lived and waited."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from broker.core.ledger import is_waiting
from broker.core.session import EndReason, Session, State

STEP_S = 60.0
STEPS = 60


@dataclass(slots=True)
class Step:
    """One minute. `most_live` and `most_queued` are the most there were at once."""

    begins: float
    created: int = 0
    ended: Counter[EndReason] = field(default_factory=Counter)
    most_live: int = 0
    most_queued: int = 0


class History:
    """The last hour, as far as writes were seen."""

    def __init__(self) -> None:
        self._steps: deque[Step] = deque(maxlen=STEPS)
        self._live: set[str] = set()
        self._queued: set[str] = set()

    def session_written(self, before: Session | None, after: Session) -> None:
        """Note what a write did: as `Store.listen` wants it, of this broker and of others.

        What was there before this broker began is neither created nor ended now, though it was not known before.
        """
        step = self._step(after.updated_at)
        if before is None and after.revision <= 1:
            step.created += 1
        if before is not None and after.state is State.ENDED and before.state is not State.ENDED:
            step.ended[after.end_reason or EndReason.DELETED] += 1
        _keep(self._live, after.id, after.state is not State.ENDED)
        _keep(self._queued, after.id, is_waiting(after))
        step.most_live = max(step.most_live, len(self._live))
        step.most_queued = max(step.most_queued, len(self._queued))

    def steps(self, now: float) -> Sequence[Step]:
        """The minutes up to now, oldest first; never more than an hour."""
        self._step(now)
        return tuple(self._steps)

    def _step(self, at: float) -> Step:
        """The minute of this time; those that passed in silence are as the last one ended."""
        begins = at - at % STEP_S
        if not self._steps or begins > self._steps[-1].begins + STEPS * STEP_S:
            self._steps.clear()
            self._steps.append(self._quiet(begins))
        while self._steps[-1].begins < begins:
            self._steps.append(self._quiet(self._steps[-1].begins + STEP_S))
        return self._steps[-1]

    def _quiet(self, begins: float) -> Step:
        return Step(begins, most_live=len(self._live), most_queued=len(self._queued))


def _keep(known: set[str], session_id: str, belongs: bool) -> None:
    if belongs:
        known.add(session_id)
    else:
        known.discard(session_id)
