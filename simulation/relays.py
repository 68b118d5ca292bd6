"""The relays and the route table: what is wanted of them, what they serve, what they report."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from random import Random

from broker.core.relay_health import PROBE_REFUSED_S, PROBE_S, Answer, RelayHealth, Sight
from signaling.routes import PortRange, RelayInfo, Route, RouteError, RouteReport, RouteState
from simulation.scenario import Scenario
from simulation.timeline import Timeline

_BIND_S = 0.02
_TTL_S = 2.5
"""A relay that does not announce itself for so long is missing."""

_SILENCE_S = 10.0
"""So long a relay may answer nothing before it counts as lost."""

_PORTS_PER_SESSION = 3
"""Two are in use, and one more for each session leaves room for pairs that linger."""


class Relays:
    """All relays. `tell` is called with a session's id whenever something was reported of its route."""

    def __init__(
        self, scenario: Scenario, timeline: Timeline, random: Random, *, tell: Callable[[str], Awaitable[None]]
    ) -> None:
        self._timeline = timeline
        self._random = random
        self._tell = tell
        self._port_taken = scenario.port_taken
        ports = PortRange(1024, 1023 + _PORTS_PER_SESSION * scenario.relay_capacity)
        infos = [
            RelayInfo(
                f"relay-{number:03}",
                f"192.0.{number >> 8}.{number & 255}",
                ports,
                scenario.relay_capacity,
                "0",
                zone=f"zone-{number % scenario.zones}",
            )
            for number in range(scenario.relays)
        ]
        self._all = {info.id: info for info in infos}
        self.announced = dict(self._all)
        self.routes: dict[str, Route] = {}
        self.reports: dict[str, RouteReport] = {}
        self.answering: frozenset[str] = frozenset()
        self.lost: frozenset[str] = frozenset()
        self._down: dict[str, Answer] = {}
        self._health = RelayHealth(silence_s=_SILENCE_S)

    @property
    def ids(self) -> list[str]:
        """Every relay there is, up or down."""
        return list(self._all)

    def publish(self, route: Route) -> None:
        """Want this route in the place of the session's earlier one."""
        self.routes[route.session_id] = route
        self.reports.pop(route.session_id, None)
        self._timeline.after(_BIND_S, partial(self._bind, route))

    def withdraw(self, session_id: str) -> None:
        """Want no route for this session."""
        self.routes.pop(session_id, None)
        self.reports.pop(session_id, None)

    def serves(self, session_id: str) -> bool:
        """Whether a viewer who connects now would be let in."""
        route, report = self.routes.get(session_id), self.reports.get(session_id)
        if route is None or report is None or route.relay_id in self._down:
            return False
        return report.state is RouteState.ACTIVE and report.is_about(route)

    async def viewer(self, session_id: str, *, present: bool) -> None:
        """A viewer came or went; only a relay that lives can tell."""
        report = self.reports.get(session_id)
        if report is not None and report.relay_id not in self._down and report.state is RouteState.ACTIVE:
            self.reports[session_id] = replace(report, signaling_open=int(present), viewers=int(present))
            await self._tell(session_id)

    def kill(self, relay_ids: Iterable[str], lasts_s: float, *, hosts_gone: bool) -> list[str]:
        """These relays die at once and start again, with the same ids, after so long; whose routes they served."""
        dying = {relay_id for relay_id in relay_ids if relay_id not in self._down}
        for relay_id in sorted(dying):
            self._down[relay_id] = Answer.SILENT if hosts_gone else Answer.REFUSED
            self._timeline.after(_TTL_S, partial(self._miss, relay_id))
            self._timeline.after(lasts_s, partial(self._revive, relay_id))
        return [route.session_id for route in self.routes.values() if route.relay_id in dying]

    def on(self, relay_id: str) -> list[str]:
        """The sessions whose routes are wanted of this relay."""
        return [route.session_id for route in self.routes.values() if route.relay_id == relay_id]

    async def _bind(self, route: Route) -> None:
        if self.routes.get(route.session_id) is not route or route.relay_id in self._down:
            return
        taken = self._random.random() < self._port_taken
        self.reports[route.session_id] = RouteReport(
            route.session_id,
            route.relay_id,
            route.signaling_port,
            route.media_port,
            route.backend,
            RouteState.FAILED if taken else RouteState.ACTIVE,
            RouteError.PORT_TAKEN if taken else None,
        )
        await self._tell(route.session_id)

    async def _miss(self, relay_id: str) -> None:
        if relay_id in self._down:
            self.announced = {key: info for key, info in self.announced.items() if key != relay_id}
            await self._judge(relay_id)
            await self._probe(relay_id)

    async def _probe(self, relay_id: str) -> None:
        """What the leader does of a relay that is not announced, until it is known why."""
        if relay_id not in self._down or relay_id in self.announced or relay_id in self.lost:
            return
        answer = self._down[relay_id]
        self._health.probed(relay_id, answer, self._timeline.now)
        await self._judge(relay_id)
        pause_s = PROBE_REFUSED_S if answer is Answer.REFUSED else PROBE_S
        self._timeline.after(pause_s, partial(self._probe, relay_id))

    async def _judge(self, relay_id: str) -> None:
        """Take over what is known of the relays, and tell those on this one where that changed."""
        self._health.see({route.relay_id for route in self.routes.values()}, self.announced, self._timeline.now)
        before = relay_id in self.lost
        self.lost = self._health.those_in(Sight.LOST)
        self.answering = self._health.those_in(Sight.ANSWERING)
        if before != (relay_id in self.lost) or self._health.sight(relay_id) is Sight.SUSPECT:
            for session_id in self.on(relay_id):
                await self._tell(session_id)

    async def _revive(self, relay_id: str) -> None:
        del self._down[relay_id]
        self.announced = {**self.announced, relay_id: self._all[relay_id]}
        await self._judge(relay_id)
        for session_id in self.on(relay_id):
            await self._bind(self.routes[session_id])
            await self._tell(session_id)
