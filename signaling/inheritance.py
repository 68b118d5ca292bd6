"""The successor's side of a hand-over (`signaling.handover`): ask, understand, take the baton, serve."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from signaling.handover_sockets import Inherited
from signaling.handover_state import VERSION, RelaySnapshot
from signaling.handover_wire import Baton, PeerGone, Wire, WireBroken, close_all

_TELLING_S = 2.0


class HandoverRefused(Exception):
    """The predecessor serves on, or did not let go; the text says why."""


class Heir(Protocol):
    """A relay that has served nothing yet."""

    def restore(self, told: RelaySnapshot, inherited: Inherited) -> None:
        """Take what a predecessor served; raises ValueError."""

    def read_media(self) -> None:
        """Let media pass that was taken over."""


class Inheritance:
    """What a predecessor told, not taken yet: it serves on unless `enter` succeeds."""

    def __init__(self, wire: Wire, baton: Baton, sockets: Inherited, document: bytes) -> None:
        self._wire = wire
        self._baton = baton
        self._sockets = sockets
        self._document = document
        self.listeners: dict[str, socket.socket] = {}
        """The predecessor's `listeners`, once entered, and that of its hand-over port, for a port like it."""

    def enter(self, relay: Heir) -> None:
        """Make the relay serve in the predecessor's place, its media at once; raises HandoverRefused."""
        try:
            told = RelaySnapshot.from_json(self._document)
            relay.restore(told, self._sockets)
            listeners = {name: self._sockets.take(number) for name, number in told.listeners.items()}
        except (ValueError, OSError) as exc:
            self.refuse(f"its state cannot be taken over: {exc}")
            raise HandoverRefused(f"the predecessor's state cannot be taken over: {exc}") from exc
        if not self._baton.take():
            self.close()
            raise HandoverRefused("the predecessor did not wait for so long, it serves on")
        self._sockets.keep()
        relay.read_media()
        self.listeners = listeners
        with suppress(WireBroken):  # it may have died meanwhile
            self._wire.allow(_TELLING_S)
            self._wire.say(taken=True)
        self.close()

    def refuse(self, reason: str) -> None:
        """Leave everything to the predecessor."""
        with suppress(WireBroken, TimeoutError):
            self._wire.say(refused=reason)
        self.close()

    def close(self) -> None:
        """Close what was not taken. Idempotent."""
        self._sockets.close()
        self._baton.close()
        self._wire.close()


def inherit(path: Path, relay_id: str, *, table: str = "", within_s: float = 10) -> Inheritance | None:
    """Ask the relay that listens there for all it has; None where none does, or where it died before it had told all.

    Raises HandoverRefused, OSError. It blocks: this process should have nothing else to do yet.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    inheritance: Inheritance | None = None
    try:
        sock.connect(str(path))
        inheritance = _ask(Wire(sock, within_s=within_s), relay_id, table)
    except (FileNotFoundError, ConnectionRefusedError, PeerGone):
        return None
    except TimeoutError as exc:
        raise HandoverRefused("the predecessor did not answer in time") from exc
    except WireBroken as exc:
        raise HandoverRefused(str(exc)) from exc
    finally:
        if inheritance is None:
            sock.close()
    return inheritance


def _ask(wire: Wire, relay_id: str, table: str) -> Inheritance:
    if wire.peer_user not in (os.geteuid(), 0):
        raise HandoverRefused("another user's process listens there")
    wire.say(reads=[VERSION], relay=relay_id, table=table)
    header = wire.hear()
    count = header.get("sockets")
    if header.get("version") != VERSION or not isinstance(count, int):
        raise HandoverRefused(
            f"the predecessor serves on: {header.get('refused', 'it tells what this one cannot read')}"
        )
    baton, *descriptors = wire.receive_descriptors(count + 1)
    try:
        document = wire.receive()
    except BaseException:
        close_all([baton, *descriptors])
        raise
    return Inheritance(wire, Baton(baton), Inherited(descriptors), document)
