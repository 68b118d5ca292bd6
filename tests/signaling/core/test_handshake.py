"""Who may pass by a head, and what the other side gets to see of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.core.handshake import (
    Head,
    Translation,
    as_only,
    is_allowed_origin,
    refusal_of,
    selected_protocol,
    session_cookie,
    to_backend,
    translation,
)
from signaling.metrics import SignalingRefusal
from signaling.routes import Admission, Endpoint, Route
from signaling.tokens import ViewerRole

SESSION = "3f2b8c1e-5d0a-4b7e-9f3c-2a1d6e8b7c90"
COOKIE = f"pixelferry-31000={SESSION}"


def route(
    admission: Admission = Admission.SESSION_ID, origins: tuple[str, ...] = ("*",), host: str = "10.0.0.5"
) -> Route:
    backend = Endpoint(host, 47000, 47001)
    return Route(SESSION, "relay", 31000, 31001, backend, "secret", admission=admission, allowed_origins=origins)


def head(target: str = f"/session/{SESSION}", method: str = "GET", **headers: str) -> Head:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Head(method, target, "HTTP/1.1", (("Host", "relay:31000"), *named))


@pytest.mark.parametrize(
    "admitted",
    [
        head(),
        head(f"/{SESSION}"),
        head(f"/sign_in/{SESSION}/x?peer_id=1"),
        head("/sign_in", Sec_WebSocket_Protocol=f"other, x-nv-sessionid.{SESSION}"),
        head("/", Cookie=f"a=b; {COOKIE}"),
        head("/", Cookie=COOKIE, Origin="http://relay:31000", Sec_Fetch_Site="same-origin"),
    ],
)
def test_a_head_that_carries_the_session_is_admitted(admitted: Head) -> None:
    assert refusal_of(admitted, route()) is None


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (head("/"), SignalingRefusal.WRONG_SESSION),
        (head(f"/?{SESSION}"), SignalingRefusal.WRONG_SESSION),
        (head(f"/x?a=/{SESSION}/"), SignalingRefusal.WRONG_SESSION),
        (head(f"/{SESSION.upper()}"), SignalingRefusal.WRONG_SESSION),
        (head("/", Cookie=f"pixelferry-31002={SESSION}"), SignalingRefusal.WRONG_SESSION),
        (head("/", Cookie=COOKIE, Origin="http://other:31000"), SignalingRefusal.BAD_ORIGIN),
        (head("/", Cookie=COOKIE, Sec_Fetch_Site="same-site"), SignalingRefusal.BAD_ORIGIN),
        (head(f"http://x/{SESSION}"), SignalingRefusal.BAD_HEAD),
        (head("*"), SignalingRefusal.BAD_HEAD),
        (Head("GET", f"/{SESSION}", "HTTP/1.1", (("Origin", "a"), ("origin", "a"))), SignalingRefusal.BAD_ORIGIN),
    ],
)
def test_any_other_head_is_refused(refused: Head, why: SignalingRefusal) -> None:
    assert refusal_of(refused, route()) is why


def test_admission_by_address_asks_for_no_session_but_for_an_allowed_origin() -> None:
    there = route(Admission.ADDRESS, ("https://good.example",))
    assert refusal_of(head("/"), there) is None
    assert refusal_of(head("/", Origin="https://evil.example"), there) is SignalingRefusal.BAD_ORIGIN


def test_the_cookie_does_not_stand_for_a_token() -> None:
    assert refusal_of(head("/", Cookie=COOKIE), route()) is None
    assert refusal_of(head("/", Cookie=COOKIE), route(Admission.TOKEN)) is SignalingRefusal.WRONG_SESSION


@pytest.mark.parametrize(
    ("origin", "pattern", "allowed"),
    [
        ("https://a.example", "https://a.example", True),
        ("https://a.example:8443", "https://a.example", False),
        ("null", "*", True),
        ("null", "https://a.example", False),
        ("http://localhost:8080", "http://localhost:*", True),
        ("http://localhost", "http://localhost:*", True),
        ("https://localhost:8080", "http://localhost:*", False),
        ("http://localhost.evil.example", "http://localhost:*", False),
        ("http://localhost:8080.evil.example", "http://localhost:*", False),
        ("http://localhost:80@evil.example", "http://localhost:*", False),
        ("http://[::1]:8080", "http://[::1]:*", True),
        ("http://localhost:8080", "http://*:8080", False),
    ],
)
def test_origins_are_compared_as_they_stand(origin: str, pattern: str, allowed: bool) -> None:
    assert is_allowed_origin(origin, ("https://other.example", pattern)) is allowed


@given(st.text(max_size=40))
def test_an_origin_that_is_not_listed_is_never_allowed(origin: str) -> None:
    assert not is_allowed_origin(origin, ("https://aa.example", "https://bb.example:*")) or origin.startswith(
        "https://"
    )


# Towards the backend.


def test_the_backend_gets_the_relay_s_word_and_not_the_client_s() -> None:
    told = to_backend(
        head(
            f"/session/{SESSION}?a=1",
            Origin="http://page",
            Cookie=f"a=b; {COOKIE}; c=d",
            Sec_WebSocket_Protocol=f"x-nv-sessionid.{SESSION}, AUTHORIZATION-BEARER.abc",
            Pixelferry_Role="admin",
            X_Forwarded_For="1.1.1.1",
            X_Real_IP="1.1.1.1",
            Forwarded="for=1.1.1.1",
            Authorization="Basic abc",
            Accept="*/*",
        ),
        route(),
        "viewer",
    )
    assert told.target == f"/session/{SESSION}?a=1"
    assert told.headers == (
        ("Host", "10.0.0.5:47000"),
        ("Origin", "http://10.0.0.5:47000"),
        ("Cookie", "a=b; c=d"),
        ("Sec-WebSocket-Protocol", f"x-nv-sessionid.{SESSION}"),
        ("Authorization", "Basic abc"),
        ("Accept", "*/*"),
        ("Pixelferry-Session", SESSION),
        ("Pixelferry-Viewer", "viewer"),
        ("Pixelferry-Role", "controller"),
        ("Pixelferry-Backend-Secret", "secret"),
    )


def test_what_holds_nothing_but_the_relay_s_goes_whole() -> None:
    told = to_backend(head(Cookie=COOKIE, Sec_WebSocket_Protocol="authorization-bearer.x"), route(), "viewer")
    assert {name.lower() for name, _ in told.headers}.isdisjoint({"cookie", "sec-websocket-protocol"})
    told = to_backend(head(Authorization="Bearer x"), route(Admission.TOKEN), "viewer")
    assert told.get("authorization") is None


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        (f"/session/{SESSION}", f"/session/{SESSION}"),
        (f"/session/{SESSION}?x", f"/session/{SESSION}?x"),
        (f"/session/{SESSION}/", "/"),
        (f"/session/{SESSION}/whep?x=1", "/whep?x=1"),
        (f"/a/session/{SESSION}/b", f"/a/session/{SESSION}/b"),
        (f"/session/{SESSION}x/b", f"/session/{SESSION}x/b"),
    ],
)
def test_the_session_s_prefix_is_taken_off_where_more_path_follows(target: str, seen: str) -> None:
    assert to_backend(head(target), route(), "viewer").target == seen


@given(st.lists(st.tuples(st.from_regex("[A-Za-z_-]{1,20}", fullmatch=True), st.text("abc =;,", max_size=20))))
def test_no_header_of_a_client_passes_for_the_relay_s(headers: list[tuple[str, str]]) -> None:
    forged = (*headers, ("PIXELFERRY-ROLE", "admin"), ("Pixelferry_Viewer", "x"))
    told = to_backend(Head("GET", "/", "HTTP/1.1", forged), route(), "viewer")
    own = [header for header in told.headers if header[0].lower().replace("_", "-").startswith("pixelferry-")]
    assert own == list(told.headers[-4:])


def test_a_head_is_written_as_it_was_read() -> None:
    assert head("/a", X="1").serialize() == b"GET /a HTTP/1.1\r\nHost: relay:31000\r\nX: 1\r\n\r\n"


def test_a_request_that_stays_http_is_the_only_one_on_its_connection() -> None:
    assert as_only(head(Connection="keep-alive", Keep_Alive="5")).headers[1:] == (("Connection", "close"),)
    upgrade = head(Connection="Upgrade", Upgrade="WebSocket")
    assert as_only(upgrade) is upgrade


def test_a_browser_gets_one_of_the_sub_protocols_that_it_offered() -> None:
    own = f"x-nv-sessionid.{SESSION}"
    assert selected_protocol([own, "janus"], route(), "janus") == "janus"
    assert selected_protocol([own], route(), None) == own
    assert selected_protocol(["x-nv-sessionid.other"], route(), None) is None


# Towards the client.


def told(*headers: tuple[str, str], put: Translation | None = None) -> list[tuple[str, str]]:
    return list((put or translation(head(f"/session/{SESSION}/whep"), route())).to_client(headers))


BASE = f"http://relay:31000/session/{SESSION}"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (("Location", "http://10.0.0.5:47000/r/1"), f"{BASE}/r/1"),
        (("Location", "HTTP://10.0.0.5:47000/r/1"), f"{BASE}/r/1"),
        (("Location", "/r/1"), f"/session/{SESSION}/r/1"),
        (("Location", "r/1"), "r/1"),
        (("Location", "//elsewhere/r"), "//elsewhere/r"),
        (("Location", "http://10.0.0.5:470001/r"), "http://10.0.0.5:470001/r"),
        (("Content-Location", "ws://10.0.0.5:47000/x"), f"{BASE}/x"),
        (("Set-Cookie", "a=b; Domain=10.0.0.5; Path=/"), "a=b; Path=/"),
        (("Link", '<turn:a>; rel="ice-server", </e>; rel="x"'), '</e>; rel="x"'),
        (("Link", '<turn:a?x,y>; rel=ice-server; username="a,b"'), None),
        (("Link", '<stun:a>; rel="x ice-server"'), None),
        (("Connection", "close"), None),
        (("Server", "x"), None),
        (("Pixelferry-Secret", "x"), None),
        (("Sec-WebSocket-Accept", "x"), None),
        (("Access-Control-Allow-Origin", "http://elsewhere"), "http://elsewhere"),
    ],
)
def test_headers_of_an_answer_speak_of_the_relay(header: tuple[str, str], value: str | None) -> None:
    assert told(header) == ([] if value is None else [(header[0], value)])


def test_the_client_s_view_of_the_relay_is_in_its_head() -> None:
    there = route(host="fd00::5")
    put = translation(head("/x", Origin="http://page", X_Forwarded_Proto="https"), there)
    assert told(("Location", "http://[fd00::5]:47000/r"), put=put) == [("Location", "https://relay:31000/r")]
    assert told(("Access-Control-Allow-Origin", "http://[fd00::5]:47000"), put=put) == [
        ("Access-Control-Allow-Origin", "http://page")
    ]
    put = translation(Head("GET", "/x", "HTTP/1.0", ()), there)
    assert told(("Location", "http://[fd00::5]:47000/r"), put=put) == [("Location", "/r")]


def test_the_cookie_is_named_by_the_port() -> None:
    assert "=".join(session_cookie(route())) == COOKIE


def test_the_backend_learns_the_role_that_was_admitted() -> None:
    told = to_backend(head(Pixelferry_Role="controller"), route(Admission.TOKEN), "viewer", ViewerRole.VIEWER)
    assert told.get_all("pixelferry-role") == ["viewer"]
