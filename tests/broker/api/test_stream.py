from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from broker.core.session import Session
from broker.errors import StoreUnavailable
from broker.stores.memory import MemoryStore
from signaling.errors import TableUnavailable
from signaling.routes import RelayInfo
from signaling.table import MemoryRouteTable
from tests.broker.api.serving import Answer, Served, serving
from tests.broker.samples import ENDPOINT, make_profile

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
BODY = {"id": "app", "profile": "default"}
MOUNTS = ["/stream", "/streaming/stream"]


def ports_of(answer: Answer, *, nested: bool) -> list[object]:
    routes = answer.json["routes"]
    assert isinstance(routes, dict)
    ((host, entries),) = routes.items()
    assert host == "127.0.0.1"
    if nested:
        assert isinstance(entries, dict) and set(entries) == {"routes"}
        entries = entries["routes"]
    assert isinstance(entries, list)
    return list(entries)


@pytest.mark.parametrize(("mount", "nested"), [("/stream", False), ("/streaming/stream", True)])
async def test_a_ready_stream_has_the_shape_of_its_mount(served: Served, mount: str, nested: bool) -> None:
    answer = await served.start(mount)
    assert answer.status == 200, answer
    stream = answer.json
    assert UUID4.fullmatch(str(stream["id"]))
    assert stream["status"] == {"condition": "ready", "message": "Session is active", "status": True}
    route = served.relay.served[str(stream["id"])]
    assert ports_of(answer, nested=nested) == [
        {
            "description": "signaling",
            "destination_port": ENDPOINT.signaling_port,
            "protocol": "TCP",
            "source_port": route.signaling_port,
        },
        {
            "description": "media",
            "destination_port": ENDPOINT.media_port,
            "protocol": "UDP",
            "source_port": route.media_port,
        },
    ]
    assert (stream["application"], stream["version"], stream["profile"]) == ("app", "1.10.0", "default")
    assert (await served.call("GET", f"{mount}/{stream['id']}")).json == stream
    assert (await served.call("GET", mount)).items == [stream]


async def test_both_mounts_show_one_session_each_in_its_shape(served: Served) -> None:
    stream = (await served.start("/stream")).json
    other = await served.call("GET", f"/streaming/stream/{stream['id']}")
    assert len(ports_of(other, nested=True)) == 2
    assert other.json["id"] == stream["id"]


async def test_a_pending_stream_says_where_and_when_to_ask_again(served: Served) -> None:
    served.provider.hold = True
    answer = await served.call("POST", "/stream", BODY)
    assert answer.status == 202
    assert answer.headers["Location"] == f"/stream/{answer.json['id']}"
    assert int(answer.headers["Retry-After"]) >= 1
    assert "routes" not in answer.json
    status = answer.json["status"]
    assert isinstance(status, dict)
    assert (status["condition"], status["status"]) == ("pending", False)
    assert str(status["message"]).startswith("Session is being prepared")
    again = await served.call("GET", answer.headers["Location"])
    assert (again.status, again.json["id"]) == (202, answer.json["id"])


async def test_a_pending_stream_has_empty_routes_on_the_deployed_mount(served: Served) -> None:
    served.provider.hold = True
    answer = await served.call("POST", "/streaming/stream", BODY)
    assert answer.status == 202
    assert answer.json["routes"] == {}
    assert answer.headers["Location"] == f"/streaming/stream/{answer.json['id']}"


async def test_a_caller_may_wait_for_readiness(served: Served) -> None:
    answer = await served.call("POST", "/stream", BODY, Prefer="respond-async, wait=10")
    assert (answer.status, answer.headers["Preference-Applied"]) == (200, "wait=10")
    got = await served.call("GET", f"/stream/{answer.json['id']}", Prefer="wait=5")
    assert (got.status, got.headers["Preference-Applied"]) == (200, "wait=5")


async def test_a_wait_ends_with_the_time_asked_for_and_never_beyond_the_setting() -> None:
    async with serving(wait_max_s=0) as served:
        served.provider.hold = True
        answer = await served.call("POST", "/stream", BODY, Prefer="wait=100")
        assert (answer.status, answer.headers["Preference-Applied"]) == (202, "wait=0")


async def test_a_get_without_a_wish_does_not_wait(served: Served) -> None:
    served.provider.hold = True
    answer = await served.call("POST", "/stream", BODY)
    assert "Preference-Applied" not in answer.headers


@pytest.mark.parametrize("version", [None, "", "default", "latest"])
async def test_no_version_means_the_highest(served: Served, version: str | None) -> None:
    answer = await served.call("POST", "/stream", {**BODY, "version": version})
    assert answer.json["version"] == "1.10.0"


async def test_a_version_can_be_named(served: Served) -> None:
    assert (await served.call("POST", "/stream", {**BODY, "version": "1.9.0"})).json["version"] == "1.9.0"


