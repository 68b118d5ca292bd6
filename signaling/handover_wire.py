"""What two relays of one host say to each other: frames and descriptors over a UNIX socket, and a baton.

It blocks, within a deadline: while a relay hands over, time must stand still in it.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from signaling.routes import Json

LONGEST = 1 << 28
"""Bytes of the longest frame."""

_SHORT = 65536
_LENGTH = struct.Struct("!I")
_LOT = 200  # descriptors in one message; Linux takes at most 253
_CREDENTIALS = struct.Struct("3i")  # struct ucred: process, user, group


class WireBroken(Exception):
    """The other end is gone, or what it says cannot be understood."""


class PeerGone(WireBroken):
    """The other end is closed, as it is at its process' end."""

    def __str__(self) -> str:
        return "the other end is gone"


class Wire:
    """One end of the talk. Everything raises WireBroken, and TimeoutError after the deadline.

    `peer_user` is who the other process runs as: the kernel says so.
    """

    def __init__(self, sock: socket.socket, *, within_s: float) -> None:
        """The peer's process is remembered, to be asked whether it lives."""
        self._sock = sock
        self.allow(within_s)
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        self._process, self.peer_user, _ = _CREDENTIALS.unpack(credentials)

    def allow(self, within_s: float) -> None:
        """Set the deadline of all that follows."""
        self._deadline = time.monotonic() + within_s

    def peer_lives(self, *, within_s: float) -> bool:
        """Whether the other process is still there after that time; False where it cannot be seen from here."""
        try:
            process = os.pidfd_open(self._process)
        except OSError:
            return False
        try:
            return not select.select([process], [], [], within_s)[0]
        finally:
            os.close(process)

    def send(self, frame: bytes) -> None:
        """Send one frame."""
        with self._in_time():
            self._sock.sendall(_LENGTH.pack(len(frame)))
            self._sock.sendall(frame)

    def receive(self, *, at_most: int = LONGEST) -> bytes:
        """The next frame."""
        (length,) = _LENGTH.unpack(self._receive(_LENGTH.size))
        if length > at_most:
            raise WireBroken(f"a frame of {length} bytes, where {at_most} are the most")
        return self._receive(length)

    def say(self, **words: Json) -> None:
        """Send a JSON object."""
        self.send(json.dumps(words).encode())

    def hear(self) -> Mapping[str, Json]:
        """The next frame, a short JSON object."""
        try:
            words: Json = json.loads(self.receive(at_most=_SHORT))
        except (ValueError, RecursionError) as exc:
            raise WireBroken("it says what is no JSON") from exc
        if not isinstance(words, Mapping):
            raise WireBroken("it says what is no JSON object")
        return words

    def send_descriptors(self, descriptors: Sequence[int]) -> None:
        """Send descriptors, which stay open here. Each lot is acknowledged: few may be on their way at once."""
        for start in range(0, len(descriptors), _LOT):
            with self._in_time():
                socket.send_fds(self._sock, [b"\0"], list(descriptors[start : start + _LOT]))
            self._receive(1)

    def receive_descriptors(self, count: int) -> list[int]:
        """That many descriptors; they are the caller's to close."""
        found: list[int] = []
        try:
            while len(found) < count:
                found += self._receive_lot(min(_LOT, count - len(found)))
                with self._in_time():
                    self._sock.sendall(b"\0")
        except BaseException:
            close_all(found)
            raise
        return found

    def close(self) -> None:
        """Idempotent."""
        self._sock.close()

    def _receive_lot(self, wanted: int) -> list[int]:
        with self._in_time():
            data, lot, _, _ = socket.recv_fds(self._sock, 1, wanted)
        for descriptor in lot:
            os.set_inheritable(descriptor, False)
        if not data or len(lot) < wanted:
            close_all(lot)
            raise (
                WireBroken(f"{len(lot)} of {wanted} sockets came: raise the limit of open files")
                if data
                else PeerGone()
            )
        return lot

    def _receive(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            with self._in_time():
                part = self._sock.recv(min(size - len(data), 1 << 20))
            if not part:
                raise PeerGone
            data += part
        return bytes(data)

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        try:
            yield
        except TimeoutError:
            raise
        except OSError as exc:
            raise PeerGone from exc


class Baton:
    """Lies between two processes that both hold it; exactly one can take it, as the kernel counts to one."""

    def __init__(self, descriptor: int | None = None) -> None:
        """A new one, or one that came along."""
        self.descriptor = os.eventfd(1, os.EFD_NONBLOCK | os.EFD_CLOEXEC) if descriptor is None else descriptor
        self._open = True

    def take(self) -> bool:
        """Whether it was still there; never blocks."""
        try:
            os.eventfd_read(self.descriptor)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Let go of it. Idempotent."""
        if self._open:
            self._open = False
            os.close(self.descriptor)


def close_all(descriptors: Sequence[int]) -> None:
    """Close these descriptors."""
    for descriptor in descriptors:
        os.close(descriptor)
