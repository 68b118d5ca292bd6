"""What a write did to a session, in an audit's words: who created, ended, stopped, started, extended or edited it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from broker.core.principal import ITSELF
from broker.core.session import EndReason, Session, State


class ActKind(StrEnum):
    """What was done. `GRANT`: leave to connect was given or taken back."""

    CREATE = "create"
    END = "end"
    STOP = "stop"
    START = "start"
    EXTEND = "extend"
    GRANT = "grant"
    EDIT = "edit"


@dataclass(frozen=True, slots=True)
class Act:
    """One thing done to one session. `by` is a principal's name: the broker's own where no caller asked for it."""

    kind: ActKind
    session_id: str
    owner: str
    by: str
    detail: Mapping[str, str | int | float] = field(default_factory=dict)


def acts_between(before: Session | None, after: Session) -> tuple[Act, ...]:
    """What the change from `before` to `after` did; nothing where it only moved the session on."""
    if before is None:
        detail = {"application": after.application, "version": after.version, "profile": after.profile}
        return (Act(ActKind.CREATE, after.id, after.owner, after.created_by or after.owner, detail),)
    acts: list[Act] = []
    if after.state is State.ENDED and before.state is not State.ENDED:
        reason = after.end_reason.value if after.end_reason is not None else ""
        by = after.updated_by if after.end_reason is EndReason.DELETED else ITSELF.name
        acts.append(_act(ActKind.END, after, by, {"reason": reason}))
    if after.state is State.STOPPED and before.state is not State.STOPPED:
        acts.append(_act(ActKind.STOP, after, after.stopped_by))
    if after.run != before.run:
        acts.append(_act(ActKind.START, after, after.started_by))
    if after.extended_s > before.extended_s:
        seconds = round(after.extended_s - before.extended_s, 3)
        acts.append(_act(ActKind.EXTEND, after, after.updated_by, {"seconds": seconds}))
    if after.grants != before.grants:
        acts.append(_act(ActKind.GRANT, after, after.updated_by, {"grants": len(after.grants)}))
    if after.labels != before.labels:
        acts.append(_act(ActKind.EDIT, after, after.updated_by))
    return tuple(acts)


def _act(kind: ActKind, session: Session, by: str | None, detail: Mapping[str, str | int | float] | None = None) -> Act:
    return Act(kind, session.id, session.owner, by or ITSELF.name, detail or {})
