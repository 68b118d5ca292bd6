"""The port ledger and the other claims: what has an owner, what lingers, what is free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from broker.core.session import RelayPorts, Session

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

    A session takes other ports only when its relay could not bind the first ones, so those are set aside.
    """
    if before is None or before.ports is None or before.ports == after.ports:
        return {}
    until = now + (PORT_LINGER_S if after.ports is None else PORT_SET_ASIDE_S)
    return {claim: until for claim in port_claims(before.ports)}


class Ledger:
    """A snapshot of all claims, asked what is free and how full a relay is."""

    def __init__(self, claims: Mapping[str, Claim]) -> None:
        self._claims = claims

    def is_free(self, claim: str) -> bool:
        """Whether nobody holds it and it does not linger."""
        return claim not in self._claims

    def load(self, relay_id: str) -> int:
        """How many sessions hold ports of this relay; what lingers is not counted."""
        prefix = port_claim(relay_id, 0)[:-1]
        return len({c.owner for key, c in self._claims.items() if c.owner is not None and key.startswith(prefix)})
