"""No request, however wrong, is a fault of ours: each is answered in shape, and takes nothing untold."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.broker.api.nimble.clients import REGION, ROOT, SESSIONS, STUDIO_PATH, Caller
from tests.broker.api.serving import Answer, serving

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
FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def fuzzed(request: Callable[[Caller, str], Awaitable[Answer]]) -> None:
    async def run() -> None:
        async with serving() as served:
            caller = Caller(served)
            session_id = str((await caller.ready())["sessionId"])
            answer = await request(caller, session_id)
            assert answer.status < 500, answer
            assert (await caller.call("GET", SESSIONS)).status == 200

    asyncio.run(run())


@FEW
@given(st.sampled_from(["", "/start", "/stop", "/streams"]), DATA, TOKENS)
def test_any_body_is_answered(rest: str, data: bytes, token: str | None) -> None:
    async def request(caller: Caller, session_id: str) -> Answer:
        path = f"{SESSIONS}/{session_id}{rest}" if rest else SESSIONS
        headers = {} if token is None else {"X_Amz_Client_Token": token}
        return await caller.call("POST", path, data=data, **headers)

    fuzzed(request)


@FEW
@given(st.sampled_from(["GET", "POST", "DELETE", "PUT"]), PATHS, st.booleans())
def test_any_path_is_answered(method: str, path: str, in_studio: bool) -> None:
    fuzzed(lambda caller, _: caller.call(method, f"{STUDIO_PATH if in_studio else ROOT}/{path}"))


@FEW
@given(
    st.sampled_from(["streaming-sessions", "launch-profiles", "streaming-images", "streaming-session-backups"]), QUERY
)
def test_any_query_is_answered(members: str, query: str) -> None:
    fuzzed(lambda caller, _: caller.call("GET", f"{STUDIO_PATH}/{members}{query}"))


@FEW
@given(st.sampled_from(["GET", "POST", "DELETE"]), WORDS, WORDS, DATA, QUERY)
def test_any_tag_is_answered(method: str, kind: str, name: str, data: bytes, query: str) -> None:
    arn = f"arn%3Aaws%3Animble%3A{REGION}%3A1%3A{kind}%2F{name}"
    fuzzed(lambda caller, _: caller.call(method, f"{ROOT}/tags/{arn}{query}", data=b"" if method == "GET" else data))
