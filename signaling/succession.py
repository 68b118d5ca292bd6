"""One relay process among those of its name on a host: it may take over from one, and waits for the next."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from pathlib import Path

from signaling.handover import HandoverPort, NameTaken
from signaling.handover_state import OWN_LISTENER
from signaling.inheritance import HandoverRefused, inherit
from signaling.relay import Relay

logger = logging.getLogger(__name__)

_STATUS = "status"


class Succession:
    """`path` is where they meet; `table` names their route table, for one at another is none of them."""

    def __init__(self, path: Path, relay: Relay, *, table: str) -> None:
        self._path = path
        self._relay = relay
        self._table = table
        self._inherited: dict[str, socket.socket] = {}
        self._port: HandoverPort | None = None

    def take_over(self) -> bool:
        """Make the relay, which has served nothing yet, go on where another is; whether one was there.

        Call it on the running loop, which it blocks. Raises HandoverRefused, OSError: the other serves on.
        """
        inheritance = inherit(self._path, self._relay.info.id, table=self._table)
        if inheritance is None:
            logger.info("no relay of this name waits at %s, starting afresh", self._path)
            return False
        inheritance.enter(self._relay)
        self._inherited = inheritance.listeners
        logger.info("took over %d sessions", self._relay.state.sessions)
        return True

    @property
    def status(self) -> list[socket.socket]:
        """Where the predecessor told its status."""
        return [sock for name, sock in self._inherited.items() if name.startswith(_STATUS)]

    def wait(self, status: Sequence[socket.socket] = ()) -> HandoverPort | None:
        """The place where a successor asks, open; None, and a warning, where there can be none.

        Raises HandoverRefused where another relay of this name is there: the two would take turns at the same routes.
        `status` are sockets that go along with what the relay has.
        """
        listeners = {f"{_STATUS}-{number}": sock for number, sock in enumerate(status)}
        own = self._inherited.get(OWN_LISTENER)
        port = HandoverPort(
            self._path,
            self._relay,
            self._relay.info.id,
            table=self._table,
            listeners=listeners if own is None else {**listeners, OWN_LISTENER: own},
        )
        try:
            port.open()
        except NameTaken as exc:
            raise HandoverRefused(
                f"relay {self._relay.info.id!r} runs on this host already, at the same route table: "
                "start this one with --takeover to take over from it, or with another --id"
            ) from exc
        except OSError as exc:
            logger.warning("no other relay can take over from this one: %s", exc)
            return None
        self._port = port
        return port

    def close(self) -> None:
        """Wait no more, and close the predecessor's sockets. Idempotent."""
        if self._port is not None:
            self._port.close()
        for sock in self._inherited.values():
            sock.close()