async def test_arguments_reach_the_backend_and_empty_ones_do_not(served: Served) -> None:
    await served.start()
    body = {**BODY, "arguments": {"stage": "a/b.usd"}}
    assert (await served.call("POST", "/stream", body, Prefer="wait=10")).status == 200
    for empty in ("", None):
        body = {**BODY, "arguments": {"stage": empty, "undeclared": empty, "nucleus_connection_config": []}}
        assert (await served.call("POST", "/stream", body, Prefer="wait=10")).status == 200
    given = [dict(activation.arguments) for activation in served.provider.activations]
    assert given == [{}, {"stage": "a/b.usd"}, {}, {}]


async def test_the_ovc_dialect_is_told_by_its_field_names(served: Served) -> None:
    body = {
        "application": "other",
        "application_version": "default",
        "application_arguments": {"stage": "", "nucleus_connection_config": []},
    }
    answer = await served.call("POST", "/stream", body, Prefer="wait=10")
    assert (answer.status, answer.json["application"], answer.json["profile"]) == (200, "other", "special")
    gone = await served.call("DELETE", "/stream", {"session_id": answer.json["id"]})
    assert gone.status == 200
    assert gone.json == {"session_id": answer.json["id"], "satus": "deleted", "status": "deleted"}


async def test_a_stream_is_deleted_by_path(served: Served) -> None:
    path = f"/stream/{(await served.start()).json['id']}"
    gone = await served.call("DELETE", path)
    assert (gone.status, gone.body) == (204, b"")
    assert (await served.call("GET", "/stream")).items == []
    for method in ("GET", "DELETE"):
        assert (await served.call(method, path)).status == 404


@pytest.mark.parametrize("mount", MOUNTS)
async def test_a_stream_is_deleted_by_body(served: Served, mount: str) -> None:
    session_id = (await served.start(mount)).json["id"]
    gone = await served.call("DELETE", mount, {"id": session_id})
    assert (gone.status, gone.body) == (204, b"")
    assert (await served.call("DELETE", mount, {"id": session_id})).status == 404


async def test_a_pending_stream_can_be_deleted(served: Served) -> None:
    served.provider.hold = True
    session_id = (await served.call("POST", "/stream", BODY)).json["id"]
    assert (await served.call("DELETE", f"/stream/{session_id}")).status == 204
    assert (await served.call("GET", "/stream")).items == []


async def test_a_stream_that_failed_is_gone_with_its_reason(served: Served) -> None:
    path = f"/stream/{(await served.start()).json['id']}"
    served.provider.kill_all("It fell over")
    answer = await served.until(path, 410)
    assert answer.json["detail"] == "It fell over"
    assert answer.json["end_reason"] == "backend_failed"
    assert answer.json["status"] == {"condition": "failed", "message": "It fell over", "status": False}
    assert (await served.call("DELETE", path)).status == 404
    assert (await served.call("GET", "/stream")).items == []


async def test_a_create_that_waited_for_a_failure_says_so(served: Served) -> None:
    served.provider.fail = "It never came up"
    answer = await served.start()
    assert (answer.status, answer.json["detail"]) == (410, "It never came up")


async def test_a_create_is_safe_to_repeat_with_a_key(served: Served) -> None:
    first = await served.start(Idempotency_Key="once")
    second = await served.start(Idempotency_Key="once")
    assert first.json["id"] == second.json["id"]
    assert len((await served.call("GET", "/stream")).items) == 1
    other = {**BODY, "version": "1.0.0"}
    assert (await served.call("POST", "/stream", other, Idempotency_Key="once")).status == 409
    assert (await served.start(Idempotency_Key="")).json["id"] != first.json["id"]
    refused = await served.start(Idempotency_Key="k" * 256)
    assert refused.problem["loc"] == ["header", "Idempotency-Key"]


async def test_without_a_free_slot_nothing_is_made_and_the_caller_told_when_to_come_back() -> None:
    async with serving(profile=replace(make_profile(slots=1), queue=0)) as served:
        await served.start()
        answer = await served.call("POST", "/stream", BODY)
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) >= 1
        assert "free" in str(answer.json["detail"])
        assert len((await served.call("GET", "/stream")).items) == 1


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"id": "nope", "profile": "default"}, "application 'nope'"),
        ({"id": "app", "profile": "nope"}, "'nope'"),
        ({"id": "app", "profile": "special"}, "'special'"),
        ({"id": "app", "profile": "default", "version": "9.9.9"}, "'9.9.9'"),
        ({"application": "nope"}, "application 'nope'"),
    ],
)
async def test_what_is_not_there_is_named(served: Served, body: object, named: str) -> None:
    answer = await served.call("POST", "/stream", body)
    assert answer.status == 404
    assert named in str(answer.json["detail"])


