"""Media admission of one session: which client addresses media may come from and go to.

A *flow* is one client address (with the relay's port: one 5-tuple). It is `tentative` after one authenticated STUN
Binding request: only STUN passes, and at most three times the bytes received go back. It is `confirmed` once the
client proved that it hears what is sent there. Before signaling that cannot be read, the client's host stands in for
ICE credentials. The table decides; it holds no socket and no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from signaling.core.address import Sockaddr, canonical_host
from signaling.core.flow_records import Arrival, Flow, Viewer, put, runs, users_of
from signaling.core.media_path import IceCredentials, Side
from signaling.core.snapshots import FlowTableSnapshot
from signaling.core.stun import PacketKind, StunKind, StunMessage, packet_kind, parse_binding
from signaling.core.verdict import Drop, Kept, ToBackend, ToClient
from signaling.metrics import MediaDrop

AMPLIFICATION = 3
"""Bytes that may go to a tentative address for each byte that came from it."""


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """Bounds of one session's table.

    A confirmed flow that was silent for `live_s` yields to a newcomer; any flow ends after `idle_s`.
    """

    flows: int = 8
    live_s: float = 15
    idle_s: float = 30
    credentials: int = 16
    transactions: int = 1024
    checks: int = 32
    kept_s: float = 3
    failures_per_s: float = 2000


class FlowTable:
    """The flows of one session, for all its viewers."""

    def __init__(self, limits: FlowLimits, *, opaque: bool = False) -> None:
        self._limits = limits
        self._opaque = opaque
        self._viewers: dict[str, Viewer] = {}
        self._by_source: dict[Sockaddr, Flow] = {}
        self._by_id: dict[int, Flow] = {}
        self._next_id = 0
        self._transactions: dict[bytes, Sockaddr] = {}  # authenticated requests: who used the id first
        self._allowance = limits.failures_per_s
        self._allowance_at = 0.0

    def open_viewer(self, viewer_id: str, client_host: str) -> None:
        """Await media of a viewer whose admitted signaling comes from `client_host`."""
        self._viewers[viewer_id] = Viewer(viewer_id, canonical_host(client_host))

    def client_host(self, viewer_id: str) -> str:
        """Where the signaling of a viewer that is there comes from."""
        return self._viewers[viewer_id].host

    def close_viewer(self, viewer_id: str) -> tuple[int, ...]:
        """Forget a viewer; returns the flows that ended with it."""
        viewer = self._viewers.pop(viewer_id, None)
        gone = [flow for flow in self._by_id.values() if flow.viewer is viewer]
        return tuple(self._remove(flow) for flow in gone)

    def learn(self, viewer_id: str, side: Side, credentials: IceCredentials) -> None:
        """Register credentials beside the viewer's older ones, of which the oldest beyond the bound are forgotten."""
        known = self._viewers[viewer_id].credentials[side]
        key = (credentials.ufrag, credentials.pwd)
        known.pop(key, None)
        put(known, key, credentials, self._limits.credentials)

    def heard_at(self, viewer_id: str) -> float | None:
        """When the viewer's client was last heard on a confirmed flow; None where it never was."""
        return self._viewers[viewer_id].heard_at

    def from_client(self, source: Sockaddr, datagram: bytes, now: float) -> ToBackend | Drop:
        """Decide on a datagram that came to the relay's media port."""
        flow = self._by_source.get(source)
        if flow is not None and now - flow.seen > self._limits.idle_s:
            flow = None  # ended, though not swept yet
        came = Arrival(source, len(datagram), now)
        kind = packet_kind(datagram)
        if kind is PacketKind.STUN:
            message = parse_binding(datagram)
            if message is not None:
                return self._binding(came, flow, message)
            if flow is None or not flow.confirmed:
                return Drop(MediaDrop.MALFORMED)
        elif self._opaque and kind is PacketKind.DTLS:
            return self._handshake(came, flow)
        return self._media(came, flow)

    def from_backend(self, flow_id: int, datagram: bytes, now: float) -> ToClient | Drop:
        """Decide on a datagram that the backend's transport sent to the upstream of a flow."""
        flow = self._by_id.get(flow_id)
        if flow is None or now - flow.seen > self._limits.idle_s:
            return Drop(MediaDrop.NO_CLIENT)
        kind = packet_kind(datagram)
        message = parse_binding(datagram) if kind is PacketKind.STUN else None
        if not flow.confirmed:
            cause = self._withhold(flow, kind, message, len(datagram))
            if cause is not None:
                return Drop(cause)
        if message is not None and message.kind is StunKind.REQUEST:
            self._remember_check(flow, message)
        flow.answered = flow.answered or message is None or message.kind is StunKind.RESPONSE
        flow.bytes_out += len(datagram)
        return ToClient(flow.source)

    def keep(self, viewer_id: str, datagram: bytes, now: float) -> Kept | Drop:
        """Take a datagram of the backend for a viewer that has no flow yet; only the last check is kept."""
        viewer = self._viewers.get(viewer_id)
        message = parse_binding(datagram) if packet_kind(datagram) is PacketKind.STUN else None
        if viewer is None or message is None or message.kind is not StunKind.REQUEST:
            return Drop(MediaDrop.NO_CLIENT)
        viewer.kept = (message, datagram, now)
        return Kept()

    def proves_backend(self, viewer_id: str, datagram: bytes) -> bool:
        """Whether this STUN message could only be made by the backend's ICE agent of this viewer (or by the client)."""
        viewer = self._viewers.get(viewer_id)
        message = parse_binding(datagram) if packet_kind(datagram) is PacketKind.STUN else None
        if viewer is None or message is None:
            return False
        if message.kind is StunKind.REQUEST:  # RFC 8445 §7.2.2: USERNAME is peer:own, the key is the peer's pwd
            asked = viewer.named(Side.CLIENT, (message.username or "").partition(":")[0])
            return any(message.authentic(credentials.pwd) for credentials in asked)
        return message.kind is not StunKind.INDICATION and any(
            message.authentic(own.pwd) for own in viewer.credentials[Side.BACKEND].values()
        )

    def end(self, flow_id: int) -> None:
        """End a flow that could not be served. Idempotent."""
        flow = self._by_id.get(flow_id)
        if flow is not None:
            self._remove(flow)

    def touch(self, flow_id: int, now: float) -> None:
        """Media of a confirmed flow went by without asking."""
        flow = self._by_id.get(flow_id)
        if flow is not None and flow.confirmed:
            self._note(flow, now)

    def sweep(self, now: float) -> tuple[int, ...]:
        """End what was silent too long; returns the flows that ended."""
        gone = [flow for flow in self._by_id.values() if now - flow.seen > self._limits.idle_s]
        return tuple(self._remove(flow) for flow in gone)

    def snapshot(self, now: float) -> FlowTableSnapshot:
        """The whole table, for another process to go on with."""
        return FlowTableSnapshot(
            tuple(viewer.snapshot(now) for viewer in self._viewers.values()),
            tuple(flow.snapshot(now) for flow in self._by_id.values()),
            self._next_id,
            runs(self._transactions),
        )

    def restore(self, snapshot: FlowTableSnapshot, now: float) -> None:
        """Go on with another's table, while this one is empty; raises ValueError for a flow of nobody."""
        self._viewers = {told.id: Viewer.restored(told, now) for told in snapshot.viewers}
        for told in snapshot.flows:
            viewer = self._viewers.get(told.viewer)
            if viewer is None or told.id >= snapshot.next_id:
                raise ValueError(f"flow {told.id} is of no viewer, or of a later time")
            flow = Flow.restored(told, viewer, now)
            self._by_id[flow.id] = self._by_source[flow.source] = flow
        self._next_id = snapshot.next_id
        self._transactions = users_of(snapshot.transactions)

    def __len__(self) -> int:
        return len(self._by_id)

    # What clients send.

    def _binding(self, came: Arrival, flow: Flow | None, message: StunMessage) -> ToBackend | Drop:
        if message.kind is StunKind.REQUEST:
            return self._request(came, flow, message)
        if flow is not None and not flow.confirmed and message.kind is not StunKind.INDICATION:
            cause = self._refute_answer(flow, message)
            if cause is not None:
                return Drop(cause)
            flow.confirmed = message.kind is StunKind.RESPONSE
            return self._pass(flow, came)
        return self._media(came, flow)

    def _request(self, came: Arrival, flow: Flow | None, message: StunMessage) -> ToBackend | Drop:
        found = self._authenticate(came, message, stranger=flow is None)
        if isinstance(found, Drop):
            return found
        viewer, credentials = found
        first_user = self._transactions.get(message.transaction_id)
        if first_user is not None and first_user != came.source:
            return Drop(MediaDrop.REPLAYED)
        ufrag = credentials.ufrag if credentials is not None else None
        verdict = self._admit(came, flow, viewer, ufrag)
        if isinstance(verdict, Drop):
            return verdict
        if first_user is None:
            put(self._transactions, message.transaction_id, came.source, self._limits.transactions)
        flow = self._by_id[verdict.flow]
        # An ICE-lite backend sends no checks (RFC 8445 §2.5): that the client goes on after a response must do.
        if first_user is None and flow.answered and (credentials is None or credentials.lite):
            flow.confirmed = True
        return replace(verdict, confirmed=flow.confirmed, ufrag=ufrag)

    def _handshake(self, came: Arrival, flow: Flow | None) -> ToBackend | Drop:
        """DTLS before a backend whose signaling cannot be read: it may come without ICE."""
        viewer = flow.viewer if flow is not None else self._viewer_at(came.source)
        if viewer is None:
            return Drop(MediaDrop.NOT_ADMITTED)
        verdict = self._admit(came, flow, viewer, None)
        if isinstance(verdict, ToBackend) and self._by_id[verdict.flow].answered:
            self._by_id[verdict.flow].confirmed = True
            return replace(verdict, confirmed=True)
        return verdict

    def _media(self, came: Arrival, flow: Flow | None) -> ToBackend | Drop:
        if flow is None:
            return Drop(MediaDrop.NOT_ADMITTED)
        return self._pass(flow, came) if flow.confirmed else Drop(MediaDrop.NOT_CONFIRMED)

    def _authenticate(
        self, came: Arrival, message: StunMessage, *, stranger: bool
    ) -> tuple[Viewer, IceCredentials | None] | Drop:
        """RFC 8445 §7.3: USERNAME is `<backend's ufrag>:<client's ufrag>`, the key is the backend's pwd."""
        if self._opaque:
            viewer = self._viewer_at(came.source)
            return (viewer, None) if viewer is not None else Drop(MediaDrop.NOT_ADMITTED)
        if stranger and not self._may_fail(came.at):
            return Drop(MediaDrop.RATE_LIMITED)
        own, _, peer = (message.username or "").partition(":")
        users = [viewer for viewer in reversed(self._viewers.values()) if viewer.named(Side.BACKEND, own)]
        users.sort(key=lambda viewer: not viewer.named(Side.CLIENT, peer))
        for viewer in users:
            for credentials in viewer.named(Side.BACKEND, own):
                if message.authentic(credentials.pwd):
                    return viewer, credentials
        self._allowance -= stranger
        return Drop(MediaDrop.BAD_INTEGRITY if users else MediaDrop.UNKNOWN_USER)

    def _may_fail(self, now: float) -> bool:
        """Whether strangers have failed seldom enough of late for one more try to be looked at."""
        rate = self._limits.failures_per_s
        self._allowance = min(rate, self._allowance + (now - self._allowance_at) * rate)
        self._allowance_at = now
        return self._allowance >= 1

    def _refute_answer(self, flow: Flow, message: StunMessage) -> MediaDrop | None:
        """Why a tentative client's answer is not believed; None when it is, or is an error for the backend to see."""
        ufrag = flow.checks.get(message.transaction_id)
        if ufrag is None:
            return MediaDrop.UNKNOWN_TRANSACTION
        if message.kind is StunKind.ERROR or self._opaque:
            return None
        proven = any(message.authentic(own.pwd) for own in flow.viewer.named(Side.CLIENT, ufrag))
        return None if proven else MediaDrop.BAD_INTEGRITY

    # The table.

    def _admit(self, came: Arrival, flow: Flow | None, viewer: Viewer, ufrag: str | None) -> ToBackend | Drop:
        """Give `viewer`'s authenticated datagram its flow, a new one where there is none."""
        if flow is not None and flow.viewer is viewer:
            return self._pass(flow, came)
        if flow is not None and self._holds(flow, came.at):
            return Drop(MediaDrop.OTHER_VIEWER)
        replaced = self._by_source.get(came.source)
        if replaced is None and len(self._by_id) >= self._limits.flows:
            yielding = (old for old in self._by_id.values() if not self._holds(old, came.at))
            replaced = min(yielding, key=lambda old: old.seen, default=None)
            if replaced is None:
                return Drop(MediaDrop.TABLE_FULL)
        gone = self._remove(replaced) if replaced is not None else None
        flow = Flow(self._next_id, came.source, viewer, came.at, bytes_in=came.size)
        self._next_id += 1
        self._by_id[flow.id] = self._by_source[came.source] = flow
        kept = self._take_kept(flow, ufrag, came.at)
        return ToBackend(flow.id, viewer.id, confirmed=False, opened=True, replaced=gone, kept=kept)

    def _pass(self, flow: Flow, came: Arrival) -> ToBackend:
        self._note(flow, came.at)
        flow.bytes_in += came.size
        return ToBackend(flow.id, flow.viewer.id, flow.confirmed)

    def _note(self, flow: Flow, now: float) -> None:
        flow.seen = max(flow.seen, now)
        if flow.confirmed:
            flow.viewer.heard_at = max(flow.viewer.heard_at or now, now)

    def _holds(self, flow: Flow, now: float) -> bool:
        """Whether a flow keeps its place before a newcomer."""
        return flow.confirmed and now - flow.seen <= self._limits.live_s

    def _remove(self, flow: Flow) -> int:
        del self._by_id[flow.id]
        del self._by_source[flow.source]
        return flow.id

    # What backends send.

    def _withhold(self, flow: Flow, kind: PacketKind, message: StunMessage | None, size: int) -> MediaDrop | None:
        """Why a tentative flow's client must not be sent this; None when it may."""
        if kind is not PacketKind.STUN and not (self._opaque and kind is PacketKind.DTLS):
            return MediaDrop.NOT_CONFIRMED
        if message is None and kind is PacketKind.STUN:
            return MediaDrop.MALFORMED
        if message is not None and message.kind in (StunKind.RESPONSE, StunKind.ERROR):
            if self._transactions.get(message.transaction_id) != flow.source:
                return MediaDrop.UNKNOWN_TRANSACTION
        return MediaDrop.AMPLIFICATION if flow.bytes_out + size > AMPLIFICATION * flow.bytes_in else None

    def _remember_check(self, flow: Flow, check: StunMessage) -> None:
        """RFC 8445 §7.2.2: the backend's USERNAME is `<client's ufrag>:<its own>`."""
        put(flow.checks, check.transaction_id, (check.username or "").partition(":")[0], self._limits.checks)

    def _take_kept(self, flow: Flow, ufrag: str | None, now: float) -> bytes | None:
        """The kept check, if it is fresh and of the transport that the client asked for; it was sent then."""
        kept, flow.viewer.kept = flow.viewer.kept, None
        if kept is None:
            return None
        check, datagram, since = kept
        stale = now - since > self._limits.kept_s or len(datagram) > AMPLIFICATION * flow.bytes_in
        if stale or ufrag not in (None, (check.username or "").partition(":")[2]):
            return None
        self._remember_check(flow, check)
        flow.bytes_out += len(datagram)
        return datagram

    def _viewer_at(self, source: Sockaddr) -> Viewer | None:
        """The newest viewer whose signaling comes from this host."""
        host = canonical_host(source[0])
        return next((viewer for viewer in reversed(self._viewers.values()) if viewer.host == host), None)
