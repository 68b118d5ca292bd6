"""One session's stay in a slot of a node: found idle, given its session, watched, given back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import aiohttp

from broker.core.node import Fleet, Node, NodeSlot, Presence, SlotState, Tenant, Verdict, presence, verdict
from broker.core.slot import Backend, BackendState, SlotRef
from broker.errors import BackendFailed
from broker.providers.base import Activation
from broker.providers.control import ControlClient, NoAnswer, Occupancy, Readiness
from broker.providers.nodes import Nodes
from signaling.routes import Endpoint

_ASK_FIRST_S = 0.05
_ASK_MOST_S = 0.5
_ACTIVITY_EVERY_S = 10.0
_LOOK_EVERY_S = 10.0
_GIVE_BACK_TRIES = 3
_GIVE_BACK_WITHIN_S = 6.0
_MESSAGE_MOST_CHARS = 700
_WARNINGS_MOST = 4


@dataclass(frozen=True, slots=True)
class _Seat:
    """A backend that was found: where it is and how it is called."""

    node: Node
    slot: NodeSlot
    control: ControlClient

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.node.host, self.slot.signaling_port, self.slot.media_port)


class _Over(Exception):
    """Nothing is to be had of this backend any more, and that was told."""


class Tenancy:
    """`tell` hears of each change. `expected`: what the backend was given by another broker, and is to have still.

    It looks at its node when it is told to (`look`), and by itself only now and then: there may be many of it.
    `asks_activity`: whether anybody wants to know when input came last.
    """

    def __init__(
        self,
        slot: SlotRef,
        nodes: Nodes,
        http: aiohttp.ClientSession,
        tell: Callable[[Backend], None],
        *,
        expected: Activation | None = None,
        asks_activity: bool = True,
    ) -> None:
        self.slot = slot
        self._asks_activity = asks_activity
        self._nodes = nodes
        self._http = http
        self._tell_owner = tell
        self._expected = expected
        self._now = Backend(BackendState.STARTING)
        self._given: str | None = expected.session_id if expected is not None else None
        self._began_at = nodes.now()
        self._last_known: Node | None = None
        self._failed_asks = 0
        self._instance: str | None = None
        self._news = asyncio.Event()
        self._warnings: asyncio.Queue[str] = asyncio.Queue(_WARNINGS_MOST)
        self._activation: asyncio.Future[Activation] = asyncio.get_running_loop().create_future()

    def activate(self, activation: Activation) -> None:
        """Serve this session once idle; a second one is not taken."""
        if not self._activation.done():
            self._activation.set_result(activation)
            self._news.set()

    def notify(self, warning: str) -> None:
        """Tell its viewers; more than it can be told in time is dropped, as it would come too late."""
        with suppress(asyncio.QueueFull):
            self._warnings.put_nowait(warning)
            self._news.set()

    def look(self) -> None:
        """Its node may have said something new."""
        self._news.set()

    def fail(self, message: str) -> None:
        """Say that the backend is not coming back."""
        self._end(BackendState.FAILED, message)

    async def live(self) -> None:
        """Until its end was told, or cancelled; the backend goes on then."""
        with suppress(_Over):
            seat = await self._found()
            if self._now.state is BackendState.IDLE:
                seat = await self._given_its_session(seat)
            await self._watch(seat)

    async def give_back(self) -> None:
        """Have the backend end the session, in bounded time; what cannot be reached is ended by who comes next."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_GIVE_BACK_WITHIN_S):
                for _ in range(_GIVE_BACK_TRIES):
                    seat = self._seat()
                    if seat is None or self._presence(seat.node) in (Presence.LEFT, Presence.SILENT):
                        return
                    if self._instance not in (None, seat.slot.instance):
                        return
                    with suppress(NoAnswer, BackendFailed):
                        await self._end_session(seat)
                        return
                    await asyncio.sleep(_ASK_MOST_S)

    async def _end_session(self, seat: _Seat) -> None:
        """Raises NoAnswer, BackendFailed."""
        session_id = self._given
        if session_id is None:
            found = await seat.control.ready()
            if found.state is Readiness.IDLE or (found.session_id and not self.slot.is_of(found.session_id)):
                return
            session_id = found.session_id
        await seat.control.delete_session(session_id)

    async def _found(self) -> _Seat:
        """The backend once it is idle or has the session; what it was at before is ended. Raises _Over."""
        delay_s = _ASK_FIRST_S
        while True:
            seat = self._seat()
            self._check_before(seat)
            if seat is not None:
                try:
                    if await self._settled_on(seat):
                        return seat
                except NoAnswer:
                    self._failed_asks += 1
            await self._pause(delay_s)
            delay_s = min(delay_s * 1.5, _ASK_MOST_S)

    async def _settled_on(self, seat: _Seat) -> bool:
        """Whether the backend is ready for the session. Raises NoAnswer, _Over."""
        try:
            found = await seat.control.ready()
        except BackendFailed as error:
            raise self._over(BackendState.FAILED, f"The streaming backend failed: {error}") from error
        self._failed_asks, self._instance = 0, seat.slot.instance
        if self._is_ours(found):
            self._given = found.session_id or self._given
            self._tell(Backend(BackendState.CLAIMED, seat.endpoint, self._given))
            return True
        if self._expected is not None:
            raise self._over(BackendState.FAILED, "The streaming backend was restarted")
        if found.state is Readiness.IDLE:
            self._tell(Backend(BackendState.IDLE, seat.endpoint))
            return True
        if self._nodes.fleet().listening_since is None:
            return False  # who is cut from the store may have been followed: that session may be its follower's
        with suppress(BackendFailed):
            await seat.control.delete_session(found.session_id)
        return False

    def _is_ours(self, found: Occupancy) -> bool:
        if found.state is not Readiness.CLAIMED:
            return False
        if found.session_id is None:
            return self._given is not None
        return found.session_id == self._given if self._given is not None else self.slot.is_of(found.session_id)

    def _check_before(self, seat: _Seat | None) -> None:
        """Whether there is still something to wait for. Raises _Over."""
        fleet, node = self._nodes.fleet(), self._node()
        if fleet.listening_since is None:
            return
        there = self._presence(node) if node is not None else self._absence(fleet)
        gone_silent = there is Presence.SILENT and (seat is None or self._failed_asks >= fleet.clocks.probes)
        if there is Presence.LEFT or gone_silent:
            raise self._lost(there)
        if there is Presence.HEARD and seat is None:
            raise self._over(BackendState.FAILED, f"Node {self.slot.node} has no slot {self.slot.number} any more")
        if seat is not None and seat.slot.state is SlotState.FAILED:
            raise self._over(BackendState.FAILED, _with("The streaming backend does not start", seat.slot.message))

    async def _given_its_session(self, seat: _Seat) -> _Seat:
        """Raises _Over."""
        while not self._activation.done():
            await self._pause(await self._checked(seat))
        activation = self._activation.result()
        self._given = activation.session_id
        while True:
            try:
                await seat.control.put_session(activation)
                break
            except BackendFailed as error:
                raise self._over(BackendState.FAILED, f"The streaming backend failed: {error}") from error
            except NoAnswer:
                await self._checked(seat)
                await self._pause(_ASK_MOST_S)
        self._tell(Backend(BackendState.CLAIMED, seat.endpoint, activation.session_id))
        return seat

    async def _watch(self, seat: _Seat) -> None:
        """Raises _Over."""
        loop = asyncio.get_running_loop()
        ask_at = loop.time()
        while True:
            pause_s = await self._checked(seat)
            if self._asks_activity and loop.time() >= ask_at:
                ask_at = loop.time() + _ACTIVITY_EVERY_S
                with suppress(NoAnswer, BackendFailed):
                    self._tell(replace(self._now, activity=await seat.control.activity()))
            while not self._warnings.empty():
                with suppress(NoAnswer, BackendFailed):
                    await seat.control.post_notice("warning", self._warnings.get_nowait())
            await self._pause(pause_s)

    async def _checked(self, seat: _Seat) -> float:
        """Hold what the node says against what was found: in how many seconds to look again. Raises _Over."""
        fleet, node = self._nodes.fleet(), self._node() or seat.node
        if fleet.listening_since is None:
            return fleet.clocks.probe_every_s
        tenant = Tenant(self.slot.number, self._given or "", seat.node.boot, seat.slot.instance)
        there = self._presence(node)
        match verdict(tenant, node, there, self._failed_asks, fleet.clocks):
            case Verdict.STAYS:
                self._failed_asks = 0
                return _LOOK_EVERY_S
            case Verdict.ASK:
                await self._ask(seat)
                return fleet.clocks.probe_every_s
            case Verdict.GONE:
                raise self._over(BackendState.FAILED, _ending(node, self.slot))
            case Verdict.LOST if there is Presence.HEARD:
                raise self._over(BackendState.LOST, f"Node {node.name} is lost: it was started anew")
            case Verdict.LOST:
                raise self._lost(there)

    async def _ask(self, seat: _Seat) -> None:
        """Ask the backend itself whether it still has the session. Raises _Over."""
        try:
            found = await seat.control.ready()
        except (NoAnswer, BackendFailed):
            self._failed_asks += 1
            return
        self._failed_asks = 0
        if self._now.state is BackendState.CLAIMED and not self._is_ours(found):
            raise self._over(BackendState.FAILED, "The streaming backend was restarted")

    def _absence(self, fleet: Fleet) -> Presence:
        """Nothing at all is known of the node: since this began, at the longest since somebody listens."""
        since = max(self._began_at, fleet.listening_since or 0)
        return Presence.SILENT if self._nodes.now() - since > fleet.clocks.grace_s else Presence.SUSPECT

    def _node(self) -> Node | None:
        """The node as it is known; where the store lost it, as it was known last."""
        node = self._nodes.fleet().nodes.get(self.slot.node)
        self._last_known = node or self._last_known
        return self._last_known

    def _presence(self, node: Node) -> Presence:
        fleet = self._nodes.fleet()
        since = max(fleet.listening_since or 0, self._began_at)
        return presence(node, self._nodes.now(), fleet.clocks, listening_since=since)

    def _seat(self) -> _Seat | None:
        node = self._node()
        slot = node.slot(self.slot.number) if node is not None else None
        if node is None or slot is None:
            return None
        return _Seat(node, slot, ControlClient(self._http, node.host, slot.control_port, slot.control_token))

    async def _pause(self, seconds: float) -> None:
        """Until there is news, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    def _lost(self, there: Presence) -> _Over:
        why = "it left" if there is Presence.LEFT else "it is not heard, and its streaming backend does not answer"
        return self._over(BackendState.LOST, f"Node {self.slot.node} is lost: {why}")

    def _over(self, state: BackendState, message: str) -> _Over:
        self._end(state, message)
        return _Over()

    def _end(self, state: BackendState, message: str) -> None:
        text = " ".join(message.split())[:_MESSAGE_MOST_CHARS]
        self._tell(replace(self._now, state=state, message=text))

    def _tell(self, backend: Backend) -> None:
        if backend != self._now:
            self._now = backend
            self._tell_owner(backend)


def _ending(node: Node, slot: SlotRef) -> str:
    found = node.slot(slot.number)
    if found is None:
        return f"The streaming backend is gone: node {node.name} has no slot {slot.number} any more"
    return found.message or "The streaming backend was restarted"


def _with(text: str, reason: str) -> str:
    return f"{text}: {reason}" if reason else text
