"""Every answer under the prefix has its shape, whatever went wrong: who asks, what is asked, or we ourselves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import pytest
from yarl import URL

from broker.core.session import Session
from broker.errors import StoreUnavailable
from broker.stores.memory import MemoryStore
from tests.broker.api.nimble.clients import ROOT, SESSIONS, STUDIO_PATH, Caller, checked, refusal_of
from tests.broker.api.nimble.people import KEYS, alice
from tests.broker.api.serving import Answer, Served, serving

UNKNOWN_KEY = (403, "UnrecognizedClientException")


async def bare(served: Served, method: str, path: str, **headers: str) -> Answer:
    """A request that nobody signed."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with served.http.request(method, served.url + path, headers=sent) as response:
        return checked(Answer(response.status, response.headers, await response.read()))


@pytest.mark.parametrize("path", [ROOT, ROOT + "/", SESSIONS, STUDIO_PATH + "/nope", ROOT + "/a%2Fb"])
async def test_who_signs_nothing_is_told_so(served: Served, path: str) -> None:
    assert refusal_of(await bare(served, "GET", path)) == (403, "MissingAuthenticationTokenException")


@pytest.mark.parametrize(
    ("key", "secret", "expected"),
    [
        ("local", "wrong", (403, "InvalidSignatureException")),
        ("AKIDNOBODY", "local", UNKNOWN_KEY),
        ("LOCAL", "local", UNKNOWN_KEY),
    ],
)
async def test_who_signs_wrongly_is_refused(served: Served, key: str, secret: str, expected: tuple[int, str]) -> None:
    assert refusal_of(await Caller(served, key, secret).call("GET", SESSIONS)) == expected


async def test_a_signature_for_another_service_is_refused(served: Served) -> None:
    answer = await Caller(served, service="s3").call("GET", SESSIONS)
    assert refusal_of(answer) == (403, "InvalidSignatureException")


async def test_a_signature_does_not_hold_for_another_body(served: Served, caller: Caller) -> None:
    headers = caller.signature("POST", SESSIONS, b'{"launchProfileId": "app_default"}', {})
    async with served.http.post(served.url + SESSIONS.replace("%3A", "%253A"), headers=headers) as response:
        assert response.status == 403
    url = URL(served.url + SESSIONS, encoded=True)
    async with served.http.post(url, data=b'{"launchProfileId": "other_special"}', headers=headers) as response:
        answer = checked(Answer(response.status, response.headers, await response.read()))
    assert refusal_of(answer) == (403, "InvalidSignatureException")


async def test_the_key_local_is_not_accepted_beside_configured_ones() -> None:
    async with serving(nimble=KEYS) as served:
        assert refusal_of(await Caller(served).call("GET", SESSIONS)) == UNKNOWN_KEY
        assert (await alice(served).call("GET", SESSIONS)).status == 200


async def test_the_key_local_is_not_accepted_with_identity() -> None:
    async with serving(identity={"keys": {"ci": {"sha256": "0" * 64}}}) as served:
        assert refusal_of(await Caller(served).call("GET", SESSIONS)) == UNKNOWN_KEY


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ROOT),
        ("GET", ROOT + "/"),
        ("GET", ROOT + "/studios/"),
        ("POST", STUDIO_PATH + "/nope"),
        ("GET", STUDIO_PATH + "/streaming-sessions/a/b"),
        ("GET", STUDIO_PATH + "/streaming%2Dsessions"),
        ("GET", "/%32020-08-01/studios"),
        ("GET", ROOT + "/studios/a/b/streaming-sessions"),
        ("GET", ROOT + "/../stream"),
        ("GET", STUDIO_PATH + "//streaming-sessions"),
    ],
)
async def test_what_is_no_operation_is_told_in_shape(caller: Caller, method: str, path: str) -> None:
    assert refusal_of(await caller.call(method, path)) in (
        (404, "UnknownOperationException"),
        (400, "ValidationException"),
    )


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", SESSIONS), ("PATCH", SESSIONS + "/x"), ("DELETE", ROOT + "/studios")]
)
async def test_a_method_that_is_none_is_told_in_shape(caller: Caller, method: str, path: str) -> None:
    answer = await caller.call(method, path)
    assert refusal_of(answer) == (405, "UnknownOperationException")
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", SESSIONS + "/"),
        ("GET", ROOT + "/studios//streaming-sessions"),
        ("GET", SESSIONS + "/%FF"),
        ("GET", SESSIONS + "?ownedBy=%FF"),
        ("GET", SESSIONS + "?" + "&".join(f"a{number}=1" for number in range(201))),
    ],
)
async def test_names_that_are_none_are_refused(caller: Caller, method: str, path: str) -> None:
    assert refusal_of(await caller.call(method, path)) == (400, "ValidationException")


