"""No request, however wrong, is a fault of ours: each is answered in shape, and takes nothing untold."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.broker.api.nimble.clients import REGION, ROOT, SESSIONS, STUDIO_PATH, Caller
from tests.broker.api.serving import Answer, serving
from tests.broker.samples import make_profile

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=10,
)
FIELDS = (
    "launchProfileId",
    "streamingImageId",
    "ec2InstanceType",
    "ownedBy",
    "tags",
    "backupId",
    "volumeRetentionMode",
    "expirationInSeconds",
)
LIKELY = st.sampled_from(["app_default", "app_1-9-0", "g5.xlarge", "anonymous", "RETAIN", 60, 3600, {"a": "b"}])
BODIES = JSON | st.dictionaries(st.sampled_from(FIELDS), LIKELY | JSON, max_size=5)
DATA = BODIES.map(lambda body: json.dumps(body).encode()) | st.binary(max_size=60)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(lambda text: quote(text, safe=""))
SEGMENTS = WORDS | st.sampled_from(
    [
        "studios",
        "streaming-sessions",
        "launch-profiles",
        "streams",
        "tags",
        "details",
        "stop",
        "x",
        "%2F",
        "%",
        "%zz",
        "..",
        "",
    ]
)
PATHS = st.lists(SEGMENTS, max_size=7).map("/".join)
TOKENS = st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=70)
QUERY = st.lists(
    st.tuples(
        st.sampled_from(
            ["nextToken", "sessionIds", "createdBy", "ownedBy", "states", "maxResults", "tagKeys", "owner"]
        ),
        WORDS,
    ),
    max_size=4,
).map(lambda pairs: "?" + "&".join(f"{name}={value}" for name, value in pairs))
LISTS = ("streaming-sessions", "launch-profiles", "streaming-images", "streaming-session-backups")
FEW = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
CASES = 12

Request = Callable[[Caller, str], Awaitable[Answer]]


def fuzzed(requests: Iterable[Request]) -> None:
    """Each before one broker with a session, which then still serves."""

    async def run() -> None:
        async with serving(profile=make_profile(slots=CASES + 1)) as served:
            caller = Caller(served)
            session_id = str((await caller.ready())["sessionId"])
            for request in requests:
                answer = await request(caller, session_id)
                assert answer.status < 500, answer
            assert (await caller.call("GET", SESSIONS)).status == 200

    asyncio.run(run())


def several(*parts: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    return st.lists(st.tuples(*parts), min_size=1, max_size=CASES)


@FEW
@given(several(st.sampled_from(["", "/start", "/stop", "/streams"]), DATA, TOKENS))
def test_any_body_is_answered(cases: list[tuple[str, bytes, str | None]]) -> None:
    def request(rest: str, data: bytes, token: str | None) -> Request:
        headers = {} if token is None else {"X_Amz_Client_Token": token}

        async def ask(caller: Caller, session_id: str) -> Answer:
            path = f"{SESSIONS}/{session_id}{rest}" if rest else SESSIONS
            return await caller.call("POST", path, data=data, **headers)

        return ask

    fuzzed(request(*case) for case in cases)


@FEW
@given(several(st.sampled_from(["GET", "POST", "DELETE", "PUT"]), st.sampled_from([STUDIO_PATH, ROOT]), PATHS))
def test_any_path_is_answered(cases: list[tuple[str, str, str]]) -> None:
    def request(method: str, base: str, path: str) -> Request:
        return lambda caller, _: caller.call(method, f"{base}/{path}")

    fuzzed(request(*case) for case in cases)


@FEW
@given(several(st.sampled_from(LISTS), QUERY))
def test_any_query_is_answered(cases: list[tuple[str, str]]) -> None:
    def request(members: str, query: str) -> Request:
        return lambda caller, _: caller.call("GET", f"{STUDIO_PATH}/{members}{query}")

    fuzzed(request(*case) for case in cases)


@FEW
@given(several(st.sampled_from(["GET", "POST", "DELETE"]), WORDS, WORDS, DATA, QUERY))
def test_any_tag_is_answered(cases: list[tuple[str, str, str, bytes, str]]) -> None:
    def request(method: str, kind: str, name: str, data: bytes, query: str) -> Request:
        path = f"{ROOT}/tags/arn%3Aaws%3Animble%3A{REGION}%3A1%3A{kind}%2F{name}{query}"
        return lambda caller, _: caller.call(method, path, data=b"" if method == "GET" else data)

    fuzzed(request(*case) for case in cases)
