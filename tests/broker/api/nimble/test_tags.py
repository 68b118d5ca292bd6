"""Tags of sessions are written and read by the session's name (ARN)."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.broker.api.nimble.clients import ROOT, SESSIONS, Caller, refusal_of
from tests.broker.api.nimble.people import KEYS, alice, bob
from tests.broker.api.serving import serving


def tags_path(arn: object) -> str:
    return f"{ROOT}/tags/{quote(str(arn), safe='')}"


async def test_tags_are_added_replaced_and_taken_off(caller: Caller) -> None:
    session = await caller.ready(tags={"a": "1", "b": "2"})
    path = tags_path(session["arn"])
    assert (await caller.call("GET", path)).json == {"tags": {"a": "1", "b": "2"}}
    answer = await caller.call("POST", path, {"tags": {"b": "3", "c/d": "ü"}})
    assert (answer.status, answer.body) == (204, b"")
    assert (await caller.session(session["sessionId"]))["tags"] == {"a": "1", "b": "3", "c/d": "ü"}
    assert (await caller.call("DELETE", f"{path}?tagKeys=a&tagKeys=c%2Fd&tagKeys=nope")).status == 204
    assert (await caller.call("GET", path)).json == {"tags": {"b": "3"}}
    assert (await caller.call("POST", path)).status == 204


@pytest.mark.parametrize("kind", ["launch-profile", "streaming-image", "studio", "streaming-session-backup"])
async def test_the_catalog_has_no_tags_and_takes_none(caller: Caller, kind: str) -> None:
    path = tags_path(f"arn:aws:nimble:us-west-2:123456789012:{kind}/x")
    assert (await caller.call("GET", path)).json == {"tags": {}}
    assert refusal_of(await caller.call("POST", path, {"tags": {"a": "b"}})) == (403, "AccessDeniedException")
    assert refusal_of(await caller.call("DELETE", f"{path}?tagKeys=a")) == (403, "AccessDeniedException")


@pytest.mark.parametrize(
    "arn", ["nope", "arn:aws:s3:::bucket", "arn:aws:nimble:r:1:streaming-session/a/b", "/", "a\x00"]
)
async def test_a_name_that_is_none_is_refused(caller: Caller, arn: str) -> None:
    assert refusal_of(await caller.call("GET", tags_path(arn))) == (400, "ValidationException")


@pytest.mark.parametrize("arn", ["arn:aws:nimble:r:1:streaming-session/nope", "arn:aws:nimble:r:1:spaceship/x"])
async def test_what_there_is_not_has_no_tags(caller: Caller, arn: str) -> None:
    assert refusal_of(await caller.call("GET", tags_path(arn))) == (404, "ResourceNotFoundException")


async def test_tags_are_bounded(caller: Caller) -> None:
    path = tags_path((await caller.created(tags={str(number): "" for number in range(40)}))["arn"])
    many = {f"more{number}": "" for number in range(11)}
    assert refusal_of(await caller.call("POST", path, {"tags": many})) == (400, "ValidationException")
    assert refusal_of(await caller.call("POST", path, {"tags": {"aws:a": ""}})) == (400, "ValidationException")
    assert refusal_of(await caller.call("DELETE", path)) == (400, "ValidationException")


async def test_tags_of_others_and_of_what_is_gone_cannot_be_written() -> None:
    async with serving(nimble=KEYS) as served:
        session = await alice(served).ready()
        path = tags_path(session["arn"])
        assert refusal_of(await bob(served).call("GET", path)) == (403, "AccessDeniedException")
        assert refusal_of(await bob(served).call("POST", path, {"tags": {"a": "b"}})) == (403, "AccessDeniedException")
        await alice(served).call("DELETE", f"{SESSIONS}/{session['sessionId']}")
        answer = await alice(served).call("POST", path, {"tags": {"a": "b"}})
        assert refusal_of(answer) == (409, "ConflictException")
