"""Whatever clients, strangers and backends send, in any order: what must always hold of a flow table."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from signaling.core.address import Sockaddr
from signaling.core.flow import AMPLIFICATION, FlowLimits, FlowTable
from signaling.core.media_path import IceCredentials, Side
from signaling.core.snapshots import FlowTableSnapshot
from signaling.core.verdict import ToBackend, ToClient
from tests.signaling.stun_messages import DTLS, SRTP, indication, request, response
from tests.signaling.told import told

VIEWERS = ("v1", "v2")
CLIENTS = {viewer: IceCredentials(f"cl{viewer}", f"client-password-of-{viewer}") for viewer in VIEWERS}
BACKENDS = {viewer: IceCredentials(f"be{viewer}", f"backend-password-of-{viewer}") for viewer in VIEWERS}
SOURCES: tuple[Sockaddr, ...] = tuple(("192.0.2.1", port) for port in range(1, 6))
LIMITS = FlowLimits(flows=3)

viewers = st.sampled_from(VIEWERS)
sources = st.sampled_from(SOURCES)


@dataclass
class Seen:
    """What an honest observer knows of a living flow."""

    source: Sockaddr
    viewer: str
    heard_at: float
    bytes_in: int = 0
    bytes_out: int = 0
    proven: bool = False
    checks: list[bytes] = field(default_factory=list)


class FlowsHoldTheirPromises(RuleBasedStateMachine):
    """Compares each verdict with a plain record of what was sent."""

    @initialize(lite=st.booleans())
    def begin(self, lite: bool) -> None:
        self.table = FlowTable(LIMITS)
        self.lite = lite
        self.now = 0.0
        self.flows: dict[int, Seen] = {}
        self.first_source: dict[bytes, Sockaddr] = {}
        self.requests: list[tuple[str, bytes]] = []
        for viewer in VIEWERS:
            self.table.open_viewer(viewer, "192.0.2.1")
            self.table.learn(viewer, Side.CLIENT, CLIENTS[viewer])
            backend = BACKENDS[viewer]
            self.table.learn(viewer, Side.BACKEND, IceCredentials(backend.ufrag, backend.pwd, lite))

    def flow_at(self, source: Sockaddr) -> Seen | None:
        return next((seen for seen in self.flows.values() if seen.source == source), None)

    def is_held(self, seen: Seen) -> bool:
        return seen.proven and self.now - seen.heard_at <= LIMITS.live_s

    def note(self, verdict: ToBackend, source: Sockaddr, size: int) -> Seen:
        """Follow a verdict as the datagram path does."""
        if verdict.replaced is not None:
            assert not self.is_held(self.flows.pop(verdict.replaced)), "a living confirmed flow was displaced"
        if verdict.opened:
            assert verdict.flow not in self.flows
            self.flows[verdict.flow] = Seen(source, verdict.viewer, self.now)
        seen = self.flows[verdict.flow]
        assert seen.source == source
        seen.heard_at = self.now
        seen.bytes_in += size
        return seen

    @rule(viewer=viewers, source=sources)
    def client_asks(self, viewer: str, source: Sockaddr) -> None:
        self.ask(viewer, source, request(to=BACKENDS[viewer], by=CLIENTS[viewer]))

    @rule(viewer=viewers, source=sources)
    def client_goes_through_ice(self, viewer: str, source: Sockaddr) -> None:
        self.ask(viewer, source, request(to=BACKENDS[viewer], by=CLIENTS[viewer]))
        flow, seen = next(((key, seen) for key, seen in self.flows.items() if seen.source == source), (-1, None))
        if seen is None or seen.viewer != viewer:
            return
        check = request(to=CLIENTS[viewer], by=BACKENDS[viewer])
        if isinstance(self.table.from_backend(flow, check, self.now), ToClient):
            seen.bytes_out += len(check)
            seen.checks.append(check)
            self.answer(seen, check, CLIENTS[viewer].pwd)

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), source=sources)
    def request_is_sent_again_from_anywhere(self, data: st.DataObject, source: Sockaddr) -> None:
        viewer, asked = data.draw(st.sampled_from(self.requests))
        self.ask(viewer, source, asked)

    def ask(self, viewer: str, source: Sockaddr, asked: bytes) -> None:
        self.requests.append((viewer, asked))
        before = self.flow_at(source)
        verdict = self.table.from_client(source, asked, self.now)
        known = self.first_source.get(asked[8:20])
        if known not in (None, source):
            assert not isinstance(verdict, ToBackend), "a transaction id was accepted from a second address"
        if isinstance(verdict, ToBackend):
            assert verdict.viewer == viewer
            self.first_source.setdefault(asked[8:20], source)
            seen = self.note(verdict, source, len(asked))
            if self.lite and known is None and before is seen and seen.bytes_out:
                seen.proven = seen.proven or verdict.confirmed
            assert verdict.confirmed == seen.proven

    @rule(viewer=viewers, source=sources)
    def stranger_forges_a_request(self, viewer: str, source: Sockaddr) -> None:
        forged = request(to=BACKENDS[viewer], by=CLIENTS[viewer], pwd="guessed")
        assert not isinstance(self.table.from_client(source, forged, self.now), ToBackend)

    @rule(source=sources, datagram=st.sampled_from([b"", SRTP, DTLS, indication(), request()[:40]]))
    def client_sends_media(self, source: Sockaddr, datagram: bytes) -> None:
        seen = self.flow_at(source)
        verdict = self.table.from_client(source, datagram, self.now)
        living = seen is not None and seen.proven and self.now - seen.heard_at <= LIMITS.idle_s
        assert isinstance(verdict, ToBackend) == living
        if isinstance(verdict, ToBackend):
            self.note(verdict, source, len(datagram))

    @precondition(lambda self: self.flows)
    @rule(data=st.data(), honest=st.booleans())
    def client_answers_a_check(self, data: st.DataObject, honest: bool) -> None:
        seen = data.draw(st.sampled_from(list(self.flows.values())))
        check = data.draw(st.sampled_from([*seen.checks, request(to=CLIENTS[seen.viewer])]))
        self.answer(seen, check, CLIENTS[seen.viewer].pwd if honest else "guessed")

    def answer(self, seen: Seen, check: bytes, pwd: str) -> None:
        answer = response(check, pwd)
        verdict = self.table.from_client(seen.source, answer, self.now)
        if isinstance(verdict, ToBackend):
            seen.proven = seen.proven or (pwd != "guessed" and check in seen.checks)
            assert verdict.confirmed and seen.proven, "confirmed without proof"
            self.note(verdict, seen.source, len(answer))

    @precondition(lambda self: self.flows)
    @rule(data=st.data(), what=st.sampled_from(["check", "answer", "media"]))
    def backend_sends(self, data: st.DataObject, what: str) -> None:
        flow = data.draw(st.sampled_from(list(self.flows)))
        seen = self.flows[flow]
        datagram = SRTP
        if what == "check":
            datagram = request(to=CLIENTS[seen.viewer], by=BACKENDS[seen.viewer])
        elif what == "answer":
            _, asked = data.draw(st.sampled_from(self.requests))
            datagram = response(asked, BACKENDS[seen.viewer].pwd)
        verdict = self.table.from_backend(flow, datagram, self.now)
        if isinstance(verdict, ToClient):
            assert verdict.address == seen.source
            seen.bytes_out += len(datagram)
            if not seen.proven:
                assert what != "media", "media went to an unproven address"
                assert seen.bytes_out <= AMPLIFICATION * seen.bytes_in
            if what == "check":
                seen.checks.append(datagram)

    @rule(seconds=st.sampled_from([0.1, 5.0, 14.0, 16.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def table_is_swept(self) -> None:
        for flow in self.table.sweep(self.now):
            assert self.now - self.flows.pop(flow).heard_at > LIMITS.idle_s

    @rule(viewer=viewers)
    def viewer_comes_back(self, viewer: str) -> None:
        gone = self.table.close_viewer(viewer)
        assert set(gone) == {flow for flow, seen in self.flows.items() if seen.viewer == viewer}
        for flow in gone:
            del self.flows[flow]
        self.table.open_viewer(viewer, "192.0.2.1")
        self.table.learn(viewer, Side.CLIENT, CLIENTS[viewer])
        backend = BACKENDS[viewer]
        self.table.learn(viewer, Side.BACKEND, IceCredentials(backend.ufrag, backend.pwd, self.lite))

    @rule(clock=st.sampled_from([-1000.0, 0.0, 77.5]))
    def another_process_goes_on_by_a_clock_of_its_own(self, clock: float) -> None:
        snapshot = told(FlowTableSnapshot, self.table.snapshot(self.now))
        self.now += clock
        for seen in self.flows.values():
            seen.heard_at += clock
        self.table = FlowTable(LIMITS)
        self.table.restore(snapshot, self.now)

    @invariant()
    def table_is_bounded(self) -> None:
        if hasattr(self, "table"):
            assert len(self.table) == len(self.flows) <= LIMITS.flows
            assert len({seen.source for seen in self.flows.values()}) == len(self.flows)


TestFlowsHoldTheirPromises = FlowsHoldTheirPromises.TestCase
TestFlowsHoldTheirPromises.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
