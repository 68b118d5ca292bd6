from dataclasses import replace

from broker.core.ledger import ALL_SESSIONS, share_pool
from broker.core.request import CreateRequest, Quotas, digest
from broker.core.session import State
from signaling.routes import Admission
from tests.broker.samples import ADMIN, ME, SESSION_ID, YOU, make_profile, make_resolved

REQUEST = CreateRequest(make_resolved(make_profile()), {"stage": "a"}, ME, "me", key="k", labels={"x": "y"})


def test_a_draft_is_what_was_asked_for_and_has_no_place_yet() -> None:
    session = REQUEST.draft(SESSION_ID, "hush", ("*",), 1000.0)
    assert (session.state, session.slot, session.ports) == (State.PENDING, None, None)
    assert (session.application, session.version, session.profile) == ("app", "1.0.0", "default")
    assert (session.owner, session.share, session.created_by, session.labels) == ("me", "me", "me", {"x": "y"})
    assert (session.created_at, session.pending_since, session.backend_secret) == (1000.0, 1000.0, "hush")
    assert session.idempotency == REQUEST.claim is not None
    assert REQUEST.asks_for(session)
    assert not replace(REQUEST, arguments={}).asks_for(session)
    assert not replace(REQUEST, owner="you").asks_for(session)


def test_what_an_admin_makes_for_another_counts_for_that_one() -> None:
    assert replace(REQUEST, by=ADMIN, owner="you").share == "you"
    addressed = replace(ME, share="192.0.2.7")
    assert replace(REQUEST, by=addressed).share == "192.0.2.7"


def test_an_admission_asked_for_takes_the_place_of_the_profiles() -> None:
    draft = replace(REQUEST, admission=Admission.TOKEN).draft(SESSION_ID, "hush", ("*",), 1.0)
    assert draft.admission is Admission.TOKEN


def test_a_key_is_its_callers_own_and_none_is_no_claim() -> None:
    assert replace(REQUEST, by=YOU).claim != REQUEST.claim
    assert replace(REQUEST, key=None).claim is None
    assert digest("a", "b/c") != digest("a/b", "c")


def test_quotas_bound_the_owner_and_all_and_may_leave_admins_out() -> None:
    quotas = Quotas(per_owner=2, total=5)
    assert quotas.bounds("me", by=ADMIN) == {share_pool("me"): 2, ALL_SESSIONS: 5}
    assert replace(quotas, exempt_admins=True).bounds("me", by=ADMIN) == {}
    assert replace(quotas, exempt_admins=True).bounds("me", by=ME) == quotas.bounds("me", by=ME)
    assert Quotas().bounds("me", by=ME) == {}
