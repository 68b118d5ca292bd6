import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.api.access import Access, Authority, origins_for_relays, plain_name
from signaling.core.handshake import is_allowed_origin

ACCESS = Access(frozenset({"ferry.example", "10.0.0.5"}))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:8080",
        "[0:0:0:0:0:0:0:1]:8080",
        "ferry.example",
        "Ferry.Example:443",
        "10.0.0.5:8080",
        "192.0.2.9:8080",
    ],
)
def test_own_names_are_admitted_on_any_port(host: str) -> None:
    assert ACCESS.admits_host(host, "192.0.2.9")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8080",
        "localhost:",
        "localhost:x",
        "localhost@evil.example",
        "evil.example#localhost",
        "localhost, evil.example",
        "::1",
        "[::1",
        "[evil]",
        "192.0.2.8",
        "127.0.0.2",
        "0.0.0.0",
        "localhost\n",
    ],
)
def test_every_other_host_is_refused(host: str) -> None:
    assert not ACCESS.admits_host(host, "192.0.2.9")


def test_the_address_that_a_connection_came_to_is_known_in_every_writing() -> None:
    assert ACCESS.admits_host("192.0.2.9", "::ffff:192.0.2.9")
    assert ACCESS.admits_host("[fe80::1]", "fe80::1%eth0")
    assert not ACCESS.admits_host("fd00::1", "")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:3000", "localhost:8080"),
        ("https://127.0.0.1:9", "127.0.0.1:8080"),
        ("http://[::1]:5173", "10.0.0.5:8080"),
        ("http://localhost", "ferry.example"),
        ("https://ferry.example", "ferry.example"),
        ("https://ferry.example", "ferry.example:443"),
        ("http://ferry.example:80", "ferry.example"),
        ("http://10.0.0.5:8080", "10.0.0.5:8080"),
    ],
)
def test_own_pages_and_those_of_this_machine_are_admitted(origin: str, host: str) -> None:
    assert ACCESS.admits_origin(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "*",
        "http://evil.example",
        "http://ferry.example.evil.example",
        "http://localhost.evil.example",
        "http://evil.example/localhost",
        "http://ferry.example:8081",
        "ftp://localhost",
        "file://",
        "chrome-extension://localhost",
        "http://localhost:3000/",
        "http://user@localhost",
        "http://127.0.0.2:8080",
        "ferry.example",
    ],
)
def test_pages_of_a_foreign_origin_are_not(origin: str) -> None:
    assert not ACCESS.admits_origin(origin, "ferry.example:8080")


def test_no_origin_is_admitted_under_a_host_that_is_none() -> None:
    assert not ACCESS.admits_origin("http://ferry.example", "")


@given(st.text(max_size=60))
def test_any_text_is_judged_and_never_fails(text: str) -> None:
    ACCESS.admits_host(text, text)
    ACCESS.admits_origin(text, text)
    ACCESS.admits_origin(f"http://{text}", f"{text}")
    Authority.parse(text)
    plain_name(text)


@given(st.sampled_from(["localhost", "127.0.0.1", "[::1]", "ferry.example", "evil.example"]), st.integers(0, 65535))
def test_relays_admit_every_page_that_the_api_admits(name: str, port: int) -> None:
    origin = f"http://{name}:{port}"
    allowed = origins_for_relays(["ferry.example"])
    assert is_allowed_origin(origin, allowed) == (name != "evil.example")
    if ACCESS.admits_origin(origin, "ferry.example:8080"):
        assert is_allowed_origin(origin, allowed)
