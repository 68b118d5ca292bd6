from dataclasses import replace

import pytest

from broker.core.session import Handled, Session
from broker.route_record import durable_part, recorded, session_of
from signaling.routes import RECORD_MAX_BYTES, Route
from tests.broker.samples import make_session, with_ports


def route_of(session: Session) -> Route:
    assert session.route is not None
    return session.route


def test_a_session_is_read_back_from_its_route() -> None:
    session = replace(with_ports(make_session()), labels={"studio": "one"}, revision=7)
    route = recorded(route_of(session), session)
    assert route == route_of(session), "the record is no part of what is served"
    assert session_of(Route.from_json(route.to_json())) == session


def test_of_a_session_that_is_too_long_what_matters_is_kept() -> None:
    session = replace(with_ports(make_session()), labels={"long": "x" * RECORD_MAX_BYTES}, handled=(Handled("a", "b"),))
    assert session_of(recorded(route_of(session), session)) == replace(session, labels={}, handled=(), message="")


def test_a_session_that_is_too_long_anyhow_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    session = replace(with_ports(make_session()), arguments={"stage": "x" * RECORD_MAX_BYTES})
    assert recorded(route_of(session), session).record == ""
    assert "too long" in caplog.text


@pytest.mark.parametrize("record", ["", "{", "[]", '{"id": "x"}'])
def test_a_record_that_is_none_gives_no_session(record: str) -> None:
    assert session_of(replace(route_of(with_ports(make_session())), record=record)) is None


def test_the_record_of_another_session_gives_none() -> None:
    session = with_ports(make_session())
    route = recorded(route_of(session), session)
    assert session_of(replace(route, session_id="another")) is None


def test_a_viewer_who_comes_is_no_reason_to_write_a_record_anew_and_an_extension_is() -> None:
    session = with_ports(make_session())
    assert durable_part(replace(session, viewer_present=True, revision=9)) == durable_part(session)
    assert durable_part(replace(session, extended_s=60.0)) != durable_part(session)
