"""The smallest relay: it watches its routes and reports on them, and carries nothing."""

from __future__ import annotations

from dataclasses import replace

from signaling.routes import RelayInfo, Route, RouteError, RouteReport, RouteState
from signaling.table import RouteTable
from tests.broker.samples import RELAY


class ReportingRelay:
    """`taken` ports cannot be bound."""

    def __init__(self, table: RouteTable, info: RelayInfo = RELAY) -> None:
        self.table = table
        self.info = info
        self.taken: set[int] = set()
        self.served: dict[str, Route] = {}
        self.seen: list[Route] = []

    async def run(self) -> None:
        await self.table.announce(self.info)
        async for routes in self.table.watch(self.info.id):
            self.seen += [route for route in routes.values() if route not in self.served.values()]
            self.served = dict(routes)
            for route in routes.values():
                await self.table.report(self.report_on(route))

    def report_on(self, route: Route, *, signaling_open: int = 0) -> RouteReport:
        taken = bool(self.taken & {route.signaling_port, route.media_port})
        return RouteReport(
            route.session_id,
            route.relay_id,
            route.signaling_port,
            route.media_port,
            route.backend,
            RouteState.FAILED if taken else RouteState.ACTIVE,
            RouteError.PORT_TAKEN if taken else None,
            signaling_open,
        )

    async def viewers(self, session_id: str, count: int, *, input_at: float | None = None) -> None:
        """Report so many viewers of a session, and when input of theirs was last seen to pass."""
        report = self.report_on(self.served[session_id], signaling_open=count)
        await self.table.report(replace(report, last_client_input_at=input_at))
