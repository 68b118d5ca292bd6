"""What a broker knows of routes, reports and relays between two looks at the table. Pure.

A full read begins it, numbered changes carry it on, and what its own process writes enters it at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from signaling.routes import RelayInfo, Route, RouteReport


@dataclass(frozen=True, slots=True)
class Announced:
    """A relay's announcement and until when it counts, on the table's clock."""

    info: RelayInfo
    until: float


class Announcements:
    """The relays that are announced. `version` counts changes of anything but loads, what ran out included."""

    def __init__(self) -> None:
        self.version = 0
        self._known: Mapping[str, Announced] = {}
        self._shown: dict[str, RelayInfo] = {}
        self._excused: dict[str, RelayInfo] = {}
        self._excused_until = 0.0

    def take(self, known: Mapping[str, Announced], now: float) -> None:
        """Believe the table."""
        self._known = known
        before, self._shown = self._shown, self.relays(now)
        self.version += before != self._shown

    def excuse(self, until: float) -> None:
        """Count those that counted for so long whatever the table says: it was away, and could not be told."""
        self._excused, self._excused_until = self._shown, until

    def relays(self, now: float) -> dict[str, RelayInfo]:
        """Those whose announcement counts."""
        counting = {relay_id: one.info for relay_id, one in self._known.items() if one.until > now}
        return {**self._excused, **counting} if now < self._excused_until else counting


class RouteMirror:
    """Routes and reports by session. `is_whole` once a full read was taken."""

    def __init__(self) -> None:
        self.is_whole = False
        self.count = -1
        self.position = "0-0"
        self.routes: dict[str, Route] = {}
        self.reports: dict[str, RouteReport] = {}
        self._told: set[str] = set()
        self._own: dict[str, int] = {}

    def take(self, count: int, position: str, routes: Mapping[str, Route], reports: Mapping[str, RouteReport]) -> None:
        """Believe a full read that began after change number `count`."""
        both = self.reports.keys() & reports.keys()
        changed = (self.reports.keys() ^ reports.keys()) | {key for key in both if self.reports[key] != reports[key]}
        self._told |= changed if self.is_whole else reports.keys()
        self.routes, self.reports = dict(routes), dict(reports)
        self.count, self.position, self.is_whole = count, position, True
        self._own = {key: number for key, number in self._own.items() if number > count}

    def follows(self, count: int, position: str) -> bool:
        """Step to a change of this number; False where some before it were missed."""
        if count != self.count + 1:
            return False
        self.count, self.position = count, position
        return True

    def is_news(self, session_id: str) -> bool:
        """Whether the change stepped to says more of the session than its own process wrote since."""
        if self._own.get(session_id, -1) <= self.count:
            self._own.pop(session_id, None)
            return True
        return False

    def put_route(self, session_id: str, route: Route | None, *, number: int | None = None) -> None:
        """Another route is wanted, or none; a report of the one before goes. `number`: of a change of our own."""
        if route is None:
            self.routes.pop(session_id, None)
        else:
            self.routes[session_id] = route
        report = self.reports.get(session_id)
        if report is not None and (route is None or not report.is_about(route)):
            del self.reports[session_id]
            self._told.add(session_id)
        self._note(session_id, number)

    def put_report(self, report: RouteReport, *, number: int | None = None) -> None:
        """A relay said this; it counts where it is about the route that is wanted."""
        route = self.routes.get(report.session_id)
        if route is not None and report.is_about(route) and self.reports.get(report.session_id) != report:
            self.reports[report.session_id] = report
            self._told.add(report.session_id)
        self._note(report.session_id, number)

    def tell(self, session_ids: Iterable[str] = ()) -> frozenset[str]:
        """The sessions whose report came, changed or went since it was asked last; `session_ids` are told besides."""
        told, self._told = frozenset(self._told.union(session_ids)), set()
        return told

    def _note(self, session_id: str, number: int | None) -> None:
        if number is not None and number > self.count:
            self._own[session_id] = number
