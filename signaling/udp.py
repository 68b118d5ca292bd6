"""The media port of one route: a plain drain loop that asks the flow core where to send, never what it carries.

Nothing here awaits, logs or makes a task for a datagram. A datagram of a confirmed flow costs a dictionary lookup by
its source and a send; STUN always goes by the core.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterable, Mapping

from signaling.core.address import Sockaddr, canonical_host
from signaling.core.flow import FlowLimits, FlowTable
from signaling.core.media_path import IceCredentials, Side, TransportAddress
from signaling.core.snapshots import Targets
from signaling.core.stun import STUN_BELOW, PacketKind, packet_kind
from signaling.core.targets import BackendTargets
from signaling.core.verdict import Drop, ToBackend
from signaling.downlink import Downlink
from signaling.errors import PortUnavailable, TooManyViewers
from signaling.handover_sockets import Inherited, Packing
from signaling.handover_state import MediaSnapshot, PathSnapshot
from signaling.metrics import CandidateRefusal, Direction, MediaDrop, RelayCounters
from signaling.routes import Route, SignalingKind
from signaling.settings import RelaySettings
from signaling.sockets import SocketFactory, is_loopback, is_own_host, upstream_host
from signaling.traffic import BARE_RECORD_BYTES, HEARTBEAT_BYTES, Traffic
from signaling.upstream import DATAGRAMS_A_TURN, Upstream
from signaling.viewer_path import UdpViewerPath

_MEDIA_FROM = 64
"""RFC 7983 §7: of what passes on a confirmed flow, a first byte below this is a DTLS record's, which holds messages."""


