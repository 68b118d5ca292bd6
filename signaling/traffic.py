"""What went through one media port."""

from __future__ import annotations

from dataclasses import dataclass, field

CLIENT_PACKET_STEP_S = 10
"""`Traffic.last_client_packet_at` moves in steps, so that reports are few."""


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

    def note_client_packet(self, now: float) -> None:
        """An admitted datagram came from a client about now."""
        if self.first_packet_at is None:
            self.first_packet_at = now
        self.last_client_packet_at = now - now % CLIENT_PACKET_STEP_S
