from dataclasses import replace

import pytest

from broker.core.session import READABLE_AFTER_END_S, EndReason, State, Wanted, ended, evolved
from tests.broker.samples import ENDPOINT, make_session, with_ports


def test_a_session_has_a_route_once_ports_and_backend_are_known() -> None:
    session = with_ports(make_session())
    assert replace(session, ports=None).route is None
    assert replace(session, backend=None).route is None
    route = session.route
    assert route is not None
    assert (route.session_id, route.relay_id, route.signaling_port, route.media_port) == (
        session.id,
        "relay-a",
        31000,
        31001,
    )
    assert (route.backend, route.backend_secret) == (ENDPOINT, "hush")


def test_clients_are_told_the_host_of_the_relay() -> None:
    assert with_ports(make_session()).relay_host == "127.0.0.1"
    assert make_session().relay_host is None


def test_the_backends_secret_is_not_in_a_sessions_text() -> None:
    assert "hush" not in repr(make_session())


def test_a_session_evolves_as_dataclasses_are_replaced() -> None:
    session = with_ports(make_session())
    changes = {"state": State.READY, "ports": None, "labels": {"a": "b"}}
    assert evolved(session, **changes) == replace(session, **changes)  # type: ignore[arg-type]
    assert session == with_ports(make_session())
    with pytest.raises(TypeError, match="nonsense"):
        evolved(session, nonsense=1)


def test_an_end_says_why_and_when() -> None:
    session = ended(make_session(), EndReason.BACKEND_FAILED, "it fell", 1005.0)
    assert (session.state, session.phase, session.wanted) == (State.ENDED, None, Wanted.ENDED)
    assert (session.end_reason, session.message, session.ended_at) == (EndReason.BACKEND_FAILED, "it fell", 1005.0)


def test_the_first_end_stays() -> None:
    session = ended(make_session(), EndReason.BACKEND_FAILED, "it fell", 1005.0)
    assert ended(session, EndReason.DELETED, "deleted", 1006.0) == session


def test_an_ended_session_is_forgotten_an_hour_later_but_not_while_it_holds_anything() -> None:
    session = ended(with_ports(make_session()), EndReason.DELETED, "", 1005.0)
    assert session.forget_at is None
    assert replace(session, slot=None).forget_at is None
    assert replace(session, slot=None, ports=None).forget_at == 1005.0 + READABLE_AFTER_END_S
    assert replace(make_session(), slot=None).forget_at is None