@pytest.mark.parametrize(
    ("body", "loc", "kind"),
    [
        ({"profile": "default"}, ["body", "id"], "missing"),
        ({"id": "app"}, ["body", "profile"], "missing"),
        ({"id": 7, "profile": "default"}, ["body", "id"], "string_type"),
        ({"id": "1app", "profile": "default"}, ["body", "id"], "string_pattern_mismatch"),
        ({"id": "app\n", "profile": "default"}, ["body", "id"], "string_pattern_mismatch"),
        ({"id": "äpp", "profile": "default"}, ["body", "id"], "string_pattern_mismatch"),
        ({"id": "a" * 64, "profile": "default"}, ["body", "id"], "string_too_long"),
        ({**BODY, "version": 1}, ["body", "version"], "string_type"),
        ({**BODY, "arguments": []}, ["body", "arguments"], "dict_type"),
        ({**BODY, "arguments": {"stage": 7}}, ["body", "arguments", "stage"], "string_type"),
        ({**BODY, "arguments": {"rm": "-rf"}}, ["body", "arguments", "rm"], "extra_forbidden"),
        ({**BODY, "arguments": {"stage": "a\nb"}}, ["body", "arguments", "stage"], "string_pattern_mismatch"),
        ({**BODY, "arguments": {"stage": "a\0b"}}, ["body", "arguments", "stage"], "string_pattern_mismatch"),
        ({**BODY, "arguments": {"stage": "\ud800"}}, ["body"], "string_unicode"),
        (
            {"application": "app", "application_arguments": {"nucleus_connection_config": [1]}},
            ["body", "application_arguments", "nucleus_connection_config"],
            "string_type",
        ),
        ({"application": "app", "application_arguments": {"rm": "x"}}, ["body", "application_arguments", "rm"], None),
        ([], ["body"], None),
        ("app", ["body"], None),
    ],
)
async def test_a_body_that_does_not_fit_is_refused_by_place(
    served: Served, body: object, loc: list[str], kind: str | None
) -> None:
    problem = (await served.call("POST", "/stream", body)).problem
    assert problem["loc"] == loc
    assert kind in (None, problem["type"])
    assert (await served.call("GET", "/stream")).items == []


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"",
        b"nonsense",
        b'{"id": NaN, "profile": "default"}',
        b'{"id": Infinity}',
        b'{"id": "app", "id": "app", "profile": "default"}',
        b'{"id": "app", "profile": "default", "arguments": {"stage": "a", "stage": "b"}}',
        b'{"id": "\xff"}',
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b'{"id": ' + b"1" * 50_000 + b"}",
    ],
)
async def test_what_is_no_strict_json_is_refused_in_the_documented_form(served: Served, data: bytes) -> None:
    answer = await served.call("POST", "/stream", data=data, Content_Type="application/json")
    problem = answer.problem
    assert isinstance(problem["loc"], list) and problem["loc"][0] == "body"


async def test_a_body_of_more_than_64_kib_is_refused(served: Served) -> None:
    body = {**BODY, "arguments": {"stage": "a" * 70_000}}
    answer = await served.call("POST", "/stream", body)
    assert answer.status == 413
    assert "65536" in str(answer.json["detail"])

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 4096

    headers = {"Content-Type": "application/json"}
    async with served.http.post(served.url + "/stream", data=endless(), headers=headers) as response:
        assert response.status == 413


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_form_cannot_start_anything(served: Served, kind: str) -> None:
    answer = await served.call("POST", "/stream", BODY, Content_Type=kind)
    assert answer.status == 415
    assert "application/json" in str(answer.json["detail"])


async def test_a_charset_beside_the_type_is_fine(served: Served) -> None:
    answer = await served.call("POST", "/stream", BODY, Content_Type="application/json; charset=utf-8")
    assert answer.status in (200, 202)


async def test_a_compressed_body_is_refused(served: Served) -> None:
    answer = await served.call("POST", "/stream", BODY, Content_Encoding="gzip")
    assert answer.status == 415


@pytest.mark.parametrize(
    "session_id",
    ["x", "8D5F4C2E-1F0A-4A5B-9C3D-000000000007", "8d5f4c2e-1f0a-1a5b-9c3d-000000000007", "%00", "..%2f", "é"],
)
async def test_an_id_of_another_form_is_refused(served: Served, session_id: str) -> None:
    for method in ("GET", "DELETE"):
        problem = (await served.call(method, f"/stream/{session_id}")).problem
        assert problem["loc"] == ["path", "id"]
    assert (await served.call("DELETE", "/stream", {"id": session_id})).problem["loc"] == ["body", "id"]
    ovc = await served.call("DELETE", "/stream", {"session_id": session_id})
    assert ovc.problem["loc"] == ["body", "session_id"]


async def test_a_delete_without_a_body_is_refused(served: Served) -> None:
    assert (await served.call("DELETE", "/stream")).problem["loc"] == ["body"]


