"""No request, however wrong, is a fault of ours: whatever is sent, the answer is the documented one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.broker.api.serving import Answer, Served, serving

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["id", "profile", "version", "arguments", "application", "application_version", "application_arguments"]
LIKELY = st.dictionaries(
    st.sampled_from([*FIELDS, "session_id"]),
    JSON
    | st.sampled_from(["app", "other", "default", "special", "1.9.0", "latest", ""])
    | st.dictionaries(st.sampled_from(["stage", "nucleus_connection_config", "x"]), JSON, max_size=3),
    max_size=6,
)
BODIES = JSON | LIKELY
QUERY = st.dictionaries(
    st.sampled_from(["limit", "offset", "sort-by", "order", "username", "from_time", "to_time", "tags"]),
    st.text(max_size=30) | st.integers().map(str) | st.datetimes().map(lambda at: at.isoformat() + "Z"),
    max_size=4,
)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def fuzzed(request: Callable[[Served], Awaitable[Answer]]) -> None:
    async def run() -> None:
        async with serving() as served:
            answer = await request(served)
            assert answer.status < 500, answer
            if answer.body:
                assert isinstance(json.loads(answer.body), dict)
            if answer.status == 422:
                detail = answer.json["detail"]
                assert isinstance(detail, list) and detail
                assert all(isinstance(item, dict) and set(item) == {"loc", "msg", "type"} for item in detail)
            assert (await served.call("GET", "/healthz")).status == 200

    asyncio.run(run())


@FEW
@given(st.sampled_from(["POST", "DELETE"]), st.sampled_from(["/stream", "/streaming/stream"]), BODIES)
@example("POST", "/stream", {"id": "app", "profile": "default", "arguments": {"\ud800": "x"}})
@example("POST", "/stream", {"id": "app", "profile": "default", "version": "\ud800"})
def test_any_json_is_answered(method: str, path: str, body: object) -> None:
    fuzzed(lambda served: served.call(method, path, None, json.dumps(body).encode()))


@FEW
@given(st.sampled_from(["POST", "DELETE"]), st.binary(max_size=200))
def test_any_bytes_are_answered(method: str, data: bytes) -> None:
    fuzzed(lambda served: served.call(method, "/stream", None, data))


@FEW
@given(st.sampled_from(["/stream", "/cfg/apps", "/cfg/apps/app/versions"]), QUERY)
@example("/stream", {"from_time": "0001-01-01T00:00:00+23:59"})
@example("/stream", {"to_time": "9999-12-31T23:59:59-23:59"})
@example("/stream", {"from_time": "1" * 400})
def test_any_query_is_answered(path: str, query: dict[str, str]) -> None:
    async def request(served: Served) -> Answer:
        await served.start()
        async with served.http.get(served.url + path, params=query) as response:
            return Answer(response.status, response.headers, await response.read())

    fuzzed(request)
