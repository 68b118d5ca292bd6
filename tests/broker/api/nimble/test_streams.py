"""Streams: granted for a time, with an address that holds an admission token in its fragment."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.core.nimble_ids import session_id_of
from broker.stores.memory import MemoryStore
from tests.broker.api.nimble.clients import SESSIONS, Caller, refusal_of
from tests.broker.api.nimble.people import KEYS, alice, bob, root
from tests.broker.api.serving import Answer, JsonObject, serving


def stream_of(answer: Answer) -> JsonObject:
    assert answer.status == 200, answer
    stream = answer.json["stream"]
    assert isinstance(stream, dict)
    return stream


def claims_in(url: object) -> JsonObject:
    """What the token of an address says."""
    parts = urlsplit(str(url))
    assert (parts.path, parts.query) == ("/", "")
    payload = parse_qs(parts.fragment)["token"][0].split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert isinstance(claims, dict)
    return claims


class Later:
    """A store's clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


async def granted(caller: Caller, session_id: object, body: object = None) -> JsonObject:
    return stream_of(await caller.call("POST", f"{SESSIONS}/{session_id}/streams", body))


async def shown(caller: Caller, session_id: object, stream: JsonObject) -> JsonObject:
    return stream_of(await caller.call("GET", f"{SESSIONS}/{session_id}/streams/{stream['streamId']}"))


async def test_a_stream_is_under_way_and_then_ready_with_its_address(caller: Caller) -> None:
    session_id = (await caller.ready())["sessionId"]
    made = await granted(caller, session_id)
    assert set(made) == {"createdAt", "createdBy", "expiresAt", "ownedBy", "state", "statusCode", "streamId"}
    assert (made["state"], made["statusCode"]) == ("CREATE_IN_PROGRESS", "STREAM_CREATE_IN_PROGRESS")
    ready = await shown(caller, session_id, made)
    assert (ready["state"], ready["statusCode"]) == ("READY", "STREAM_READY")
    assert {name: ready[name] for name in made if not name.startswith("stat")} == {
        name: made[name] for name in made if not name.startswith("stat")
    }
    assert str(ready["url"]).startswith(f"{caller.served.url}/#")
    assert parse_qs(urlsplit(str(ready["url"])).fragment)["session"] == [session_id_of(str(session_id))]


@pytest.mark.parametrize(("body", "length_s"), [(None, 120), ({"expirationInSeconds": 3600}, 3600)])
async def test_its_token_ends_when_the_stream_does(caller: Caller, body: object, length_s: int) -> None:
    session_id = (await caller.ready())["sessionId"]
    made = await granted(caller, session_id, body)
    ready = await shown(caller, session_id, made)
    begins, ends = (
        time.mktime(time.strptime(str(ready[name]), "%Y-%m-%dT%H:%M:%SZ")) for name in ("createdAt", "expiresAt")
    )
    assert ends - begins == length_s
    claims = claims_in(ready["url"])
    assert (claims["sid"], claims["link"]) == (session_id_of(str(session_id)), made["streamId"])
    assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(str(claims["exp"])))) == ready["expiresAt"]


async def test_a_stream_that_expired_is_deleted_and_its_address_withheld() -> None:
    clock = Later()
    async with serving(store=MemoryStore(clock)) as served:
        caller = Caller(served)
        session_id = (await caller.ready())["sessionId"]
        made = await granted(caller, session_id, {"expirationInSeconds": 60})
        clock.ahead_s = 59
        assert (await shown(caller, session_id, made))["state"] == "READY"
        clock.ahead_s = 60
        expired = await shown(caller, session_id, made)
        assert (expired["state"], expired["statusCode"]) == ("DELETED", "STREAM_DELETED")
        assert "url" not in expired


async def test_streams_outlive_a_stop_but_open_nothing_meanwhile(caller: Caller) -> None:
    session_id = (await caller.ready())["sessionId"]
    made = await granted(caller, session_id)
    await caller.call("POST", f"{SESSIONS}/{session_id}/stop")
    await caller.until(session_id, "STOPPED")
    assert "url" not in await shown(caller, session_id, made)
    await caller.call("POST", f"{SESSIONS}/{session_id}/start")
    await caller.until(session_id, "READY")
    assert "url" in await shown(caller, session_id, made)
    await caller.call("DELETE", f"{SESSIONS}/{session_id}")
    ended = await shown(caller, session_id, made)
    assert ended["state"] == "DELETED" and "url" not in ended


async def test_a_session_has_several_streams(caller: Caller) -> None:
    session_id = (await caller.ready())["sessionId"]
    first, second = await granted(caller, session_id), await granted(caller, session_id)
    assert first["streamId"] != second["streamId"]
    for stream in (first, second):
        assert (await shown(caller, session_id, stream))["state"] == "READY"


async def test_a_call_that_is_repeated_grants_once(caller: Caller) -> None:
    session_id = (await caller.ready())["sessionId"]
    path = f"{SESSIONS}/{session_id}/streams"
    first, again = [
        stream_of(await caller.call("POST", path, {"expirationInSeconds": 60}, X_Amz_Client_Token="t")) for _ in "12"
    ]
    assert first["streamId"] == again["streamId"]
    other = await caller.call("POST", path, {"expirationInSeconds": 61}, X_Amz_Client_Token="t")
    assert refusal_of(other) == (409, "ConflictException")


@pytest.mark.parametrize("length", [59, 3601, 0, -1, "120", 60.5, True, 10**30, []])
async def test_a_length_out_of_bounds_is_refused(caller: Caller, length: object) -> None:
    path = f"{SESSIONS}/{(await caller.ready())['sessionId']}/streams"
    answer = await caller.call("POST", path, {"expirationInSeconds": length})
    assert refusal_of(answer) == (400, "ValidationException")


async def test_a_session_has_a_bounded_number_of_streams(caller: Caller) -> None:
    path = f"{SESSIONS}/{(await caller.ready())['sessionId']}/streams"
    for _ in range(64):
        assert (await caller.call("POST", path)).status == 200
    answer = await caller.call("POST", path)
    assert refusal_of(answer) == (402, "ServiceQuotaExceededException")


async def test_a_stream_there_is_not_is_told_by_its_id(caller: Caller) -> None:
    session_id = (await caller.ready())["sessionId"]
    answer = await caller.call("GET", f"{SESSIONS}/{session_id}/streams/nope")
    assert refusal_of(answer) == (404, "ResourceNotFoundException")
    assert (answer.json["code"], answer.json["context"]) == ("STREAM_NOT_FOUND", {"resourceId": "nope"})


async def test_a_stream_is_for_the_sessions_owner_whoever_made_it() -> None:
    async with serving(nimble=KEYS, public_url="https://ferry.example/studio/") as served:
        session_id = (await alice(served).ready())["sessionId"]
        made = await granted(root(served), session_id)
        assert (made["createdBy"], made["ownedBy"]) == ("root", "alice")
        shown_to_owner = await shown(alice(served), session_id, made)
        assert str(shown_to_owner["url"]).startswith("https://ferry.example/studio/#session=")
        parts = urlsplit(str(shown_to_owner["url"]).replace("/studio/", "/"))
        claims = claims_in(parts.geturl())
        assert (claims["sub"], claims["own"], claims["role"]) == ("alice", "alice", "controller")
        path = f"{SESSIONS}/{session_id}/streams/{made['streamId']}"
        assert refusal_of(await bob(served).call("GET", path)) == (403, "AccessDeniedException")