HEAD = b"POST /stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = b'Content-Length: 32\r\n\r\n{"id":"app","profile":"default"}'


@pytest.mark.parametrize("rest", [b"Content-Length: 100\r\n\r\n{", CHUNKED + b"5\r\n{", CHUNKED + b"nonsense\r\n"])
async def test_a_body_that_is_cut_short_makes_nothing(
    served: Served, rest: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await served.raw(HEAD + rest, cut=True)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 "), answer
    assert not [record for record in caplog.records if record.name.startswith("broker.api")]
    assert (await served.call("GET", "/stream")).items == []


async def test_headers_that_are_no_text_are_no_fault_of_ours(served: Served) -> None:
    assert (await served.raw(HEAD + b"Idempotency-Key: \xff\r\n" + WHOLE)).startswith(b"HTTP/1.1 422 ")
    assert (await served.raw(HEAD + b"Prefer: wait=\xff\r\n" + WHOLE)).startswith(b"HTTP/1.1 202 ")


async def test_an_unknown_session_is_not_found(served: Served) -> None:
    session_id = str(uuid4())
    for method, path, body in (
        ("GET", f"/stream/{session_id}", None),
        ("DELETE", f"/stream/{session_id}", None),
        ("DELETE", "/streaming/stream", {"id": session_id}),
        ("DELETE", "/stream", {"session_id": session_id}),
    ):
        answer = await served.call(method, path, body)
        assert answer.status == 404
        assert session_id in str(answer.json["detail"])


async def test_the_list_comes_in_pages(served: Served) -> None:
    ids = [(await served.start()).json["id"] for _ in range(3)]
    page = await served.call("GET", "/stream?limit=1&offset=1")
    assert {**page.json, "items": []} == {"offset": 1, "limit": 1, "count": 1, "items": []}
    assert [item["id"] for item in page.items] == ids[1:2]
    assert [item["id"] for item in (await served.call("GET", "/stream?order=DESC")).items] == ids[::-1]
    assert (await served.call("GET", "/stream?offset=3")).json["count"] == 0


async def test_the_list_can_be_filtered_by_owner_and_time(served: Served) -> None:
    await served.start()
    hour, now = timedelta(hours=1), datetime.now(UTC)
    for query, count in (
        ("username=anonymous", 1),
        ("username=else", 0),
        ("sort-by=username&order=ASC", 1),
        (f"from_time={(now - hour).isoformat()}", 1),
        (f"from_time={(now + hour).isoformat()}", 0),
        (f"to_time={(now + hour).strftime('%Y-%m-%dT%H:%M:%SZ')}", 1),
        (f"to_time={(now - hour).isoformat()}", 0),
    ):
        answer = await served.call("GET", f"/stream?{query}")
        assert (answer.status, answer.json.get("count")) == (200, count), (query, answer)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("offset=-1", "offset"),
        ("sort-by=size", "sort-by"),
        ("order=asc", "order"),
        ("from_time=yesterday", "from_time"),
        ("to_time=2026-01-01T00:00:00", "to_time"),
    ],
)
async def test_a_query_that_does_not_fit_is_refused(served: Served, query: str, name: str) -> None:
    assert (await served.call("GET", f"/stream?{query}")).problem["loc"] == ["query", name]


class AbsentStore(MemoryStore):
    async def sessions(self) -> dict[str, Session]:
        if self.away:
            raise StoreUnavailable
        return dict(await super().sessions())

    away = False


async def test_while_the_store_is_away_the_caller_is_told_to_come_back() -> None:
    store = AbsentStore()
    async with serving(store=store) as served:
        store.away = True
        answer = await served.call("GET", "/stream")
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert (await served.call("GET", "/healthz")).status == 200
        store.away = False


class AbsentTable(MemoryRouteTable):
    away = False

    async def relays(self) -> Mapping[str, RelayInfo]:
        if self.away:
            raise TableUnavailable("Redis does not answer")
        return await super().relays()


async def test_while_the_route_table_is_away_a_create_is_to_be_tried_again() -> None:
    table = AbsentTable()
    async with serving(table=table) as served:
        table.away = True
        answer = await served.call("POST", "/stream", BODY)
        table.away = False
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) >= 1


class BrokenStore(MemoryStore):
    broken = False

    async def sessions(self) -> dict[str, Session]:
        if self.broken:
            raise ZeroDivisionError("a fault of our own")
        return dict(await super().sessions())


async def test_a_fault_of_ours_tells_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    store = BrokenStore()
    async with serving(store=store) as served:
        store.broken = True
        answer = await served.call("GET", "/stream")
        store.broken = False
    assert answer.status == 500
    assert answer.json == {"detail": "An unexpected error occurred. Please try again later."}
    assert "ZeroDivisionError" in caplog.text
