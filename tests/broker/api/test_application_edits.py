"""Editing the catalog by endpoint: off unless set, live at once, and nothing that runs is touched by it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.broker.api.serving import Served, serving

MOUNTS = ["/cfg/apps", "/applications/cfg/apps"]
NEW = {"id": "viewer", "name": "Viewer", "description": "Shows stages", "tags": ["usd", "demo"]}
ASKED = {"id": "viewer", "profile": "default"}


@pytest.fixture
async def editing() -> AsyncIterator[Served]:
    async with serving(edit_applications=True) as served:
        yield served


@pytest.fixture(params=MOUNTS)
def mount(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_an_application_is_made_and_streamed_as_soon_as_it_has_a_version(editing: Served, mount: str) -> None:
    answer = await editing.call("POST", mount, NEW)
    assert (answer.status, answer.json) == (201, {"id": "viewer"})
    for other in MOUNTS:
        assert (await editing.call("GET", f"{other}/viewer")).json == NEW
    assert (await editing.call("POST", "/stream", ASKED)).status == 404
    answer = await editing.call("POST", f"{mount}/viewer/versions", {"version": "1.2.3", "container": "registry/x"})
    assert (answer.status, answer.json) == (201, {"version": "1.2.3"})
    assert (await editing.call("GET", f"{mount}/viewer/versions")).items == [{"version": "1.2.3"}]
    assert (await editing.call("GET", f"{mount}/viewer/versions/1.2.3/profiles")).items[0]["id"] == "default"
    answer = await editing.call("POST", "/stream", ASKED, Prefer="wait=10")
    assert answer.status == 200
    assert answer.json["version"] == "1.2.3"


async def test_what_is_there_is_not_made_again(editing: Served, mount: str) -> None:
    await editing.call("POST", mount, NEW)
    answer = await editing.call("POST", mount, NEW)
    assert answer.status == 409
    assert "viewer" in str(answer.json["detail"])
    assert (await editing.call("POST", mount, {"id": "app"})).status == 409
    assert (await editing.call("POST", f"{mount}/app/versions", {"version": "1.9.0"})).status == 409


async def test_without_a_name_the_id_is_the_name(editing: Served, mount: str) -> None:
    await editing.call("POST", mount, {"id": "plain"})
    answer = await editing.call("GET", f"{mount}/plain")
    assert answer.json == {"id": "plain", "name": "plain", "description": "", "tags": []}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_changes_replace_what_they_name_tags_whole(editing: Served, mount: str, method: str) -> None:
    changed = {"id": "app", "name": "Renamed", "description": "An application", "tags": ["a", "b"]}
    answer = await editing.call(method, f"{mount}/app", {"name": "Renamed"})
    assert (answer.status, answer.json) == (200, changed)
    answer = await editing.call(method, f"{mount}/app", {"tags": ["c", "c", "d"], "description": ""})
    assert answer.json == {**changed, "tags": ["c", "d"], "description": ""}
    assert (await editing.call("GET", f"{mount}?tags=c&tags=d")).items == [answer.json]
    assert (await editing.call(method, f"{mount}/app", {})).json == answer.json


@pytest.mark.parametrize("by", ["path", "body"])
async def test_a_deleted_application_is_gone_and_its_streams_go_on(editing: Served, mount: str, by: str) -> None:
    stream = (await editing.start()).json["id"]
    if by == "path":
        answer = await editing.call("DELETE", f"{mount}/app")
    else:
        answer = await editing.call("DELETE", mount, {"id": "app"})
    assert (answer.status, answer.body) == (204, b"")
    assert (await editing.call("GET", f"{mount}/app")).status == 404
    assert [item["id"] for item in (await editing.call("GET", mount)).items] == ["other"]
    assert (await editing.start()).status == 404
    assert (await editing.call("GET", f"/stream/{stream}")).status == 200
    assert (await editing.call("DELETE", f"{mount}/app")).status == 404
    assert (await editing.call("POST", mount, {"id": "app"})).status == 201
    assert (await editing.call("GET", f"{mount}/app/versions")).items == []


@pytest.mark.parametrize("by", ["path", "body"])
async def test_a_deleted_version_is_gone_and_its_streams_go_on(editing: Served, mount: str, by: str) -> None:
    stream = (await editing.start()).json
    assert stream["version"] == "1.10.0"
    if by == "path":
        answer = await editing.call("DELETE", f"{mount}/app/versions/1.10.0")
    else:
        answer = await editing.call("DELETE", f"{mount}/app/versions", {"version": "1.10.0"})
    assert (answer.status, answer.body) == (204, b"")
    assert (await editing.call("GET", f"/stream/{stream['id']}")).status == 200
    assert (await editing.start()).json["version"] == "1.9.0"
    gone = await editing.call("POST", "/stream", {"id": "app", "profile": "default", "version": "1.10.0"})
    assert gone.status == 404
    assert (await editing.call("DELETE", f"{mount}/app/versions", {"version": "1.10.0"})).status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "loc"),
    [
        ("POST", "", {"name": "x"}, ["body", "id"]),
        ("POST", "", {"id": "1x"}, ["body", "id"]),
        ("POST", "", {"id": "x", "name": 1}, ["body", "name"]),
        ("POST", "", {"id": "x", "tags": "a"}, ["body", "tags"]),
        ("POST", "", {"id": "x", "tags": [""]}, ["body", "tags", 0]),
        ("POST", "", {"id": "x", "name": "a" * 201}, ["body", "name"]),
        ("PATCH", "/app", {"name": None}, ["body", "name"]),
        ("PUT", "/app", {"tags": ["a", 1]}, ["body", "tags", 1]),
        ("PATCH", "/1app", {}, ["path", "id"]),
        ("DELETE", "", {}, ["body", "id"]),
        ("POST", "/app/versions", {"version": "1.0"}, ["body", "version"]),
        ("POST", "/app/versions", {"version": "latest"}, ["body", "version"]),
        ("DELETE", "/app/versions", {"version": "latest"}, ["body", "version"]),
        ("DELETE", "/app/versions/latest", None, ["path", "version"]),
    ],
)
async def test_what_is_wrong_is_told_by_place(
    editing: Served, method: str, path: str, body: object, loc: list[str | int]
) -> None:
    answer = await editing.call(method, f"/cfg/apps{path}", body)
    assert answer.problem["loc"] == loc


@pytest.mark.parametrize(
    ("method", "path"),
    [("PATCH", "/nope"), ("DELETE", "/nope"), ("POST", "/nope/versions"), ("DELETE", "/nope/versions")],
)
async def test_what_is_not_there_is_not_edited(editing: Served, mount: str, method: str, path: str) -> None:
    answer = await editing.call(method, mount + path, {"version": "1.0.0"})
    assert answer.status == 404
    assert "nope" in str(answer.json["detail"])


async def test_a_foreign_pages_form_edits_nothing(editing: Served, mount: str) -> None:
    for method, path in (("POST", ""), ("POST", "/app/versions"), ("PATCH", "/app"), ("PUT", "/app")):
        answer = await editing.call(method, mount + path, None, b'{"id": "x"}', Content_Type="text/plain")
        assert answer.status == 415
    assert (await editing.call("GET", f"{mount}/x")).status == 404


async def test_profiles_have_no_editing_endpoint(editing: Served, mount: str) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        path = f"{mount}/app/versions/1.9.0/profiles"
        assert (await editing.call(method, path, {"id": "x"})).status == 405
        assert (await editing.call(method, f"{path}/default", {"id": "x"})).status == 405
