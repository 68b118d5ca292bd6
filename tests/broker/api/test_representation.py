from dataclasses import replace

from broker.api.dialect import Dialect
from broker.api.representation import rfc3339, stream_json
from broker.core.pauses import Pause
from broker.core.session import Session, State
from tests.broker.samples import CLOCKS, make_session, with_ports


def ready_session() -> Session:
    return replace(with_ports(make_session()), state=State.READY, phase=None, ready_at=1010.0)


def test_the_end_that_is_told_is_later_by_the_time_in_which_no_clock_ran() -> None:
    dialect = Dialect("/stream", nested=False, empty_while_pending=False)
    told = stream_json(ready_session(), dialect)["ends_at"]
    paused = stream_json(ready_session(), dialect, pauses=(Pause(1020.0, 1050.0),))["ends_at"]
    assert told == rfc3339(1010.0 + CLOCKS.first_connection_s + 2.0)
    assert paused == rfc3339(1010.0 + CLOCKS.first_connection_s + 32.0)
