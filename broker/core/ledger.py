"""The port ledger and the other claims: what has an owner, what lingers, what is free."""

from __future__ import annotations

from dataclasses import dataclass

from broker.core.session import RelayPorts, Session


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
