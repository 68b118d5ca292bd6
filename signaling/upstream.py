"""One flow's way to the backend: a socket that asks each candidate until one proves itself, then knows it alone."""

from __future__ import annotations

import socket

from signaling.core.address import Sockaddr, canonical_host
from signaling.core.media_path import TransportAddress
from signaling.core.targets import BackendTargets
from signaling.errors import PortUnavailable
from signaling.handover_sockets import Packing
from signaling.handover_state import UpstreamSnapshot
from signaling.metrics import MediaDrop
from signaling.sockets import SocketFactory
from signaling.traffic import Count

DATAGRAMS_A_TURN = 64
"""Datagrams that one socket may have handled before the others get their turn."""


class Upstream:
    """A socket towards the backend with what the datagram path needs at hand.

    `locked` names the backend's transport once it is known; `trusted` says that the kernel lets nobody else in and that
    nothing of before is queued any more. `said_bytes` is what the client's DTLS records had beyond bare ones. The
    counters are of datagrams that were sent on.
    """

    __slots__ = (
        "_sockets",
        "address",
        "bytes_to_backend",
        "bytes_to_client",
        "client",
        "confirmed",
        "flow",
        "locked",
        "packets_to_backend",
        "packets_to_client",
        "said_bytes",
        "sock",
        "targets",
        "trusted",
        "ufrag",
        "viewer_id",
    )

    def __init__(self, sockets: SocketFactory, sock: socket.socket, viewer_id: str, targets: BackendTargets) -> None:
        self._sockets = sockets
        self.sock = sock
        self.address = _address(self.sock.getsockname())
        self.viewer_id = viewer_id
        self.targets = targets
        self.locked: TransportAddress | None = None
        self.trusted = False
        self.packets_to_backend = self.bytes_to_backend = 0
        self.packets_to_client = self.bytes_to_client = 0
        self.flow: int | None = None
        self.client: Sockaddr | None = None
        self.confirmed = False
        self.said_bytes = 0
        self.ufrag: str | None = None

    @classmethod
    def restored(
        cls, sockets: SocketFactory, sock: socket.socket, told: UpstreamSnapshot, targets: BackendTargets
    ) -> Upstream:
        """The upstream that was told of, on its own socket, which is connected where it is locked."""
        upstream = cls(sockets, sock, told.viewer, targets)
        upstream.locked, upstream.trusted, upstream.ufrag = told.locked, told.trusted, told.ufrag
        upstream.flow, upstream.client, upstream.confirmed = told.flow, told.client, told.confirmed
        upstream.said_bytes = told.said_bytes
        return upstream

    def snapshot(self, packing: Packing) -> UpstreamSnapshot:
        """All of it but its counts, which belong to the totals."""
        return UpstreamSnapshot(
            packing.add(self.sock),
            self.viewer_id,
            self.locked,
            self.trusted,
            self.flow,
            self.client,
            self.confirmed,
            self.said_bytes,
            self.ufrag,
        )

    def serve(self, flow: int, client: Sockaddr) -> None:
        """Become the upstream of a flow."""
        self.flow = flow
        self.client = client
        self.confirmed = False

    def release(self) -> None:
        """Serve no flow; a lock stays."""
        self.flow = None
        self.client = None
        self.confirmed = False
        self.ufrag = None

    def lock(self, peer: Sockaddr) -> None:
        """Talk with this transport of the backend alone; raises OSError where there is no way to it."""
        self.sock.connect(peer)
        self.locked = _address(peer)

    def rebind(self, host: str | None = None) -> None:
        """Undo the lock by a new socket, on the same port if it can be had; raises PortUnavailable.

        On `host` where one is given and can be bound.
        """
        self.sock.close()
        old = self.address
        for place in ((host or old.host, old.port), (host or old.host, 0)):
            try:
                self.sock = self._sockets.bind(*place)
                break
            except PortUnavailable:
                continue
        else:
            self.sock = self._sockets.bind(old.host, 0)
        self.address = _address(self.sock.getsockname())
        self.locked = None
        self.trusted = False

    def send(self, datagram: bytes | memoryview, *, stun: bool = False) -> MediaDrop | None:
        """Send to the backend: before the lock, STUN alone, to each candidate. Returns why it was not sent."""
        if self.locked is not None:
            return self._send(datagram, None)
        if not stun:
            return MediaDrop.NO_TARGET
        causes = [self._send(datagram, target) for target in self.targets.asked_for(self.ufrag)]
        return None if None in causes else causes[0]

    def take_counts(self) -> tuple[Count, Count]:
        """What was sent to the backend and to the client since the last time."""
        counts = (
            Count(self.packets_to_backend, self.bytes_to_backend),
            Count(self.packets_to_client, self.bytes_to_client),
        )
        self.packets_to_backend = self.bytes_to_backend = 0
        self.packets_to_client = self.bytes_to_client = 0
        return counts

    def _send(self, datagram: bytes | memoryview, target: TransportAddress | None) -> MediaDrop | None:
        cause = None
        for _ in range(2):
            try:
                if target is None:
                    self.sock.send(datagram)
                else:
                    self.sock.sendto(datagram, (target.host, target.port))
            except ConnectionRefusedError:  # tells of an earlier datagram; this one was not tried
                cause = MediaDrop.REFUSED
            except OSError:
                return MediaDrop.SEND_FAILED
            else:
                self.packets_to_backend += 1
                self.bytes_to_backend += len(datagram)
                return None
        return cause


def _address(sockaddr: Sockaddr) -> TransportAddress:
    return TransportAddress(canonical_host(sockaddr[0]), sockaddr[1])
