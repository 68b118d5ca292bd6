from __future__ import annotations

import pytest

from tests.broker.api.serving import Answer, Served, serving

BODY = {"id": "app", "profile": "default"}
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def listed(answer: Answer, name: str) -> set[str]:
    return {part.strip() for part in answer.headers[name].split(",")}


def assert_readable(answer: Answer, origin: str) -> None:
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert listed(answer, "Access-Control-Allow-Methods") == METHODS
    assert listed(answer, "Access-Control-Allow-Headers") == {
        "Content-Type",
        "Authorization",
        "Idempotency-Key",
        "Prefer",
        "Last-Event-ID",
    }
    exposed = {"Location", "Retry-After", "ETag", "Link", "x-amzn-RequestId"}
    assert listed(answer, "Access-Control-Expose-Headers") == exposed
    assert_private(answer)


def assert_private(answer: Answer) -> None:
    """What holds of every answer."""
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Origin" in listed(answer, "Vary")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors" in answer.headers["Content-Security-Policy"]
    assert "Python" not in answer.headers["Server"]


@pytest.mark.parametrize(
    "origin", ["http://localhost:5173", "https://127.0.0.1:1", "http://[::1]:9", "http://localhost", "own"]
)
async def test_pages_of_this_machine_may_read_every_answer(served: Served, origin: str) -> None:
    origin = served.url if origin == "own" else origin
    for method, path, body, status in (
        ("GET", "/stream", None, 200),
        ("POST", "/stream", {}, 422),
        ("GET", "/stream/x", None, 422),
        ("GET", "/nowhere", None, 404),
        ("PUT", "/stream", None, 405),
        ("POST", "/stream", BODY, 202),
        ("GET", "/", None, 200),
        ("GET", "/healthz", None, 200),
    ):
        answer = await served.call(method, path, body, Origin=origin)
        assert answer.status in (status, 200), (method, path, answer)
        assert_readable(answer, origin)


@pytest.mark.parametrize("path", ["/stream", "/streaming/stream", "/stream/x", "/cfg/apps", "/nowhere"])
async def test_preflights_are_answered_everywhere(served: Served, path: str) -> None:
    origin = "http://localhost:5173"
    answer = await served.call("OPTIONS", path, Origin=origin, Access_Control_Request_Method="DELETE")
    assert (answer.status, answer.body) == (204, b"")
    assert_readable(answer, origin)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1.evil.example", "http://10.0.0.5"])
async def test_a_page_of_a_foreign_origin_can_do_nothing(served: Served, origin: str) -> None:
    session_id = (await served.start()).json["id"]
    for method, path, body in (
        ("POST", "/stream", BODY),
        ("POST", "/streaming/stream", BODY),
        ("DELETE", f"/stream/{session_id}", None),
        ("DELETE", "/stream", {"id": session_id}),
        ("OPTIONS", "/stream", None),
        ("PUT", "/cfg/apps/app", None),
    ):
        answer = await served.call(method, path, body, Origin=origin)
        assert answer.status == 403
        assert answer.json == {"detail": "You do not have permission to access this resource."}
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        assert_private(answer)
    read = await served.call("GET", "/stream", Origin=origin)
    assert not [name for name in read.headers if name.lower().startswith("access-control-")]
    assert [item["id"] for item in read.items] == [session_id]


async def test_two_origins_at_once_are_foreign(served: Served) -> None:
    head = f"POST /stream HTTP/1.1\r\nHost: localhost\r\nOrigin: {served.url}\r\nOrigin: http://evil.example\r\n\r\n"
    answer = await served.raw(head.encode())
    assert answer.split(b" ")[1] in (b"400", b"403")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example", "0.0.0.0"])
async def test_a_foreign_name_that_points_here_can_do_nothing(served: Served, host: str) -> None:
    session_id = (await served.start()).json["id"]
    for method, path, body in (
        ("GET", "/", None),
        ("GET", "/stream", None),
        ("GET", "/healthz", None),
        ("POST", "/stream", BODY),
        ("DELETE", f"/stream/{session_id}", None),
        ("OPTIONS", "/stream", None),
        ("GET", "/nowhere", None),
    ):
        answer = await served.call(method, path, body, Host=host, Origin=f"http://{host}")
        assert answer.status == 421
        assert "Host" in str(answer.json["detail"])
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        assert_private(answer)
    assert [item["id"] for item in (await served.call("GET", "/stream")).items] == [session_id]


async def test_a_name_that_is_set_is_an_own_one() -> None:
    async with serving(names=("ferry.example",)) as served:
        own = {"Host": "ferry.example:8443", "Origin": "https://ferry.example:8443"}
        answer = await served.start(**own)
        assert answer.status == 200
        assert_readable(answer, own["Origin"])
        route = served.relay.served[str(answer.json["id"])]
        assert {"http://localhost:*", "https://ferry.example:*"} <= set(route.allowed_origins)
        assert "*" not in route.allowed_origins
        assert (await served.call("GET", "/stream", Host="other.example")).status == 421


@pytest.mark.parametrize("head", ["1.0\r\n\r\n", "1.1\r\n\r\n", "1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"])
async def test_a_request_without_one_host_is_refused(served: Served, head: str) -> None:
    answer = await served.raw(f"GET / HTTP/{head}".encode())
    assert answer.split(b" ")[1] in (b"400", b"421")


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00", b"GET / HTTP/9\r\n\r\n", b"GET " + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", b"\r\n" * 50],
)
async def test_garbage_is_answered_or_closed_and_serving_goes_on(served: Served, garbage: bytes) -> None:
    await served.raw(garbage, cut=True)
    assert (await served.call("GET", "/healthz")).status == 200


async def test_a_path_that_leads_nowhere_is_answered_in_json(served: Served) -> None:
    for path in ("/nowhere", "/stream/", "/cfg", "/stream/a/b", "/streaming", "/%00", "/..%2f..%2fetc/passwd"):
        answer = await served.call("GET", path)
        assert answer.status == 404, path
        assert answer.headers["Content-Type"].startswith("application/json")
        assert isinstance(answer.json["detail"], str)
