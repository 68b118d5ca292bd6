"""Ports for backends on this machine: handed out in turn, each found free by binding it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

from broker.errors import NoCapacity


@dataclass(frozen=True, slots=True)
class BackendPorts:
    """TCP, UDP, TCP."""

    signaling: int
    media: int
    control: int


class PortPool:
    """Ports `lo` to `hi` of one address, from `start` on. What was handed out is in use until it is given back."""

    def __init__(self, host: str, lo: int, hi: int, *, start: int | None = None) -> None:
        self.host = host
        self._lo = lo
        self._hi = hi
        self._next = lo if start is None else start
        self._used: set[int] = set()

    def take(self) -> BackendPorts:
        """Three free ports; they come in turn, so that one given back rests the longest. Raises NoCapacity."""
        taken: list[int] = []
        for port in self._in_turn():
            is_media = len(taken) == 1
            if port not in self._used and is_free(
                self.host, port, socket.SOCK_DGRAM if is_media else socket.SOCK_STREAM
            ):
                taken.append(port)
            if len(taken) == 3:
                self._used.update(taken)
                return BackendPorts(*taken)
        raise NoCapacity(f"port for a backend in {self._lo}-{self._hi} on {self.host}")

    def give_back(self, ports: BackendPorts) -> None:
        """These may be handed out again."""
        self._used -= {ports.signaling, ports.media, ports.control}

    def _in_turn(self) -> Iterator[int]:
        for _ in range(self._hi - self._lo + 1):
            port = self._next
            self._next = port + 1 if port < self._hi else self._lo
            yield port


def is_free(host: str, port: int, kind: int) -> bool:
    """Whether a server could bind this port now. Only its own bind will prove it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        try:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            if kind == socket.SOCK_STREAM:
                probe.listen(1)
        except OSError:
            return False
    return True
