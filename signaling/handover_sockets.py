"""The sockets that go from a relay to its successor: numbered on the one side, taken once each on the other."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from typing import Protocol


class HasDescriptor(Protocol):
    """A socket, or what asyncio shows of one."""

    def fileno(self) -> int:
        """Its file descriptor."""


class Packing:
    """Collects descriptors, which stay their owner's; what names a socket to the successor is its number here."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []

    def add(self, sock: HasDescriptor) -> int:
        """The number that this socket goes by."""
        self.descriptors.append(sock.fileno())
        return len(self.descriptors) - 1


class Inherited:
    """Descriptors that came. Until `keep` all of them are this object's to close, also those that were taken."""

    def __init__(self, descriptors: Iterable[int]) -> None:
        self._descriptors = dict(enumerate(descriptors))
        self._taken: list[socket.socket] = []

    def take(self, number: int) -> socket.socket:
        """The socket of this number, not blocking; raises ValueError where there is none, or none any more."""
        descriptor = self._descriptors.get(number)
        if descriptor is None:
            raise ValueError(f"there is no socket {number}, or it was taken already")
        try:
            sock = socket.socket(fileno=descriptor)
        except OSError as exc:
            raise ValueError(f"number {number} is no socket") from exc
        del self._descriptors[number]
        self._taken.append(sock)
        sock.setblocking(False)
        return sock

    def keep(self) -> None:
        """Leave what was taken to those who took it."""
        self._taken.clear()

    def close(self) -> None:
        """Close what nobody keeps. Idempotent."""
        while self._descriptors:
            _, descriptor = self._descriptors.popitem()
            os.close(descriptor)
        while self._taken:
            self._taken.pop().close()
