"""A run's line in the table says what happened in it."""

from tests.system.failures.history import Call, CallKind, Cut, Flow, History, Holdings
from tests.system.failures.outcome import Outcome, outcome_of
from tests.system.failures.table import row


def test_calls_sessions_datagrams_and_reroutes_are_counted() -> None:
    calls = (
        Call(CallKind.CREATE, "b1", 0, 0.5, 202, "s1", "key"),
        Call(CallKind.CREATE, "b2", 0, 0.5, 200, "s1", "key"),
        Call(CallKind.GET, "b1", 1, 13, 200, "s1", wait_s=10),
        Call(CallKind.GET, "b1", 2, 3, 503, "s1", retry_after=True),
        Call(CallKind.LIST, "b1", 2, 9, None),
    )
    flows = (
        Flow("s1", "r1", "n1", 1, 10, 200, 190, False, (Cut(2, 2.5, 10),)),
        Flow("s1", "r2", "n1", 12.5, 20, 150, 150),
        Flow("s2", "r2", "n1", 1, 20, 400, 395, True, (Cut(3, 3.2, 4), Cut(5, 5, 1))),
    )
    told = outcome_of("one", History(calls, Holdings((), {}, {}), flows=flows))
    assert (told.name, told.calls, told.unavailable, told.unanswered, told.sessions) == ("one", 5, 1, 1, 1)
    assert told.slowest_s == 2.0
    assert (told.datagrams, told.lost, told.longest_gap_s, told.rerouted_s) == (750, 15, 0.5, (2.5,))


def test_a_line_of_the_table_tells_what_a_reader_asks_for() -> None:
    quiet = Outcome("nothing fails", 100, 0, 0, 0.04, 9, 4000, 0, 0, ())
    assert row(quiet) == "| nothing fails | 100 | 0 | 0.0 s | 4000 | 0 |  |"
    loud = Outcome("a relay dies", 100, 3, 0, 1.26, 9, 4000, 12, 0.55, (2.04, 3.5))
    assert row(loud) == "| a relay dies | 100 | 3 | 1.3 s | 4000 | 12; 0.55 s | 2.0 to 3.5 s |"
