"""Rules on what is held in the end: claims, pools, slots, ports and backends add up exactly. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from broker.core.ledger import (
    ALL_SESSIONS,
    WAITING_FOR_PORTS,
    port_claim,
    queue_pool,
    relay_pool,
    share_pool,
)
from tests.system.failures.excuses import Excuses
from tests.system.failures.history import Held, History
from tests.system.failures.violation import Violation


def doubled_places(history: History, excuses: Excuses) -> Iterator[Violation]:
    """No slot and no port of a relay has two sessions."""
    owners: dict[str, str] = {}
    for session in history.holdings.sessions:
        for place in _places(session):
            if owners.setdefault(place, session.id) != session.id:
                yield Violation("doubled", place, f"is held by {owners[place]} and by {session.id}")


def wrong_claims(history: History, excuses: Excuses) -> Iterator[Violation]:
    """The claims with an owner are exactly those that follow from the sessions."""
    wanted = {claim: session.id for session in history.holdings.sessions for claim in _claims(session)}
    owned = {claim: owner for claim, owner in history.holdings.claims.items() if owner is not None}
    for claim, owner in owned.items():
        if wanted.get(claim) != owner:
            yield Violation("claim", claim, f"is {owner}'s in the claims, {wanted.get(claim)}'s by the sessions")
    for claim in wanted.keys() - owned.keys():
        lingers = " (it lingers)" if claim in history.holdings.claims else ""
        yield Violation("claim", claim, f"is missing{lingers}, though {wanted[claim]} holds it")


def wrong_pools(history: History, excuses: Excuses) -> Iterator[Violation]:
    """The counts of quotas, queues, relays and slots are those of the sessions."""
    counted: Counter[str] = Counter()
    for session in history.holdings.sessions:
        counted.update(_pools(session))
    pools = {pool: count for pool, count in history.holdings.pools.items() if count}
    for pool in sorted(pools.keys() | counted.keys()):
        if pools.get(pool, 0) != counted[pool]:
            yield Violation("pool", pool, f"counts {pools.get(pool, 0)}, {counted[pool]} by the sessions")


def doubled_backends(history: History, excuses: Excuses) -> Iterator[Violation]:
    """Each session that is ready has one backend, and no backend serves anybody else."""
    ready = {session.id for session in history.holdings.sessions if session.state == "ready"}
    serving = Counter(session for _, session in history.holdings.backends)
    for slot, session in history.holdings.backends:
        if session not in ready:
            yield Violation("leak", slot, f"its backend serves {session}, which is not ready")
    for session in sorted(ready):
        if serving[session] != 1:
            yield Violation("backends", session, f"is ready, and {serving[session]} backends serve it")
    for slot, session in history.holdings.refused_activations:
        yield Violation("doubled", slot, f"was given to {session} while it served another")


def leaked_ports(history: History, excuses: Excuses) -> Iterator[Violation]:
    """A relay has bound the ports of its sessions, and no others."""
    for relay, bound in history.holdings.bound.items():
        wanted = {port for session in history.holdings.sessions if session.relay == relay for port in session.ports}
        for port in sorted(bound - wanted):
            yield Violation("leak", f"{relay}:{port}", "is bound, and no session holds it")
        for port in sorted(wanted - bound):
            yield Violation("leak", f"{relay}:{port}", "is held by a session, and not bound")


def _places(session: Held) -> Iterator[str]:
    if session.slot is not None:
        yield session.slot
    if session.relay is not None:
        yield from (port_claim(session.relay, port) for port in session.ports)


def _claims(session: Held) -> Iterator[str]:
    yield from _places(session)
    if session.idempotency is not None:
        yield session.idempotency


def _pools(session: Held) -> Iterator[str]:
    if session.state != "ended":
        yield ALL_SESSIONS
        yield share_pool(session.share)
    yield from session.slot_pools
    if session.relay is not None:
        yield relay_pool(session.relay)
    if session.state == "pending" and session.slot is None:
        yield queue_pool(session.profile)
        if session.waits_for_ports:
            yield WAITING_FOR_PORTS
