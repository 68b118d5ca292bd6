"""The port ledger and the other claims: what has an owner, what lingers, what is free, and how much of it is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from broker.core.session import Phase, RelayPorts, Session, State

PORT_LINGER_S = 30.0
"""How long a released port is left alone, so that late datagrams and clients of its last session find nobody."""

PORT_SET_ASIDE_S = 300.0
"""How long a port that a relay could not bind is left alone: another process holds it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that nobody else may have. `owner` is a session's id; None: it lingers until `until`, then is free."""

    owner: str | None
    until: float | None = None


def claims_of(session: Session) -> frozenset[str]:
    """The keys that a session holds: its slot, its two ports, the key of the request that made it."""
    keys: set[str] = set()
    if session.slot is not None:
        keys.add(session.slot.claim)
    if session.ports is not None:
        keys.update(port_claims(session.ports))
    if session.idempotency is not None:
        keys.add(session.idempotency)
    return frozenset(keys)


def port_claims(ports: RelayPorts) -> tuple[str, str]:
    """The claims of a pair of relay ports."""
    return port_claim(ports.relay_id, ports.signaling_port), port_claim(ports.relay_id, ports.media_port)


def port_claim(relay_id: str, port: int) -> str:
    """The claim of one port of a relay, TCP and UDP alike."""
    return f"port/{relay_id}/{port}"


def lingering(before: Session | None, after: Session, now: float) -> dict[str, float]:
    """Until when the ports that `before` held and `after` does not stay taken, by claim.

    Ports that its relay could not bind are set aside for longer than those of a relay that went away.
    """
    if before is None or before.ports is None or before.ports == after.ports:
        return {}
    could_not_bind = after.ports is not None and after.route_attempts > before.route_attempts
    until = now + (PORT_SET_ASIDE_S if could_not_bind else PORT_LINGER_S)
    return {claim: until for claim in port_claims(before.ports)}


def pools_of(session: Session) -> frozenset[str]:
    """What the session counts in: all sessions and its share's until it ends, its profile's slots, its node's, its
    relay's ports.

    One that waits for a slot counts in its profile's queue, and where ports are all that it lacks, among those too.
    """
    if session.state is not State.ENDED:
        pools = {ALL_SESSIONS, share_pool(session.share)}
    else:
        pools = set()
    if session.slot is not None:
        pools.add(slots_pool(session.slot.provider, session.slot.profile))
        if session.slot.node:
            pools.add(node_pool(session.slot.node))
    if session.ports is not None:
        pools.add(relay_pool(session.ports.relay_id))
    if is_waiting(session):
        pools.add(queue_pool(session.profile))
        if session.phase is Phase.PLACING:
            pools.add(WAITING_FOR_PORTS)
    return frozenset(pools)


def is_waiting(session: Session) -> bool:
    """Whether it waits for a slot."""
    return session.state is State.PENDING and session.slot is None


ALL_SESSIONS = "sessions"
WAITING_FOR_PORTS = "waiting-for-ports"


def share_pool(share: str) -> str:
    """The pool of what one share has: its quota."""
    return f"share/{share}"


def slots_pool(provider: str, profile: str) -> str:
    """The pool of a profile's slots."""
    return f"slots/{provider}/{profile}"


def node_pool(node: str) -> str:
    """The pool of a node's slots that sessions hold."""
    return f"node/{node}"


def queue_pool(profile: str) -> str:
    """The pool of those who wait for a slot of a profile."""
    return f"queue/{profile}"


def relay_pool(relay_id: str) -> str:
    """The pool of those who hold ports of a relay."""
    return f"relay/{relay_id}"


class Ledger:
    """All claims and how many count in each pool, asked what is free. It may be a view that goes on with the store."""

    def __init__(self, claims: Mapping[str, Claim], pools: Mapping[str, int]) -> None:
        self._claims = claims
        self._pools = pools

    def is_free(self, claim: str) -> bool:
        """Whether nobody holds it and it does not linger."""
        return claim not in self._claims

    def owner(self, claim: str) -> str | None:
        """The session that holds it."""
        held = self._claims.get(claim)
        return None if held is None else held.owner

    def count(self, pool: str) -> int:
        """How many sessions count in this pool."""
        return self._pools.get(pool, 0)