@pytest.mark.parametrize(
    "data", [b"{", b"nope", b"\xff", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 5000, b'"\\ud800"', b"null", b"7"]
)
async def test_a_body_that_is_no_object_is_refused(caller: Caller, data: bytes) -> None:
    assert refusal_of(await caller.call("POST", SESSIONS, data=data)) == (400, "ValidationException")


async def test_a_body_beyond_bounds_is_refused(caller: Caller) -> None:
    answer = await caller.call("POST", SESSIONS, data=b" " * (64 * 1024 + 1))
    assert refusal_of(answer) == (413, "RequestEntityTooLargeException")


async def test_a_body_that_is_encoded_is_refused(caller: Caller) -> None:
    answer = await caller.call("POST", SESSIONS, data=b"{}", Content_Encoding="gzip")
    assert refusal_of(answer) == (415, "UnsupportedMediaTypeException")


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 421), ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403)],
)
async def test_what_the_gate_refuses_is_told_in_shape(served: Served, headers: Mapping[str, str], status: int) -> None:
    answer = await bare(served, "POST", SESSIONS, **headers)
    assert refusal_of(answer) == (status, "AccessDeniedException")


async def test_a_preflight_has_its_id(served: Served) -> None:
    answer = await bare(served, "OPTIONS", SESSIONS, Origin="http://localhost:5173")
    assert (answer.status, answer.body) == (204, b"")


class BrokenStore(MemoryStore):
    """Fails as it is told to."""

    error: Exception | None = None

    async def read(self, session_id: str, *, fresh: bool = True) -> Session | None:
        if self.error is not None:
            raise self.error
        return await super().read(session_id)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StoreUnavailable(), (503, "ServiceUnavailableException")),
        (RuntimeError("a secret"), (500, "InternalServerErrorException")),
    ],
)
async def test_our_own_faults_are_told_in_shape_and_without_their_cause(
    error: Exception, expected: tuple[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    store = BrokenStore()
    async with serving(store=store) as served:
        caller = Caller(served)
        session_id = (await caller.ready())["sessionId"]
        store.error = error
        try:
            answer = await caller.call("GET", f"{SESSIONS}/{session_id}")
        finally:
            store.error = None
        assert refusal_of(answer) == expected
        assert "secret" not in answer.body.decode()
        assert ("Retry-After" in answer.headers) is (expected[0] == 503)


async def test_nothing_new_is_taken_while_stopping(served: Served, caller: Caller) -> None:
    served.provider.hold = True
    await caller.created()
    headers = caller.signature("POST", SESSIONS, b"{}", {})
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"}")
    served.broker._stopping = True
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {SESSIONS} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Length: 2\r\n{lines}\r\n{{}}"
    writer.write(head.encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 503") and b"ServiceUnavailableException" in answer
    assert b"Retry-After: 5" in answer


async def test_no_secret_is_logged(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caller = Caller(served, secret="a-secret-of-mine")
    await caller.call("GET", SESSIONS)
    good = Caller(served)
    session_id = (await good.ready())["sessionId"]
    stream = (await good.call("POST", f"{SESSIONS}/{session_id}/streams")).json["stream"]
    assert isinstance(stream, dict)
    shown = await good.call("GET", f"{SESSIONS}/{session_id}/streams/{stream['streamId']}")
    token = shown.body.decode().partition("token=")[2].partition('"')[0]
    own = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith(("broker", "signaling")))
    assert len(token) > 100 and token not in own
    assert "a-secret-of-mine" not in own and "Signature=" not in own
