"""What went through one media port."""

from __future__ import annotations

from dataclasses import dataclass, field

from signaling.handover_state import TrafficSnapshot

CLIENT_PACKET_STEP_S = 10
"""The times of a client's last packet and input move in steps, so that reports are few."""

BARE_RECORD_BYTES = 65
"""What a client's DTLS record has beyond this is said by it: no acknowledgement or heartbeat of its own is longer.

An idle association of Chromium 156 sends one of 65 bytes each 30 s (57 where the cipher adds less), and answers a
heartbeat of webrtcbin with 85. A pointer event of 9 bytes makes 69 to 77, one of 32 bytes 89 to 97, our own 121 to 129.
"""

HEARTBEAT_BYTES = 28
"""So much more an answer to a heartbeat has. More than that between two sweeps is input: an event, or some short."""

INPUT_MESSAGE_BYTES = 64
"""What a client says by signaling counts as input where it is longer: keep-alives of applications are shorter."""


@dataclass(frozen=True, slots=True)
class Count:
    """Datagrams and their bytes."""

    packets: int = 0
    bytes: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.packets + other.packets, self.bytes + other.bytes)


@dataclass(slots=True)
class Traffic:
    """Totals of one media port; times are seconds since the epoch."""

    to_backend: Count = field(default_factory=Count)
    to_client: Count = field(default_factory=Count)
    first_packet_at: float | None = None
    last_client_packet_at: float | None = None
    last_client_input_at: float | None = None

    def snapshot(self) -> TrafficSnapshot:
        """All of it."""
        return TrafficSnapshot(
            (self.to_backend.packets, self.to_backend.bytes),
            (self.to_client.packets, self.to_client.bytes),
            self.first_packet_at,
            self.last_client_packet_at,
            self.last_client_input_at,
        )

    @classmethod
    def restored(cls, told: TrafficSnapshot) -> Traffic:
        """What was told of."""
        times = told.first_packet_at, told.last_client_packet_at, told.last_client_input_at
        return cls(Count(*told.to_backend), Count(*told.to_client), *times)

    def note_client_packet(self, now: float) -> None:
        """An admitted datagram came from a client about now."""
        if self.first_packet_at is None:
            self.first_packet_at = now
        self.last_client_packet_at = now - now % CLIENT_PACKET_STEP_S

    def note_client_input(self, now: float) -> None:
        """A client said more than a keep-alive about now."""
        self.last_client_input_at = now - now % CLIENT_PACKET_STEP_S
