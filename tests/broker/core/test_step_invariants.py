"""A small world of sessions, backends and a relay, driven at random: what must hold whatever happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.core.ledger import Claim, Ledger, claims_of, lingering, pools_of
from broker.core.placement import choose_slot
from broker.core.session import Session, State, Wanted
from broker.core.slot import Activity, Backend, BackendState
from broker.core.step import Activate, Command, Facts, Launch, Publish, Release, Withdraw, next_deadline, step
from signaling.routes import Endpoint, PortRange, RelayInfo, Route, RouteError, RouteReport, RouteState
from tests.broker.samples import CLOCKS, RELAY, make_profile, make_session, session_id

PROFILE = make_profile(slots=3)
SMALL_RELAY = replace(RELAY, ports=PortRange(31000, 31009), capacity=4)


class World(RuleBasedStateMachine):
    """Time moves only by `wait` and `reach_next_deadline`; a session is stepped only by `converge`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.made = 0
        self.sessions: dict[str, Session] = {}
        self.claims: dict[str, Claim] = {}
        self.backends: dict[str, Backend] = {}
        self.released: set[str] = set()
        self.routes: dict[str, Route] = {}
        self.reports: dict[str, RouteReport] = {}
        self.relays: dict[str, RelayInfo] = {SMALL_RELAY.id: SMALL_RELAY}

    # --- what callers and the outside do

    @rule()
    def create(self) -> None:
        self.made += 1
        slot = choose_slot(PROFILE, session_id(self.made), self.ledger())
        if slot is not None:
            slot = replace(slot, id=f"slot of session {self.made}")
            clocks = replace(CLOCKS, idle_s=300.0, max_length_s=900.0)
            session = replace(make_session(clocks=clocks, at=self.now), id=session_id(self.made), slot=slot)
            self.write(None, session)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        session = self.any_session(data)
        self.write(session, replace(session, wanted=Wanted.ENDED))

    @precondition(lambda self: self.backends)
    @rule(data=st.data(), state=st.sampled_from((BackendState.STARTING, BackendState.IDLE, BackendState.FAILED)))
    def backend_moves(self, data: st.DataObject, state: BackendState) -> None:
        slot = data.draw(st.sampled_from(sorted(self.backends)))
        backend = self.backends[slot]
        if backend.state is BackendState.FAILED or (backend.state is BackendState.CLAIMED) != (
            state is BackendState.FAILED
        ):
            return
        ports = 47000 + 2 * data.draw(st.integers(0, 5))
        self.backends[slot] = replace(backend, state=state, endpoint=Endpoint("127.0.0.2", ports, ports + 1))

    @precondition(lambda self: self.backends)
    @rule(data=st.data())
    def backend_vanishes(self, data: st.DataObject) -> None:
        del self.backends[data.draw(st.sampled_from(sorted(self.backends)))]

    @precondition(lambda self: self.backends)
    @rule(data=st.data(), ago=st.floats(0, 400))
    def input_comes(self, data: st.DataObject, ago: float) -> None:
        slot = data.draw(st.sampled_from(sorted(self.backends)))
        self.backends[slot] = replace(self.backends[slot], activity=Activity(self.now - ago))

    @precondition(lambda self: self.routes)
    @rule(
        data=st.data(),
        error=st.sampled_from((None, None, *RouteError)),
        signaling_open=st.integers(0, 2),
        packet_ago=st.none() | st.floats(0, 40),
    )
    def relay_reports(
        self, data: st.DataObject, error: RouteError | None, signaling_open: int, packet_ago: float | None
    ) -> None:
        route = self.routes[data.draw(st.sampled_from(sorted(self.routes)))]
        self.reports[route.session_id] = RouteReport(
            route.session_id,
            route.relay_id,
            route.signaling_port,
            route.media_port,
            route.backend,
            RouteState.ACTIVE if error is None else RouteState.FAILED,
            error,
            signaling_open,
            last_client_packet_at=None if packet_ago is None else self.now - packet_ago,
        )

    @rule(present=st.booleans())
    def relay_comes_or_goes(self, present: bool) -> None:
        self.relays = {SMALL_RELAY.id: SMALL_RELAY} if present else {}

    @rule(seconds=st.floats(0, 90))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    # --- what the reconciler does

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), provider_silent=st.booleans(), crash=st.booleans())
    def converge(self, data: st.DataObject, provider_silent: bool, crash: bool) -> None:
        """One pass; with `crash` the broker dies between its write and its commands."""
        self.pass_over(self.any_session(data), provider_silent=provider_silent, crash=crash)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def reach_next_deadline(self, data: st.DataObject) -> None:
        session = self.any_session(data)
        deadline = next_deadline(session, self.facts(session))
        if deadline is not None:
            self.now = max(self.now, deadline)
            self.pass_over(session)

    def pass_over(self, session: Session, *, provider_silent: bool = False, crash: bool = False) -> None:
        facts = self.facts(session, provider_silent=provider_silent)
        after, commands = step(session, facts, self.now)
        again, repeated = step(after, facts, self.now)
        assert again == after, "a step is not idempotent"
        assert repeated == commands, "a step commands otherwise when asked again"
        became_ready = after.state is State.READY and session.state is not State.READY
        if became_ready:
            assert facts.backend is not None and facts.backend.state is BackendState.CLAIMED
            assert facts.report is not None and facts.report.state is RouteState.ACTIVE
        deadline = next_deadline(after, facts)
        assert deadline is None or deadline > self.now, "a deadline in the past would be looked at for ever"
        self.write(session, after)
        if not crash:
            for command in commands:
                self.carry_out(command, after)

    def carry_out(self, command: Command, session: Session) -> None:
        match command:
            case Launch(slot):
                if slot.id not in self.released:
                    self.backends.setdefault(slot.id, Backend(BackendState.STARTING))
            case Activate(slot):
                backend = self.backends[slot.id]
                if backend.state is BackendState.IDLE:
                    self.backends[slot.id] = replace(backend, state=BackendState.CLAIMED, session_id=session.id)
            case Publish(route):
                self.routes[session.id] = route
                self.reports.pop(session.id, None)
            case Withdraw(session_id=key):
                self.routes.pop(key, None)
                self.reports.pop(key, None)
            case Release(slot):
                self.backends.pop(slot.id, None)
                self.released.add(slot.id)

    def write(self, before: Session | None, after: Session) -> None:
        """As a store does it: exactly the session's claims, none of them another's."""
        for key in claims_of(after):
            claim = self.claims.get(key)
            assert claim is None or claim.owner == after.id, f"{key} would have two owners"
        linger = lingering(before, after, self.now)
        for key in (claims_of(before) if before is not None else frozenset()) - claims_of(after):
            del self.claims[key]
            if key in linger:
                self.claims[key] = Claim(None, linger[key])
        self.claims.update({key: Claim(after.id) for key in claims_of(after)})
        self.sessions[after.id] = after

    def facts(self, session: Session, *, provider_silent: bool = False) -> Facts:
        slot = session.slot.id if session.slot is not None else ""
        return Facts(
            backend=None if provider_silent else self.backends.get(slot),
            backends_known=not provider_silent,
            slot_released=slot in self.released,
            published=self.routes.get(session.id),
            report=self.reports.get(session.id),
            relays=self.relays,
            ledger=self.ledger(),
        )

    def ledger(self) -> Ledger:
        self.claims = {
            key: claim for key, claim in self.claims.items() if claim.until is None or claim.until > self.now
        }
        pools = Counter(pool for session in self.sessions.values() for pool in pools_of(session))
        return Ledger(self.claims, pools)

    def any_session(self, data: st.DataObject) -> Session:
        return self.sessions[data.draw(st.sampled_from(sorted(self.sessions)))]

    # --- what holds

    @invariant()
    def no_port_is_served_for_two_sessions(self) -> None:
        ports = [(r.relay_id, port) for r in self.routes.values() for port in (r.signaling_port, r.media_port)]
        assert len(ports) == len(set(ports))

    @invariant()
    def no_slot_has_two_backends(self) -> None:
        holders = [session.slot.claim for session in self.sessions.values() if session.slot is not None]
        assert len(holders) == len(set(holders))
        held = {session.slot.id for session in self.sessions.values() if session.slot is not None}
        assert self.backends.keys() <= held, "a backend runs for nobody"

    @invariant()
    def an_end_has_a_reason_and_a_life_has_none(self) -> None:
        for session in self.sessions.values():
            assert (session.state is State.ENDED) == (session.end_reason is not None)

    def teardown(self) -> None:
        """Left to themselves, all sessions end and give everything back."""
        for _ in range(200):
            live = [session for session in self.sessions.values() if session.forget_at is None]
            if not live:
                break
            for session in live:
                self.pass_over(session)
                session = self.sessions[session.id]
                self.pass_over(session)
            self.now += 30.0
        assert all(session.state is State.ENDED for session in self.sessions.values())
        assert not self.backends and not self.routes
        assert not [key for key, claim in self.claims.items() if claim.owner is not None]


World.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestWorld = World.TestCase
