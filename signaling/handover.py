"""A relay's restart without loss: a successor on the same host takes over its sockets, state and live signaling.

    successor     {"reads": [1], "relay": "r1", "table": "redis://…"}       who I am, and what I can read
    predecessor   {"version": 1, "sockets": 42}, descriptors, the state     from here on it stands still
    successor     {"taken": true}, or {"refused": "why"}

Exactly one of the two serves, whatever fails: they share a baton, which only one can take. The predecessor lays it down
when it stands still; the successor takes it when it has understood everything, the predecessor takes it back when the
other says no, dies or is late. A successor whose predecessor dies after it sent all takes the baton as well.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import socket
import stat
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from signaling.handover_sockets import Packing
from signaling.handover_state import OWN_LISTENER, VERSION, RelaySnapshot
from signaling.handover_wire import Baton, Wire, WireBroken
from signaling.routes import Json

logger = logging.getLogger(__name__)

_HELLO_S = 2.0
_DYING_S = 1.0
_PAUSE_S = 1.0
_BACKLOG = 4


class Predecessor(Protocol):
    """A relay that can be taken over."""

    async def hold(self, *, within_s: float) -> bool:
        """Come to rest; whether it did."""

    def release(self) -> None:
        """Go on after `hold`."""

    def snapshot(self, packing: Packing) -> RelaySnapshot:
        """All that is served."""

    def abandon(self) -> None:
        """A successor has everything."""


class HandoverPort:
    """Waits for a successor at a socket in a folder that only this user may enter.

    `table` names the route table, the same for all relays at it. `listeners` are sockets of the process that go along
    under their names. One that came from the predecessor under the name of this port itself is listened at further:
    no successor meets a closed door.
    """

    def __init__(
        self,
        path: Path,
        relay: Predecessor,
        relay_id: str,
        *,
        table: str = "",
        hold_s: float = 4,
        within_s: float = 4,
        listeners: Mapping[str, socket.socket] | None = None,
    ) -> None:
        self._path = path
        self._relay = relay
        self._relay_id = relay_id
        self._table = table
        self._hold_s = hold_s
        self._within_s = within_s
        self._listeners = dict(listeners or {})
        self._sock = self._listeners.pop(OWN_LISTENER, None)
        self._handed_over = False

    def open(self) -> None:
        """Begin to listen; raises NameTaken, and OSError where the place is not private or cannot be written to."""
        if self._sock is None:
            make_private(self._path.parent)
            self._sock = _listen(self._path)
        self._sock.setblocking(False)

    async def run(self) -> None:
        """Return once a successor has taken over: whoever runs this process then ends it, and closes nothing first."""
        assert self._sock is not None
        loop = asyncio.get_running_loop()
        try:
            while not self._handed_over:
                try:
                    asker, _ = await loop.sock_accept(self._sock)
                    with asker:
                        await self._answer(asker)
                except Exception:  # of one hand-over: what is served is served on
                    logger.exception("a hand-over failed")
                    await asyncio.sleep(_PAUSE_S)
        finally:
            self.close()

    def close(self) -> None:
        """Listen no more. Idempotent."""
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()
            if not self._handed_over:
                self._path.unlink(missing_ok=True)

    async def _answer(self, asker: socket.socket) -> None:
        """Hand over to this successor, if it may and can."""
        wire = Wire(asker, within_s=_HELLO_S)
        try:
            # Elsewhere, for one that says nothing must not stop the media.
            hello = await asyncio.to_thread(wire.hear)
            reason = self._why_not(hello, wire.peer_user)
            if reason is None and not await self._relay.hold(within_s=self._hold_s):
                reason = "routes are being opened or closed, try again"
            if reason is None:
                self._hand_over(wire)
            else:
                logger.warning("a successor was refused: %s", reason)
                wire.allow(_HELLO_S)
                wire.say(refused=reason)
        except (WireBroken, TimeoutError) as exc:
            logger.warning("a successor broke off: %s", str(exc) or "it said nothing in time")
        finally:
            if not self._handed_over:
                self._relay.release()

    def _why_not(self, hello: Mapping[str, Json], user: int) -> str | None:
        reads = hello.get("reads")
        if user not in (os.geteuid(), 0):
            return "it runs as another user"
        if hello.get("relay") != self._relay_id:
            return f"this is relay {self._relay_id}"
        if hello.get("table") != self._table:
            return "it serves another route table, though under the same name"
        if not isinstance(reads, list) or VERSION not in reads:
            return f"this relay tells its state in version {VERSION}, which the successor does not read: drain this one"
        return None

    def _hand_over(self, wire: Wire) -> None:
        """Stand still, tell all, and see whether the other has it. Nothing else happens in this process meanwhile."""
        began = time.monotonic()
        packing, baton = Packing(), Baton()
        try:
            told = self._relay.snapshot(packing)
            told = told.model_copy(update={"listeners": self._pack_listeners(packing)})
            wire.allow(self._within_s)
            self._handed_over = _give(wire, told.to_json(), baton, packing.descriptors)
        finally:
            baton.close()
        stood_ms = (time.monotonic() - began) * 1000
        if self._handed_over:
            self._relay.abandon()
            logger.info(
                "handed over %d routes and %d sockets, %.0f ms", len(told.served), len(packing.descriptors), stood_ms
            )
        else:
            logger.warning("the successor did not take over, serving on after %.0f ms", stood_ms)

    def _pack_listeners(self, packing: Packing) -> dict[str, int]:
        assert self._sock is not None
        return {name: packing.add(sock) for name, sock in {**self._listeners, OWN_LISTENER: self._sock}.items()}


def _give(wire: Wire, document: bytes, baton: Baton, descriptors: Sequence[int]) -> bool:
    """Whether the successor serves from now on; while this runs it is laid down that it may."""
    try:
        wire.say(version=VERSION, sockets=len(descriptors))
        wire.send_descriptors([baton.descriptor, *descriptors])
        wire.send(document)
        answer = wire.hear()
    except (WireBroken, TimeoutError) as exc:
        logger.warning("the successor failed: %s", str(exc) or "it is late")
        # Without the baton it can never serve; with it, it does unless it is dead.
        return not baton.take() and wire.peer_lives(within_s=_DYING_S)
    if answer.get("taken") is True:
        return True
    logger.warning("the successor refused: %s", answer.get("refused"))
    baton.take()
    return False


class NameTaken(OSError):
    """A relay of this name and route table runs on this host."""


def default_folder(environment: Mapping[str, str]) -> Path:
    """Where relays wait for their successors: a folder of this user's own."""
    runtime = environment.get("RUNTIME_DIRECTORY") or environment.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(runtime.partition(":")[0], f"pixelferry-{os.geteuid()}")


def meeting_place(folder: Path, relay_id: str, table: str) -> Path:
    """Of the relays of this name at this route table, one after the other."""
    return folder / f"{relay_id}-{hashlib.sha256(table.encode()).hexdigest()[:8]}.handover"


def make_private(folder: Path) -> None:
    """Make the folder if need be; raises PermissionError where anybody else may enter it, OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} must be a folder that belongs to the relay's user, with mode 0700")


def _listen(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            _remove_if_left(path)
        sock.bind(str(path))
        path.chmod(0o600)
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_if_left(path: Path) -> None:
    """Remove what a relay left that ended without a word; raises OSError where one still listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise NameTaken(errno.EADDRINUSE, f"a relay of this name runs already, it waits for a successor at {path}")