class UdpMediaPort:
    """The media side of one route. Its owner calls `sweep` about once a second."""

    def __init__(
        self,
        route: Route,
        settings: RelaySettings,
        counters: RelayCounters,
        *,
        sockets: SocketFactory,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.route = route
        self._settings = settings
        self._counters = counters
        self._sockets = sockets
        self._clock = clock
        self._monotonic = monotonic
        self._opaque = route.signaling is SignalingKind.OPAQUE
        limits = FlowLimits(flows=settings.max_tuples, live_s=settings.live_s, idle_s=settings.idle_s)
        self._table = FlowTable(limits, opaque=self._opaque)
        self._paths: dict[str, UdpViewerPath] = {}
        self._upstreams: dict[int, Upstream] = {}
        self._confirmed: dict[Sockaddr, Upstream] = {}
        self._buffer = bytearray(65536)
        self._view = memoryview(self._buffer)
        self._sock: socket.socket | None = None
        self._downlink = Downlink(
            route.backend.host,
            self._table,
            counters,
            buffer=self._buffer,
            monotonic=monotonic,
            proved=self._know_backend,
        )
        self.traffic = Traffic()

    def open(self) -> None:
        """Bind the route's media port on the running loop; raises PortUnavailable."""
        self._upstream_host = self._settings.upstream_host or upstream_host(
            self._settings.host, self.route.backend.host
        )
        port = self._settings.bound_port(self.route.media_port)
        self._sock = self._downlink.port = self._sockets.bind(self._settings.host, port)
        self.read()

    def read(self) -> None:
        """Begin to read on the running loop; raises nothing."""
        self._loop = asyncio.get_running_loop()
        if self._sock is not None:
            self._loop.add_reader(self._sock, self._read_clients, self._sock)
        for upstream in self._all_upstreams():
            self._loop.add_reader(upstream.sock, self._downlink.read, upstream)

    def close(self) -> None:
        """Give every socket back. Idempotent."""
        for path in list(self._paths.values()):
            path.close()
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._sock.close()
            self._sock = self._downlink.port = None

    def snapshot(self, packing: Packing) -> MediaSnapshot:
        """The whole port for a successor, while it is open."""
        assert self._sock is not None
        upstreams = list(self._all_upstreams())
        for upstream in upstreams:
            self._settle(upstream)
        number = {upstream: place for place, upstream in enumerate(upstreams)}
        return MediaSnapshot(
            packing.add(self._sock),
            self._upstream_host,
            tuple(upstream.snapshot(packing) for upstream in upstreams),
            tuple(PathSnapshot(name, number[path.bound], path.targets.known) for name, path in self._paths.items()),
            self._table.snapshot(self._monotonic()),
            self.traffic.snapshot(),
        )

    def restore(self, told: MediaSnapshot, inherited: Inherited) -> Mapping[str, UdpViewerPath]:
        """Take a predecessor's port, in the place of `open`; its viewers' paths. `read` begins. Raises ValueError."""
        self._loop = asyncio.get_running_loop()
        self._upstream_host = told.upstream_host
        self._sock = self._downlink.port = inherited.take(told.sock)
        self._table.restore(told.table, self._monotonic())
        self.traffic = Traffic.restored(told.traffic)
        targets = {path.viewer: self._targets(path.targets) for path in told.paths}
        if not {upstream.viewer for upstream in told.upstreams} <= targets.keys():
            raise ValueError("an upstream is of no viewer")
        upstreams = [
            Upstream.restored(self._sockets, inherited.take(one.sock), one, targets[one.viewer])
            for one in told.upstreams
        ]
        for path in told.paths:
            if path.bound not in range(len(upstreams)):
                raise ValueError(f"a path is bound to upstream {path.bound}, which is none")
            self._add_path(path.viewer, upstreams[path.bound], targets[path.viewer])
        for upstream in upstreams:
            if upstream.flow is not None:
                self._upstreams[upstream.flow] = upstream
                self._let_media_pass(upstream)
        return self._paths

    def _all_upstreams(self) -> Iterable[Upstream]:
        """Those of flows and those that wait for one, each once."""
        return dict.fromkeys([*(path.bound for path in self._paths.values()), *self._upstreams.values()])

    def open_viewer(self, viewer_id: str, client_host: str) -> UdpViewerPath:
        """Open a path for a viewer; raises TooManyViewers, also when the process has no socket left for one."""
        if viewer_id in self._paths:
            raise ValueError(f"viewer {viewer_id} is already there")
        if self._sock is None or len(self._paths) >= self._settings.max_viewers:
            raise TooManyViewers(len(self._paths))
        targets = self._targets()
        try:
            bound = self._open_upstream(viewer_id, targets, self._upstream_host)
        except PortUnavailable as exc:
            raise TooManyViewers(len(self._paths)) from exc
        self._table.open_viewer(viewer_id, client_host)
        return self._add_path(viewer_id, bound, targets)

    def _targets(self, known: Targets = ()) -> BackendTargets:
        backend = self.route.backend
        return BackendTargets(TransportAddress(canonical_host(backend.host), backend.media_port), known)

    def _add_path(self, viewer_id: str, bound: Upstream, targets: BackendTargets) -> UdpViewerPath:
        host = self._settings.candidate_host_for(self._table.client_host(viewer_id))
        client_facing = TransportAddress(host, self.route.media_port)
        path = self._paths[viewer_id] = UdpViewerPath(self, viewer_id, client_facing, bound, targets)
        return path

    @property
    def viewers(self) -> int:
        """Viewers that media may pass to."""
        return len({upstream.viewer_id for upstream in self._confirmed.values()})

    def sweep(self) -> None:
        """End idle flows, bring the totals up to date."""
        now = self._monotonic()
        for upstream in self._upstreams.values():
            self._settle(upstream)
        for flow in self._table.sweep(now):
            self._end_flow(flow)

    # What a viewer's path asks for.

    def learn_credentials(self, viewer_id: str, side: Side, credentials: IceCredentials) -> None:
        """Register ICE credentials for a viewer that is there."""
        self._table.learn(viewer_id, side, credentials)

    def silent_s(self, viewer_id: str) -> float | None:
        """Seconds since media of a viewer that is there was heard; None where it never was."""
        heard_at = self._table.heard_at(viewer_id)
        return None if heard_at is None else self._monotonic() - heard_at

    def note_input(self) -> None:
        """A viewer said by signaling more than a keep-alive."""
        self.traffic.note_client_input(self._clock())

    def accepts_candidate(self, address: TransportAddress) -> bool:
        """Whether media may go to this address; a refusal is counted."""
        own = is_own_host(self.route.backend.host, address.host)
        if not own or (":" in address.host) != (":" in self._upstream_host):
            self._counters.candidates_refused.add(CandidateRefusal.FOREIGN_HOST)
            return False
        return True

    def leave_loopback(self, viewer_id: str, host: str) -> None:
        """Meet a backend on this host, an address of this machine's networks, unless a setting says where."""
        for upstream in {self._paths[viewer_id].bound, *self._upstreams.values()}:
            movable = upstream.viewer_id == viewer_id and upstream.locked is None
            if movable and is_loopback(upstream.address.host) and self._settings.upstream_host is None:
                self._rebind(upstream, host)

    def close_viewer(self, viewer_id: str, bound: Upstream) -> None:
        """Forget a viewer with its flows and sockets. Idempotent."""
        if self._paths.pop(viewer_id, None) is None:
            return
        for flow in self._table.close_viewer(viewer_id):
            self._end_flow(flow)
        self._close_upstream(bound)

    # From clients to the backend.

    def _read_clients(self, sock: socket.socket) -> None:
        receive, buffer, view, confirmed = sock.recvfrom_into, self._buffer, self._view, self._confirmed
        try:
            for _ in range(DATAGRAMS_A_TURN):
                size, source = receive(buffer)
                upstream = confirmed.get(source)
                if upstream is None or buffer[0] < STUN_BELOW or size == 0:
                    self._judge_client(source, bytes(view[:size]))
                else:
                    if buffer[0] < _MEDIA_FROM and size > BARE_RECORD_BYTES:
                        upstream.said_bytes += size - BARE_RECORD_BYTES
                    cause = upstream.send(view[:size])
                    if cause is not None:
                        self._counters.media_dropped.add(cause)
        except BlockingIOError:
            return
        except OSError:
            self._counters.media_dropped.add(MediaDrop.RECEIVE_FAILED)

    def _judge_client(self, source: Sockaddr, datagram: bytes) -> None:
        verdict = self._table.from_client(source, datagram, self._monotonic())
        if isinstance(verdict, Drop):
            self._counters.media_dropped.add(verdict.cause)
            return
        try:
            upstream = self._upstream_for(verdict, source)
        except PortUnavailable:
            self._end_flow(verdict.flow)
            self._counters.media_dropped.add(MediaDrop.NO_SOCKET)
            return
        self.traffic.note_client_packet(self._clock())
        upstream.confirmed = verdict.confirmed
        cause = upstream.send(datagram, stun=packet_kind(datagram) is PacketKind.STUN)
        if cause is not None:
            self._counters.media_dropped.add(cause)
        if verdict.kept is not None:
            self._downlink.send(upstream, source, verdict.kept)
        self._let_media_pass(upstream)

    def _upstream_for(self, verdict: ToBackend, source: Sockaddr) -> Upstream:
        """The upstream of the verdict's flow, opened or moved as it says; raises PortUnavailable."""
        if verdict.replaced is not None:
            self._end_flow(verdict.replaced)
        if verdict.opened:
            path = self._paths[verdict.viewer]
            upstream = path.bound
            if upstream.flow is not None:
                upstream = self._open_upstream(verdict.viewer, path.targets, path.bound.address.host)
            upstream.serve(verdict.flow, source)
            self._upstreams[verdict.flow] = upstream
        upstream = self._upstreams[verdict.flow]
        if verdict.ufrag is not None:
            upstream.ufrag = verdict.ufrag
            if upstream.locked is not None and upstream.targets.contradicts(upstream.locked, verdict.ufrag):
                self._unlock(upstream)
        return upstream

    # Flows and their sockets.

    def _open_upstream(self, viewer_id: str, targets: BackendTargets, host: str) -> Upstream:
        upstream = Upstream(self._sockets, self._sockets.bind(host, 0), viewer_id, targets)
        if self._opaque:  # nothing can be learned: the profile fixes the port
            backend = self.route.backend
            self._lock(upstream, (backend.host, backend.media_port))
        self._loop.add_reader(upstream.sock, self._downlink.read, upstream)
        return upstream

    def _know_backend(self, upstream: Upstream, peer: Sockaddr) -> None:
        self._lock(upstream, peer)
        self._let_media_pass(upstream)

    def _lock(self, upstream: Upstream, peer: Sockaddr) -> None:
        try:
            upstream.lock(peer)
        except OSError:
            self._counters.media_dropped.add(MediaDrop.SEND_FAILED)

    def _unlock(self, upstream: Upstream) -> None:
        """The client asks for another transport of the backend (ICE restart): ask again."""
        if upstream.client is not None:
            self._confirmed.pop(upstream.client, None)
        self._rebind(upstream)

    def _rebind(self, upstream: Upstream, host: str | None = None) -> None:
        self._loop.remove_reader(upstream.sock)
        upstream.rebind(host)
        self._loop.add_reader(upstream.sock, self._downlink.read, upstream)

    def _let_media_pass(self, upstream: Upstream) -> None:
        if upstream.confirmed and upstream.locked is not None and upstream.client is not None:
            self._confirmed[upstream.client] = upstream

    def _end_flow(self, flow: int) -> None:
        self._table.end(flow)
        upstream = self._upstreams.pop(flow, None)
        if upstream is None:
            return
        if upstream.client is not None and self._confirmed.get(upstream.client) is upstream:
            del self._confirmed[upstream.client]
        path = self._paths.get(upstream.viewer_id)
        if path is not None and path.bound is upstream:
            upstream.release()
        else:
            self._close_upstream(upstream)

    def _close_upstream(self, upstream: Upstream) -> None:
        if upstream.sock.fileno() < 0:
            return
        self._settle(upstream)
        self._loop.remove_reader(upstream.sock)
        upstream.sock.close()

    # Totals.

    def _settle(self, upstream: Upstream) -> None:
        """Move an upstream's counts to the totals; media that passed keeps its flow alive."""
        to_backend, to_client = upstream.take_counts()
        if to_backend.packets and upstream.flow is not None:
            self._table.touch(upstream.flow, self._monotonic())
            self.traffic.note_client_packet(self._clock())
        said_bytes, upstream.said_bytes = upstream.said_bytes, 0
        if said_bytes > HEARTBEAT_BYTES:
            self.traffic.note_client_input(self._clock())
        for direction, count in ((Direction.TO_BACKEND, to_backend), (Direction.TO_CLIENT, to_client)):
            self._counters.media_packets.add(direction, count.packets)
            self._counters.media_bytes.add(direction, count.bytes)
        self.traffic.to_backend += to_backend
        self.traffic.to_client += to_client
