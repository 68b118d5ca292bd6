"""Judges a history: what was promised to callers and viewers, and held or not. Pure.

Each rule is a generator of violations over the whole history. A rule excuses what an outage explains, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.system.failures.excuses import Bounds, Excuses
from tests.system.failures.flow_rules import broken_chains, cuts
from tests.system.failures.history import CallKind, History
from tests.system.failures.sums import (
    doubled_backends,
    doubled_places,
    leaked_ports,
    wrong_claims,
    wrong_pools,
)
from tests.system.failures.violation import Violation

_USUAL = {
    CallKind.CREATE: {200, 202, 410, 429, 503},
    CallKind.GET: {200, 202, 404, 410, 503},
    CallKind.DELETE: {204, 404, 503},
    CallKind.LIST: {200, 503},
}
_USUAL_BOUNDS = Bounds()


def violations(history: History, *, bounds: Bounds = _USUAL_BOUNDS) -> list[Violation]:
    """Everything that was not as promised; empty where all was."""
    excuses = Excuses(history, bounds)
    return [violation for rule in RULES for violation in rule(history, excuses)]


def late_answers(history: History, excuses: Excuses) -> Iterator[Violation]:
    """No answer takes longer than the bound beyond what was asked to wait."""
    for call in history.calls:
        took_s = call.ended - call.began
        if took_s > call.wait_s + excuses.bounds.answer_s and not excuses.broker_was_down(call):
            yield Violation("late", call.broker, f"{call.kind} took {took_s:.1f} s, answered {call.status}", call.began)


def missing_answers(history: History, excuses: Excuses) -> Iterator[Violation]:
    """A broker that runs answers."""
    for call in history.calls:
        if call.status is None and not excuses.broker_was_down(call):
            yield Violation("no answer", call.broker, f"{call.kind} of {call.session or call.key}", call.began)


def strange_answers(history: History, excuses: Excuses) -> Iterator[Violation]:
    """Nothing but the documented statuses is answered."""
    for call in history.calls:
        if call.status is not None and call.status not in _USUAL[call.kind]:
            yield Violation("status", call.broker, f"{call.kind} was answered {call.status}", call.began)


def unavailabilities(history: History, excuses: Excuses) -> Iterator[Violation]:
    """503 comes with Retry-After, and only while the broker was away from its store or was being stopped."""
    for call in history.calls:
        if call.status != 503:
            continue
        if not call.retry_after:
            yield Violation("retry-after", call.broker, f"{call.kind} was answered 503 without it", call.began)
        if not excuses.store_was_away(call):
            yield Violation("503", call.broker, f"{call.kind} was answered 503 while the store was there", call.began)


def wrong_404s(history: History, excuses: Excuses) -> Iterator[Violation]:
    """Who was told of a session finds it, until somebody deletes it."""
    for call in history.calls:
        if call.status != 404 or call.session is None:
            continue
        asked_for = excuses.delete_began_before(call.session, call.ended, besides=call)
        if asked_for or excuses.may_be_lost(call.session, call.ended):
            continue
        if call.kind is CallKind.DELETE and excuses.may_end(call.session, "backend_failed", call.ended):
            continue  # what has ended cannot be deleted
        yield Violation("404", call.broker, f"{call.kind} of {call.session}, which was acknowledged", call.began)


def resurrections(history: History, excuses: Excuses) -> Iterator[Violation]:
    """What is deleted stays so."""
    for call in history.calls:
        if call.kind is not CallKind.GET or call.status not in (200, 202) or call.session is None:
            continue
        deleted_at = excuses.deleted_at(call.session)
        if deleted_at is not None and deleted_at < call.began and not excuses.delete_may_be_lost(call.session):
            yield Violation("undead", call.broker, f"{call.session} is back after its delete", call.began)
    for held in history.holdings.sessions:
        deleted = excuses.deleted_at(held.id) is not None and not excuses.delete_may_be_lost(held.id)
        if held.state != "ended" and deleted:
            yield Violation("undead", held.id, f"is {held.state} in the end, though its delete was acknowledged")


def doubled_sessions(history: History, excuses: Excuses) -> Iterator[Violation]:
    """One key makes one session, however often it is sent and to whom."""
    made: dict[str, str] = {}
    for call in sorted(history.calls, key=lambda call: call.ended):
        if call.kind is not CallKind.CREATE or call.key is None or call.session is None:
            continue
        before = made.setdefault(call.key, call.session)
        if before != call.session and not excuses.may_be_lost(before, call.ended):
            yield Violation("doubled", call.key, f"made {before} and then {call.session}", call.began)
        made[call.key] = call.session
    held: dict[str, str] = {}
    for session in history.holdings.sessions:
        if session.state != "ended" and held.setdefault(session.key, session.id) != session.id:
            yield Violation("doubled", session.key, f"holds both {held[session.key]} and {session.id} in the end")


def lost_sessions(history: History, excuses: Excuses) -> Iterator[Violation]:
    """An acknowledged session is there in the end, unless it was deleted or ended for a reason that was seen."""
    held = {session.id: session for session in history.holdings.sessions}
    for session_id in excuses.acknowledged:
        if excuses.delete_began_before(session_id) or excuses.may_be_lost(session_id):
            continue
        if session_id not in held:
            yield Violation("lost", session_id, "was acknowledged, and is not there in the end")
        elif held[session_id].state == "ended" and not excuses.may_end(session_id, held[session_id].reason):
            yield Violation("lost", session_id, f"ended as {held[session_id].reason}, which nothing explains")
    for call in history.calls:
        ended = call.status == 410 and call.session is not None
        if ended and not excuses.may_end(call.session or "", call.reason, by=call.ended):
            yield Violation("lost", call.session or "", f"was answered 410 ({call.reason})", call.began)


def unresolved(history: History, excuses: Excuses) -> Iterator[Violation]:
    """Nothing waits for ever: in the end every session is ready, stopped or ended."""
    for session in history.holdings.sessions:
        if session.state == "pending":
            yield Violation("unresolved", session.id, f"is still pending ({session.profile}, slot {session.slot})")


def strangers(history: History, excuses: Excuses) -> Iterator[Violation]:
    """A session that nobody was told of comes from a create whose outcome nobody was told."""
    creates = [call for call in history.calls if call.kind is CallKind.CREATE]
    told = {call.key for call in creates if call.session is not None}
    open_keys = {call.key for call in creates if call.status in (None, 503)} - told
    for session in history.holdings.sessions:
        known = session.id in excuses.acknowledged or session.key in open_keys
        if session.state != "ended" and not known:
            yield Violation("stranger", session.id, f"is {session.state}, and nobody was told of it ({session.key})")


Rule = Callable[[History, Excuses], Iterator[Violation]]

RULES: tuple[Rule, ...] = (
    late_answers,
    missing_answers,
    strange_answers,
    unavailabilities,
    wrong_404s,
    resurrections,
    doubled_sessions,
    lost_sessions,
    unresolved,
    strangers,
    cuts,
    broken_chains,
    doubled_places,
    wrong_claims,
    wrong_pools,
    doubled_backends,
    leaked_ports,
)
"""All rules."""
