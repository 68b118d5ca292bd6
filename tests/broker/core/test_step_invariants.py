"""A small world of sessions, backends and a relay, driven at random: what must hold whatever happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.core import intent
from broker.core.clocks import next_alarm
from broker.core.commands import Activate, Command, Launch, Publish, Release, Warn, Withdraw
from broker.core.ledger import (
    Claim,
    Ledger,
    claims_of,
    is_waiting,
    lingering,
    pools_of,
    queue_pool,
    share_pool,
    slots_pool,
)
from broker.core.pauses import Pause
from broker.core.placement import choose_ports, choose_slot, placed_or_waiting
from broker.core.session import Session, State, Wanted
from broker.core.slot import Activity, Backend, BackendState
from broker.core.step import Facts, next_deadline, step
from broker.errors import Conflict, Forbidden
from broker.waiting_room import WaitingRoom
from signaling.routes import Endpoint, PortRange, RelayInfo, Route, RouteError, RouteReport, RouteState
from tests.broker.samples import CLOCKS, RELAY, make_profile, make_session, session_id

CLOCKS_ON = replace(CLOCKS, placement_s=90, idle_s=300.0, max_length_s=900.0, max_stopped_s=600, extend_s=60)
PROFILE = replace(make_profile(slots=3), queue=4)
SMALL_RELAY = replace(RELAY, ports=PortRange(31000, 31009), capacity=4)
RELAYS = (SMALL_RELAY, replace(SMALL_RELAY, id="relay-b"))
QUOTA = 7


def is_at_rest(session: Session) -> bool:
    return session.state is State.STOPPED and session.is_settled


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
        self.relays: dict[str, RelayInfo] = {relay.id: relay for relay in RELAYS}
        self.lost: frozenset[str] = frozenset()
        self.answering: frozenset[str] = frozenset()
        self.pauses: tuple[Pause, ...] = ()
        self.room = WaitingRoom()

    # --- what callers and the outside do

    @rule(share=st.sampled_from(("ann", "ben")), at_max_length=st.sampled_from(("end", "stop")))
    def create(self, share: str, at_max_length: Literal["end", "stop"]) -> None:
        self.made += 1
        clocks = replace(CLOCKS_ON, at_max_length=at_max_length, extend_most_s=100)
        draft = replace(make_session(clocks=clocks, at=self.now), id=session_id(self.made), slot=None, share=share)
        session, bounds = placed_or_waiting(draft, PROFILE, self.relays, self.ledger(), self.now)
        self.write_within(None, session, {**bounds, share_pool(share): QUOTA})

    def those_that(self, fits: Callable[[Session], bool]) -> list[str]:
        return sorted(key for key, session in self.sessions.items() if fits(session))

    @precondition(lambda self: self.those_that(lambda session: session.state is not State.ENDED))
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        live = self.those_that(lambda session: session.state is not State.ENDED)
        session = self.sessions[data.draw(st.sampled_from(live))]
        self.write(session, intent.stop(session, "me", self.now, only_settled=False))

    @precondition(lambda self: self.those_that(is_at_rest))
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        session = self.sessions[data.draw(st.sampled_from(self.those_that(is_at_rest)))]
        draft = intent.start(session, "me", self.now, secret=f"secret {session.run}", only_settled=True)
        after, bounds = placed_or_waiting(draft, PROFILE, self.relays, self.ledger(), self.now)
        assert after.backend_secret != session.backend_secret
        self.write_within(session, after, bounds)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def extend(self, data: st.DataObject) -> None:
        session = self.any_session(data)
        alarm = next_alarm(session)
        try:
            after = intent.extend(session, None, self.now)
        except (Conflict, Forbidden):
            return
        later = next_alarm(after)
        assert alarm is not None and later is not None and later.at > alarm.at
        self.write(session, after)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), wanted=st.sampled_from((Wanted.ENDED, Wanted.ENDED, Wanted.STOPPED)))
    def delete(self, data: st.DataObject, wanted: Wanted) -> None:
        session = self.any_session(data)
        if session.state is not State.ENDED:
            self.write(session, replace(session, wanted=wanted))

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
        input_ago=st.none() | st.floats(0, 400),
    )
    def relay_reports(
        self,
        data: st.DataObject,
        error: RouteError | None,
        signaling_open: int,
        packet_ago: float | None,
        input_ago: float | None,
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
            last_client_input_at=None if input_ago is None else self.now - input_ago,
        )

    @rule(present=st.sets(st.sampled_from(RELAYS)), lost=st.booleans(), answering=st.booleans())
    def relays_come_and_go(self, present: set[RelayInfo], lost: bool, answering: bool) -> None:
        self.relays = {relay.id: relay for relay in present}
        gone = frozenset(relay.id for relay in RELAYS if relay not in present)
        self.lost = gone if lost else frozenset()
        self.answering = gone if answering and not lost else frozenset()

    @rule(seconds=st.floats(3, 900))
    def the_store_is_away(self, seconds: float) -> None:
        self.pauses = (*self.pauses, Pause(self.now, self.now + seconds))
        self.now += seconds

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

    @rule()
    def everybody_does_its_part(self) -> None:
        """Backends get ready and relays bind what is wanted of them, until nothing moves any more."""
        for _ in range(4):
            self.converge_until_nothing_moves()
            for slot, backend in self.backends.items():
                if backend.state is BackendState.STARTING:
                    ports = 47100 + 2 * len(self.backends)
                    endpoint = Endpoint("127.0.0.2", ports, ports + 1)
                    self.backends[slot] = replace(backend, state=BackendState.IDLE, endpoint=endpoint)
            for key, route in self.routes.items():
                ports_of_route = (route.signaling_port, route.media_port)
                report = RouteReport(key, route.relay_id, *ports_of_route, route.backend, RouteState.ACTIVE)
                self.reports.setdefault(key, report)

    @rule()
    def converge_until_nothing_moves(self) -> None:
        """Whoever is next is served, as long as there are slots and ports: none is idle while somebody waits."""
        before: dict[str, Session] = {}
        while before != self.sessions:
            before = dict(self.sessions)
            for session in before.values():
                self.pass_over(self.sessions[session.id])
        ledger = self.ledger()
        if ledger.count(queue_pool(PROFILE.id)):
            full = ledger.count(slots_pool(PROFILE.provider, PROFILE.id)) == PROFILE.slots
            without_ports = bool(self.relays) and choose_ports(self.relays, ledger, session_id(0)) is None
            assert full or without_ports, "a slot is idle while somebody waits"

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
            case Warn(slot, alarm):
                assert session.viewer_present and session.slot == slot and alarm.at > self.now

    def write_within(self, before: Session | None, after: Session, bounds: Mapping[str, int]) -> None:
        """As a store does it: nothing at all is written where a pool would outgrow its bound."""
        counted, counts = pools_of(before) if before is not None else frozenset(), pools_of(after)
        ledger = self.ledger()
        if all(ledger.count(p) + (p in counts) - (p in counted) <= most for p, most in bounds.items()):
            self.write(before, after)

    def write(self, before: Session | None, after: Session) -> None:
        """As a store does it: exactly the session's claims, none of them another's."""
        if after.slot is not None and (before is None or before.slot is None):
            after = replace(after, slot=replace(after.slot, id=f"slot of {after.id}, run {after.run}"))
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
        self.room.see(before, after)

    def facts(self, session: Session, *, provider_silent: bool = False) -> Facts:
        slot, ledger = session.slot.id if session.slot is not None else "", self.ledger()
        offer = None
        if is_waiting(session) and self.room.is_next(session):
            offer = choose_slot(PROFILE, session.id, ledger, run=session.run)
            offer = None if offer is None else replace(offer, id=f"slot of {session.id}, run {session.run}")
        return Facts(
            backend=None if provider_silent else self.backends.get(slot),
            backends_known=bool(slot) and not provider_silent,
            slot_released=slot in self.released,
            published=self.routes.get(session.id),
            report=self.reports.get(session.id),
            relays=self.relays,
            ledger=ledger,
            offer=offer,
            answering_relays=self.answering,
            lost_relays=self.lost,
            pauses=self.pauses,
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
    def who_waits_is_known_to_wait(self) -> None:
        waiting = {key for key, session in self.sessions.items() if is_waiting(session)}
        assert {key for key in self.sessions if self.room.waits(key)} == waiting
        assert len(waiting) <= PROFILE.queue

    @invariant()
    def nobody_has_more_than_its_quota(self) -> None:
        live = Counter(session.share for session in self.sessions.values() if session.state is not State.ENDED)
        assert all(count <= QUOTA for count in live.values())

    @invariant()
    def who_is_stopped_gets_nothing(self) -> None:
        for session in self.sessions.values():
            if session.is_settled and session.state is State.STOPPED:
                assert session.id not in self.routes and claims_of(session) == frozenset()

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
        assert not any(pools_of(session) for session in self.sessions.values())


World.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestWorld = World.TestCase
