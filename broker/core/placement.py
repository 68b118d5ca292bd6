"""Where a session goes: which slot of its profile, which relay and which pair of its ports."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from broker.core.catalog import Profile
from broker.core.ledger import Ledger, port_claim
from broker.core.session import RelayPorts
from broker.core.slot import SlotRef, slot_claim
from signaling.routes import PortRange, RelayInfo

_STRIDE = 7919
"""A prime, so that tries after a taken pair do not walk into the same process's next port."""


def choose_slot(profile: Profile, session_id: str, ledger: Ledger, *, run: int = 0) -> SlotRef | None:
    """The first free slot of a profile; None when all are taken. `run` tells the starts of a session apart."""
    name = session_id[:8] if run == 0 else f"{session_id[:8]}-{run}"
    for number in range(profile.slots):
        if ledger.is_free(slot_claim(profile.provider, profile.id, number)):
            return SlotRef(profile.provider, profile.id, number, f"{profile.id}-{number}-{name}")
    return None


def choose_ports(
    relays: Mapping[str, RelayInfo],
    ledger: Ledger,
    session_id: str,
    *,
    attempt: int = 0,
    avoid: RelayPorts | None = None,
) -> RelayPorts | None:
    """A free pair of ports on the relay with the most room; None when there is none.

    The search starts at a place given by the session's id, so that ports come back late and brokers seldom collide.
    `avoid` is a pair that was found taken and is not in the ledger yet.
    """
    room = {relay.id: ledger.load(relay.id) / relay.capacity for relay in relays.values() if _takes_sessions(relay)}
    seed = UUID(session_id).int + attempt * _STRIDE
    for relay_id in sorted((key for key in room if room[key] < 1), key=lambda key: (room[key], key)):
        relay = relays[relay_id]
        pair = _free_pair(relay_id, relay.ports, ledger, seed, avoid)
        if pair is not None:
            return RelayPorts(relay_id, relay.host, *pair)
    return None


def _takes_sessions(relay: RelayInfo) -> bool:
    return not relay.draining and relay.capacity > 0


def _free_pair(
    relay_id: str, ports: PortRange, ledger: Ledger, seed: int, avoid: RelayPorts | None
) -> tuple[int, int] | None:
    pairs = (ports.hi - ports.lo + 1) // 2
    for offset in range(pairs):
        low = ports.lo + 2 * ((seed + offset) % pairs)
        avoided = avoid is not None and (avoid.relay_id, avoid.signaling_port) == (relay_id, low)
        if not avoided and all(ledger.is_free(port_claim(relay_id, port)) for port in (low, low + 1)):
            return low, low + 1
    return None
