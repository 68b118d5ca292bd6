from __future__ import annotations

import pytest

from tests.broker.api.serving import Served

APP = {"id": "app", "name": "App", "description": "An application", "tags": ["a", "b"]}
OTHER = {"id": "other", "name": "Other", "description": "", "tags": ["b"]}
DEFAULT = {"id": "default", "name": "Default", "description": ""}


@pytest.fixture(params=["/cfg/apps", "/applications/cfg/apps"])
def mount(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_applications_are_listed(served: Served, mount: str) -> None:
    answer = await served.call("GET", mount)
    assert answer.status == 200
    assert answer.json == {"offset": 0, "limit": 50, "count": 2, "items": [APP, OTHER]}


async def test_applications_are_found_by_all_tags_asked_for(served: Served, mount: str) -> None:
    for query, found in (("tags=b", [APP, OTHER]), ("tags=a&tags=b", [APP]), ("tags=a&tags=c", [])):
        assert (await served.call("GET", f"{mount}?{query}")).items == found


async def test_one_application_is_told(served: Served, mount: str) -> None:
    assert (await served.call("GET", f"{mount}/app")).json == APP


async def test_versions_come_highest_first_since_clients_offer_the_first(served: Served, mount: str) -> None:
    answer = await served.call("GET", f"{mount}/app/versions")
    assert [item["version"] for item in answer.items] == ["1.10.0", "1.9.0", "1.0.0"]
    assert (await served.call("GET", f"{mount}/app/versions?limit=1&offset=1")).items == [{"version": "1.9.0"}]
    assert (await served.call("GET", f"{mount}/app/versions/1.9.0")).json == {"version": "1.9.0"}


async def test_profiles_come_with_the_default_one_first(served: Served, mount: str) -> None:
    assert (await served.call("GET", f"{mount}/app/versions/1.9.0/profiles")).items == [DEFAULT]
    answer = await served.call("GET", f"{mount}/other/versions/1.0.0/profiles")
    assert [item["id"] for item in answer.items] == ["special", "default"]
    assert (await served.call("GET", f"{mount}/app/versions/1.9.0/profiles/default")).json == DEFAULT


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("nope", "nope"),
        ("nope/versions", "nope"),
        ("app/versions/9.9.9", "9.9.9"),
        ("app/versions/9.9.9/profiles", "9.9.9"),
        ("app/versions/1.0.0/profiles/special", "special"),
    ],
)
async def test_what_is_not_there_is_named(served: Served, mount: str, path: str, named: str) -> None:
    answer = await served.call("GET", f"{mount}/{path}")
    assert answer.status == 404
    assert named in str(answer.json["detail"])


@pytest.mark.parametrize("path", ["1app", "a%20b", "a.b/versions", "app/versions/1.0.0/profiles/é"])
async def test_an_id_of_another_form_is_refused(served: Served, mount: str, path: str) -> None:
    answer = await served.call("GET", f"{mount}/{path}")
    assert answer.problem["type"] == "string_pattern_mismatch"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", ""), ("DELETE", ""), ("PUT", "/app"), ("PATCH", "/app"), ("DELETE", "/app"), ("POST", "/app/versions")],
)
async def test_editing_is_off(served: Served, mount: str, method: str, path: str) -> None:
    answer = await served.call(method, mount + path, {"id": "x"})
    assert answer.status == 405
    assert "GET" in answer.headers["Allow"]
    assert isinstance(answer.json["detail"], str)
