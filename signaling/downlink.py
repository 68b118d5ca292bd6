"""From the backend to clients: drains upstream sockets, lets in the backend alone, sends out of the media port."""

from __future__ import annotations

import socket
from collections.abc import Callable

from signaling.core.address import Sockaddr, canonical_host
from signaling.core.flow import FlowTable
from signaling.core.media_path import TransportAddress
from signaling.core.stun import STUN_BELOW
from signaling.core.verdict import Drop
from signaling.metrics import MediaDrop, RelayCounters
from signaling.sockets import is_own_host
from signaling.upstream import DATAGRAMS_A_TURN, Upstream


class Downlink:
    """One route's way back. `port` is its media port's socket while it is open.

    `proved` is told when a transport has proved itself to be the backend's, so that its upstream can be locked to it.
    `buffer` holds the largest datagram; what else reads on the same loop may share it.
    """

    def __init__(
        self,
        backend_host: str,
        table: FlowTable,
        counters: RelayCounters,
        *,
        buffer: bytearray,
        monotonic: Callable[[], float],
        proved: Callable[[Upstream, Sockaddr], None],
    ) -> None:
        self._backend_host = backend_host
        self._table = table
        self._counters = counters
        self._buffer = buffer
        self._view = memoryview(buffer)
        self._monotonic = monotonic
        self._proved = proved
        self.port: socket.socket | None = None

    def read(self, upstream: Upstream) -> None:
        """Pass on what waits at an upstream's socket: a reader of the loop's."""
        try:
            if upstream.trusted and upstream.confirmed and upstream.client is not None and self.port is not None:
                self._drain_confirmed(upstream, self.port, upstream.client)
            else:
                self._drain_checked(upstream)
        except BlockingIOError:
            upstream.trusted = upstream.locked is not None
        except ConnectionRefusedError:
            self._counters.media_dropped.add(MediaDrop.REFUSED)
        except OSError:
            self._counters.media_dropped.add(MediaDrop.RECEIVE_FAILED)

    def _drain_confirmed(self, upstream: Upstream, port: socket.socket, client: Sockaddr) -> None:
        """The bulk of all datagrams goes here: nothing is looked up or made anew for each."""
        receive, send, buffer, chunk = upstream.sock.recv_into, port.sendto, self._buffer, self._view
        packets = total = 0
        try:
            for _ in range(DATAGRAMS_A_TURN):
                size = receive(buffer)
                if size != len(chunk):
                    chunk = self._view[:size]
                if buffer[0] < STUN_BELOW or size == 0:
                    self._judge_backend(upstream, bytes(chunk))
                    continue
                try:
                    send(chunk, client)
                except OSError:
                    self._counters.media_dropped.add(MediaDrop.SEND_FAILED)
                else:
                    packets += 1
                    total += size
        finally:
            upstream.packets_to_client += packets
            upstream.bytes_to_client += total

    def _drain_checked(self, upstream: Upstream) -> None:
        """Before and while the kernel's filter is put up, strangers' datagrams may be in the queue."""
        for _ in range(DATAGRAMS_A_TURN):
            size, source = upstream.sock.recvfrom_into(self._buffer)
            datagram = bytes(self._view[:size])
            cause = self._disprove(upstream, source, datagram)
            if cause is None:
                self._judge_backend(upstream, datagram)
            else:
                self._counters.media_dropped.add(cause)

    def _disprove(self, upstream: Upstream, source: Sockaddr, datagram: bytes) -> MediaDrop | None:
        """Why this is not the backend's; None when it is. The first transport to prove itself to a flow is locked."""
        address = TransportAddress(canonical_host(source[0]), source[1])
        if upstream.locked is not None:
            return None if address == upstream.locked else MediaDrop.FOREIGN_SOURCE
        if not is_own_host(self._backend_host, address.host):
            return MediaDrop.FOREIGN_SOURCE
        if not self._table.proves_backend(upstream.viewer_id, datagram):
            return MediaDrop.BAD_INTEGRITY
        if upstream.flow is not None:
            self._proved(upstream, source)
        return None

    def _judge_backend(self, upstream: Upstream, datagram: bytes) -> None:
        now = self._monotonic()
        if upstream.flow is None:
            kept = self._table.keep(upstream.viewer_id, datagram, now)
            if isinstance(kept, Drop):
                self._counters.media_dropped.add(kept.cause)
            return
        verdict = self._table.from_backend(upstream.flow, datagram, now)
        if isinstance(verdict, Drop):
            self._counters.media_dropped.add(verdict.cause)
        else:
            self.send(upstream, verdict.address, datagram)

    def send(self, upstream: Upstream, client: Sockaddr, datagram: bytes | memoryview) -> None:
        """Send one datagram to a client, where the port is open."""
        if self.port is None:
            return
        try:
            self.port.sendto(datagram, client)
        except OSError:
            self._counters.media_dropped.add(MediaDrop.SEND_FAILED)
        else:
            upstream.packets_to_client += 1
            upstream.bytes_to_client += len(datagram)
