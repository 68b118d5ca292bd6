"""Loopback addresses of one cluster's own: with them every cluster may use the same ports, and none is in its way."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import count

_made = count()


@dataclass(frozen=True, slots=True)
class Addresses:
    """A /24 of 127.0.0.0/8."""

    prefix: str

    def broker(self, number: int) -> str:
        """The address of a broker."""
        return f"{self.prefix}.{1 + number}"

    def relay(self, number: int) -> str:
        """The address of a relay."""
        return f"{self.prefix}.{10 + number}"

    def node(self, number: int) -> str:
        """The address of a node."""
        return f"{self.prefix}.{100 + number}"


def addresses() -> Addresses:
    """Some that no other process of this machine takes: of the process's number, and of how many there were."""
    pid = os.getpid()
    return Addresses(f"127.{64 + pid % 128}.{(pid // 128 * 16 + next(_made)) % 256}")
