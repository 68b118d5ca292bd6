from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from signaling.core.route_mirror import Announced, Announcements, RouteMirror
from signaling.routes import Endpoint, PortRange, RelayInfo, RelayLoad, Route, RouteReport, RouteState

BACKEND = Endpoint("127.0.0.2", 47000, 47001)
ROUTE = Route("s1", "r1", 31000, 31001, BACKEND, "secret")
REPORT = RouteReport("s1", "r1", 31000, 31001, BACKEND, RouteState.ACTIVE)
MOVED = replace(ROUTE, relay_id="r2")
R1 = RelayInfo("r1", "127.0.0.1", PortRange(31000, 31999), 100, "0.1.0")
R2 = replace(R1, id="r2")


def announced(info: RelayInfo, until: float) -> dict[str, Announced]:
    return {info.id: Announced(info, until)}


def test_an_announcement_counts_until_it_runs_out() -> None:
    known = Announcements()
    known.take(announced(R1, 102.5), 100)
    assert known.relays(102) == {"r1": R1}
    assert known.relays(102.5) == {}


def test_only_other_announcements_are_changes() -> None:
    known, versions = Announcements(), []
    for info, until, now in (
        (R1, 102.5, 100.0),
        (R1, 103.5, 101.0),
        (replace(R1, load=RelayLoad(4, 1e3)), 104.5, 102.0),
        (replace(R1, draining=True), 105.5, 103.0),
        (replace(R1, draining=True), 105.5, 106.0),
        (replace(R1, draining=True), 109.5, 107.0),
    ):
        known.take(announced(info, until), now)
        versions.append(known.version)
    assert versions == [1, 1, 1, 2, 3, 4], "it came, drained, ran out and came back"
    assert known.relays(107)["r1"].load == RelayLoad()


def test_after_an_outage_relays_get_time_to_say_so_again() -> None:
    known = Announcements()
    known.take(announced(R1, 102.5) | announced(R2, 102.5), 100)
    known.excuse(135)
    known.take(announced(R1, 132.5), 131)
    assert known.relays(131) == {"r1": R1, "r2": R2}
    assert known.relays(133) == {"r1": R1, "r2": R2}
    assert known.relays(135) == {}


def whole(*, count: int = 0) -> RouteMirror:
    mirror = RouteMirror()
    mirror.take(count, f"{count}-0", {"s1": ROUTE}, {"s1": REPORT})
    assert mirror.is_whole and mirror.tell() == {"s1"}
    return mirror


def test_a_full_read_tells_what_differs() -> None:
    mirror = whole()
    mirror.take(5, "5-0", {"s1": ROUTE}, {"s1": REPORT})
    assert mirror.tell() == frozenset()
    mirror.take(6, "6-0", {"s1": ROUTE}, {"s1": replace(REPORT, viewers=1)})
    assert mirror.tell() == {"s1"}
    mirror.take(7, "7-0", {"s1": ROUTE}, {})
    assert mirror.tell({"s9"}) == {"s1", "s9"}


def test_changes_are_followed_in_order_and_a_gap_is_seen() -> None:
    mirror = whole(count=3)
    assert mirror.follows(4, "4-0") and mirror.position == "4-0"
    assert not mirror.follows(6, "6-0")


def test_a_report_goes_with_the_route_that_it_was_about() -> None:
    mirror = whole()
    mirror.put_route("s1", ROUTE)
    assert mirror.reports == {"s1": REPORT}
    mirror.put_route("s1", MOVED)
    assert mirror.reports == {} and mirror.tell() == {"s1"}
    mirror.put_report(REPORT)
    assert (mirror.reports, mirror.tell()) == ({}, frozenset()), "of the one before"
    mirror.put_report(replace(REPORT, relay_id="r2"))
    assert mirror.tell() == {"s1"}
    mirror.put_route("s1", None)
    assert (mirror.routes, mirror.reports) == ({}, {}) and mirror.tell() == {"s1"}
    mirror.put_route("s1", None)
    assert mirror.tell() == frozenset()


def test_what_its_own_process_wrote_is_not_undone_by_older_news() -> None:
    mirror = whole(count=7)
    mirror.put_route("s1", MOVED, number=9)
    assert mirror.follows(8, "8-0") and not mirror.is_news("s1"), "somebody's change before ours"
    assert mirror.follows(9, "9-0") and mirror.is_news("s1"), "our own"
    assert mirror.follows(10, "10-0") and mirror.is_news("s1")


def test_a_full_read_that_holds_our_own_change_ends_the_waiting_for_it() -> None:
    mirror = whole(count=7)
    mirror.put_route("s1", MOVED, number=9)
    mirror.put_route("s2", replace(MOVED, session_id="s2"), number=11)
    mirror.take(9, "9-0", {"s1": MOVED}, {})
    assert mirror.follows(10, "10-0") and mirror.is_news("s1") and not mirror.is_news("s2")


@given(st.lists(st.sampled_from([ROUTE, MOVED, None, REPORT, replace(REPORT, relay_id="r2")])))
def test_a_report_is_always_about_the_route(steps: list[Route | RouteReport | None]) -> None:
    mirror = whole()
    for step in steps:
        if isinstance(step, RouteReport):
            mirror.put_report(step)
        else:
            mirror.put_route("s1", step)
        for session_id, report in mirror.reports.items():
            assert report.is_about(mirror.routes[session_id])
