from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.listening import CannotListen, ListenAddress, PortTaken, is_loopback, listen, listen_nearby


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:0", "::1", 0), ("LocalHost:80", "localhost", 80)],
)
def test_an_address_is_read(text: str, host: str, port: int) -> None:
    assert ListenAddress.parse(text) == ListenAddress(host, port)
    assert str(ListenAddress.parse(text)) == text.lower()


@pytest.mark.parametrize("text", ["", "8080", ":8080", "::1:80", "a:b", "a:65536", "http://a:80", "a:80\n", "[a]:1"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        ListenAddress.parse(text)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert 0 <= ListenAddress.parse(text).port <= 65535
    except ValueError:
        pass


def test_a_port_that_was_named_and_is_taken_is_refused(taken: int) -> None:
    with pytest.raises(PortTaken, match=rf"127\.0\.0\.1:{taken} is taken"):
        listen(ListenAddress("127.0.0.1", taken))


def test_the_next_free_port_is_found(taken: int) -> None:
    (bound,) = listen_nearby(ListenAddress("127.0.0.1", taken), 20)
    with closing(bound):
        assert taken < bound.getsockname()[1] <= taken + 20


def test_a_search_ends(taken: int) -> None:
    with pytest.raises(PortTaken, match="all taken"):
        listen_nearby(ListenAddress("127.0.0.1", taken), 1)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_of_somebody_else_is_refused(host: str) -> None:
    with pytest.raises(CannotListen, match=host):
        listen(ListenAddress(host, 0))


def test_all_addresses_of_a_name_get_one_port() -> None:
    sockets = listen(ListenAddress("localhost", 0))
    try:
        assert len({bound.getsockname()[1] for bound in sockets}) == 1
        assert all(map(is_loopback, sockets))
    finally:
        for bound in sockets:
            bound.close()


def test_what_other_machines_reach_is_told_apart() -> None:
    (bound,) = listen(ListenAddress("0.0.0.0", 0))
    with closing(bound):
        assert not is_loopback(bound)
