"""Whatever is refused leaves everything as it was: sessions, slots, ports, backends; and tricks are never served."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from broker.stores.memory import MemoryStore
from tests.broker.api.serving import Served, serving
from tests.broker.samples import make_profile

NOWHERE = "00000000-0000-4000-8000-000000000000"
BODY = {"id": "app", "profile": "default"}


async def state_of(store: MemoryStore, served: Served) -> object:
    """All that a refused request could have changed."""
    catalog = await served.call("GET", "/cfg/apps")
    return await store.sessions(), await store.claims(), served.provider.running, len(served.relay.seen), catalog.body


BODIES: list[object] = [
    {},
    [],
    "app",
    1,
    {"id": "nope", "profile": "default"},
    {"id": "app", "profile": "nope"},
    {"id": "app", "profile": "special"},
    {"id": "app", "profile": "default", "version": "9.9.9"},
    {"id": "app", "profile": "default", "arguments": {"other": "x"}},
    {"id": "app", "profile": "default", "arguments": {"stage": 1}},
    {"id": "app", "profile": "default", "arguments": {"stage": "a\0b"}},
    {"id": "app\n", "profile": "default"},
    {"id": ["app"], "profile": "default"},
    {"id": "app", "profile": "default", "version": 10**400},
    {"application": "app", "application_arguments": {"nucleus_connection_config": [{}]}},
    {"application": "nope"},
]
RAW = [
    b"",
    b"{",
    b"null",
    b'{"id": "app", "id": "app", "profile": "default"}',
    b'{"id": "app", "profile": "default", "version": NaN}',
    b'{"id": "app", "profile": "default", "arguments": {"stage": Infinity}}',
    b'{"id": "app", "profile": "default", "version": ' + b"9" * 6000 + b"}",
    b'{"id": "app", "profile": "default", "arguments": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    b'{"id": "\xff", "profile": "default"}',
    b'{"id": "\\ud800", "profile": "default"}',
    json.dumps({**BODY, "pad": "x" * 70_000}).encode(),
]


@pytest.mark.parametrize("mount", ["/stream", "/streaming/stream"])
async def test_refused_creates_leave_everything_as_it_was(mount: str) -> None:
    store = MemoryStore()
    async with serving(store=store, profile=make_profile(slots=4)) as served:
        assert (await served.start()).status == 200
        before = await state_of(store, served)
        for data in [*(json.dumps(body).encode() for body in BODIES), *RAW]:
            answer = await served.call("POST", mount, None, data)
            assert 400 <= answer.status < 500, (data[:80], answer)
            assert set(answer.json) == {"detail"}
        for headers in ({"Idempotency-Key": "x" * 256}, {"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"}):
            answer = await served.call("POST", mount, BODY, None, **headers)
            assert answer.status in (415, 422)
        assert await state_of(store, served) == before


async def test_a_create_that_finds_nothing_free_leaves_everything_as_it_was() -> None:
    store, profile = MemoryStore(), replace(make_profile(slots=1), queue=0)
    async with serving(store=store, profile=profile) as served:
        assert (await served.start()).status == 200
        before = await state_of(store, served)
        for _ in range(5):
            refused = await served.start(Idempotency_Key="again")
            assert refused.status == 429
            assert int(refused.headers["Retry-After"]) > 0
        assert await state_of(store, served) == before


NAMING_NOTHING: list[object] = [{}, {"id": "x"}, {"id": NOWHERE}, {"session_id": NOWHERE}, {"session_id": 1}, [], None]
EDITS: list[tuple[str, str, object]] = [
    ("POST", "", {"id": "app"}),
    ("POST", "", {"id": "x", "tags": [1]}),
    ("PATCH", "/app", {"name": None}),
    ("PUT", "/nope", {"name": "x"}),
    ("DELETE", "/nope", None),
    ("POST", "/app/versions", {"version": "1.0.0"}),
    ("DELETE", "/app/versions", {"version": "7.0.0"}),
]


@pytest.mark.parametrize("mount", ["/stream", "/streaming/stream"])
async def test_refused_deletes_and_edits_leave_everything_as_it_was(mount: str) -> None:
    store = MemoryStore()
    async with serving(store=store, edit_applications=True) as served:
        assert (await served.start()).status == 200
        before = await state_of(store, served)
        for body in NAMING_NOTHING:
            answer = await served.call("DELETE", mount, body)
            assert answer.status in (404, 422)
        for method, path, edit in EDITS:
            assert 400 <= (await served.call(method, f"/cfg/apps{path}", edit)).status < 500
        assert await state_of(store, served) == before


@pytest.mark.parametrize(
    "query",
    [
        "offset=-1",
        "limit=0",
        "limit=1e3",
        "limit=NaN",
        "limit=%20",
        "limit=1&limit=2",
        "offset=99999999999999999999999",
        "offset=1.0",
        "limit=1_0",
        "sort-by=owner",
        "order=asc",
        "from_time=yesterday",
        "from_time=1763733600",
        "to_time=2026-01-01T00:00:00",
    ],
)
@pytest.mark.parametrize("mount", ["/stream", "/streaming/stream"])
async def test_made_up_pages_are_refused(served: Served, mount: str, query: str) -> None:
    answer = await served.call("GET", f"{mount}?{query}")
    assert answer.problem["loc"] == ["query", query.partition("=")[0]]


@pytest.mark.parametrize(
    "path",
    [
        "/stream/..%2f..%2fetc%2fpasswd",
        "/stream/%2e%2e/healthz",
        "/stream/../healthz",
        "/stream//",
        "//stream",
        "/stream/",
        "/stream;x=1",
        f"/stream/{NOWHERE};x",
        f"/stream/{NOWHERE}%00",
        f"/stream/{NOWHERE}/",
        f"/stream/{NOWHERE.upper()}0",
        "/STREAM",
        "/stream%2f",
        "/stream/%ff",
        "/stream/%",
        "/streaming//stream",
        "/streaming/docs/../../stream.py",
        "/streaming/docs/%2e%2e%2fstream.py",
        "/cfg/apps/..%2f..",
        "/cfg/apps//versions",
        "/cfg/apps/app/versions/..",
        "/cfg/apps/app%2fversions",
        "/cfg/apps/app/versions/1.0.0%2fprofiles",
        "/applications/cfg/apps/app;v=1",
    ],
)
async def test_tricks_with_paths_are_refused_as_json(served: Served, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n"
    head = await served.raw(request.encode())
    assert head.split(b" ", 2)[1] in (b"400", b"404", b"422"), head
    assert b"application/json" in head
