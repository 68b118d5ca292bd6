from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from broker.core.acts import ActKind, acts_between
from broker.core.principal import ITSELF
from broker.core.session import EndReason, Grant, Session, State, ended
from tests.broker.samples import make_session, with_ports

MADE = replace(make_session(), created_by="maker", updated_by="maker")
READY = replace(with_ports(MADE), state=State.READY, phase=None, ready_at=1001.0)
STOPPED = replace(READY, state=State.STOPPED, stopped_by="me", updated_by="me")
SESSIONS = [
    MADE,
    READY,
    STOPPED,
    replace(READY, run=1, started_by="me"),
    replace(READY, extended_s=60, updated_by="me"),
    replace(READY, labels={"a": "b"}, updated_by="me"),
    replace(READY, grants=(Grant("g", 1.0, "me", 2.0),), updated_by="me"),
    ended(READY, EndReason.DELETED, "", 1002.0),
    ended(READY, EndReason.IDLE, "", 1002.0),
]


def test_a_create_names_the_one_who_asked_and_what_for() -> None:
    (act,) = acts_between(None, replace(MADE, owner="you"))
    assert (act.kind, act.by, act.owner, act.session_id) == (ActKind.CREATE, "maker", "you", MADE.id)
    assert act.detail == {"application": "app", "version": "1.0.0", "profile": "default"}


def test_an_end_that_was_asked_for_is_the_callers_and_one_by_a_clock_the_brokers() -> None:
    (asked,) = acts_between(READY, replace(ended(READY, EndReason.DELETED, "", 1002.0), updated_by="root"))
    (clock,) = acts_between(READY, ended(READY, EndReason.IDLE, "", 1002.0))
    assert (asked.kind, asked.by, asked.detail) == (ActKind.END, "root", {"reason": "deleted"})
    assert (clock.kind, clock.by, clock.detail) == (ActKind.END, ITSELF.name, {"reason": "idle"})


def test_an_end_without_a_reason_is_told_all_the_same() -> None:
    (act,) = acts_between(READY, replace(ended(READY, EndReason.IDLE, "", 1002.0), end_reason=None))
    assert act.detail == {"reason": ""}


def test_stop_start_extend_grant_and_edit_are_told_with_who_did_it() -> None:
    changes = {
        ActKind.STOP: (READY, STOPPED),
        ActKind.START: (STOPPED, replace(STOPPED, state=State.PENDING, run=1, started_by="me")),
        ActKind.EXTEND: (READY, replace(READY, extended_s=60, updated_by="me")),
        ActKind.GRANT: (READY, replace(READY, grants=(Grant("g", 1.0, "me", 2.0),), updated_by="me")),
        ActKind.EDIT: (READY, replace(READY, labels={"a": "b"}, updated_by="me")),
    }
    for kind, (before, after) in changes.items():
        (act,) = acts_between(before, after)
        assert (act.kind, act.by) == (kind, "me")
    (extended,) = acts_between(*changes[ActKind.EXTEND])
    assert extended.detail == {"seconds": 60}


def test_a_stop_by_a_clock_is_the_brokers() -> None:
    (act,) = acts_between(READY, replace(STOPPED, stopped_by=None))
    assert act.by == ITSELF.name


def test_moving_on_by_itself_is_no_act() -> None:
    assert acts_between(MADE, READY) == ()
    assert acts_between(STOPPED, replace(STOPPED, slot=None, ports=None)) == ()


@given(st.sampled_from(SESSIONS), st.sampled_from(SESSIONS))
def test_every_act_is_somebodys_and_tells_no_secret(before: Session, after: Session) -> None:
    for act in acts_between(before, after):
        assert act.by
        assert after.backend_secret not in repr(act)
    assert acts_between(after, after) == ()
