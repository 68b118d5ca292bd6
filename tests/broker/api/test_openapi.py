"""The published documents say what is true: each answer is as its model, and nothing in it is left untold."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import cast

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

from broker.api.openapi import JsonObject
from broker.api.replies import (
    ApplicationPage,
    ApplicationReply,
    CreatedApplication,
    DeletedReply,
    EndedReply,
    ErrorReply,
    InvalidReply,
    ProfilePage,
    ProfileReply,
    StreamPage,
    StreamReply,
    VersionPage,
    VersionReply,
)
from tests.broker.api.serving import SaidProvider, Served, serving

BODY = {"id": "app", "profile": "default"}
NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def editing() -> AsyncIterator[Served]:
    async with serving(edit_applications=True, trusted_proxies="127.0.0.1") as served:
        yield served


def check(model: type[BaseModel], answer: JsonObject) -> None:
    """The answer is of this model, and holds nothing that it does not tell of."""
    assert keys_of(json.loads(model.model_validate(answer).model_dump_json(exclude_unset=True))) == keys_of(answer)


def keys_of(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: keys_of(item) for key, item in value.items()}
    return [keys_of(item) for item in value] if isinstance(value, list) else None


async def test_every_answer_of_the_streams_is_as_its_model(served: Served) -> None:
    pending = await served.call("POST", "/streaming/stream", BODY)
    check(StreamReply, pending.json)
    ready = await served.start()
    check(StreamReply, ready.json)
    check(StreamReply, (await served.call("GET", f"/streaming/stream/{ready.json['id']}")).json)
    for mount in ("/stream", "/streaming/stream"):
        check(StreamPage, (await served.call("GET", mount)).json)
    check(DeletedReply, (await served.call("DELETE", "/stream", {"session_id": ready.json["id"]})).json)
    check(ErrorReply, (await served.call("GET", f"/stream/{NOWHERE}")).json)
    check(InvalidReply, (await served.call("GET", "/stream/nope")).json)


async def test_the_answer_about_an_ended_session_is_as_its_model() -> None:
    provider = SaidProvider()
    async with serving(provider=provider) as served:
        stream = (await served.start()).json["id"]
        provider.kill_all("gone")
        check(EndedReply, (await served.until(f"/stream/{stream}", 410)).json)


async def test_every_answer_of_the_applications_is_as_its_model(editing: Served) -> None:
    for path, model in (
        ("", ApplicationPage),
        ("/app", ApplicationReply),
        ("/app/versions", VersionPage),
        ("/app/versions/latest", VersionReply),
        ("/app/versions/1.9.0/profiles", ProfilePage),
        ("/app/versions/1.9.0/profiles/default", ProfileReply),
    ):
        check(model, (await editing.call("GET", f"/cfg/apps{path}")).json)
    check(CreatedApplication, (await editing.call("POST", "/cfg/apps", {"id": "new"})).json)
    check(VersionReply, (await editing.call("POST", "/cfg/apps/new/versions", {"version": "1.0.0"})).json)
    check(ApplicationReply, (await editing.call("PATCH", "/cfg/apps/new", {"name": "x"})).json)
    check(ErrorReply, (await editing.call("POST", "/cfg/apps", {"id": "new"})).json)


@pytest.mark.parametrize("base", ["/streaming", "/applications"])
async def test_the_documents_are_openapi(editing: Served, base: str) -> None:
    answer = await editing.call("GET", f"{base}/openapi.json")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    OpenAPIV31SpecValidator(answer.json).validate()
    assert answer.json["servers"][0]["url"] == base  # type: ignore[index, call-overload]


def operations(document: JsonObject) -> set[tuple[str, str]]:
    paths = cast(dict[str, dict[str, object]], document["paths"])
    return {(method.upper(), path) for path, item in paths.items() for method in item if method != "servers"}


async def test_editing_is_published_where_it_is_served(served: Served, editing: Served) -> None:
    reading = operations((await served.call("GET", "/applications/openapi.json")).json)
    assert {method for method, _ in reading} == {"GET"}
    both = operations((await editing.call("GET", "/applications/openapi.json")).json)
    assert both - reading == {
        ("POST", "/cfg/apps"),
        ("DELETE", "/cfg/apps"),
        ("PUT", "/cfg/apps/{id}"),
        ("PATCH", "/cfg/apps/{id}"),
        ("DELETE", "/cfg/apps/{id}"),
        ("POST", "/cfg/apps/{id}/versions"),
        ("DELETE", "/cfg/apps/{id}/versions"),
        ("DELETE", "/cfg/apps/{id}/versions/{version}"),
    }


async def test_every_endpoint_of_the_streams_is_published(served: Served) -> None:
    told = operations((await served.call("GET", "/streaming/openapi.json")).json)
    served_there = {
        (route.method, route.resource.canonical.removeprefix("/streaming"))
        for route in served.broker.application().router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/streaming/stream")
    }
    assert {(method, path) for method, path in served_there if method != "HEAD"} <= told


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"id": "app", "profile": "default"}, True),
        ({"id": "app", "profile": "default", "arguments": {"stage": ""}}, True),
        ({"id": "app", "profile": "default", "arguments": {"stage": None, "nucleus_connection_config": []}}, True),
        ({"application": "app"}, True),
        ({"application": "app", "application_arguments": {"nucleus_connection_config": {}}}, True),
        ({"application": "app", "id": "app", "profile": "default"}, True),
        ({"application": "app", "id": "app"}, False),
        ({"id": "app"}, False),
        ({"id": "app", "profile": "default", "arguments": {"other": "x"}}, False),
        ({"application": "app", "application_arguments": {"nucleus_connection_config": [1]}}, False),
        ([], False),
    ],
)
async def test_a_body_is_taken_where_the_document_says_so(served: Served, body: object, said: bool) -> None:
    document = (await served.call("GET", "/streaming/openapi.json")).json
    schema = document["paths"]["/stream"]["post"]["requestBody"]["content"]["application/json"]["schema"]  # type: ignore[index, call-overload]
    whole = {**cast(JsonObject, schema), "components": document["components"]}
    assert jsonschema_rs.validator_for(whole).is_valid(body) is said
    assert ((await served.call("POST", "/stream", body)).status == 202) is said


async def test_the_example_in_the_document_works(served: Served) -> None:
    document = (await served.call("GET", "/streaming/openapi.json")).json
    for model in ("StartStream", "StartOvcStream"):
        example = document["components"]["schemas"][model]["examples"][0]  # type: ignore[index, call-overload]
        assert (await served.call("POST", "/streaming/stream", example, Prefer="wait=10")).status == 200


async def test_callers_are_told_to_authenticate_only_where_they_have_to(served: Served) -> None:
    document = (await served.call("GET", "/streaming/openapi.json")).json
    assert "securitySchemes" not in cast(JsonObject, document["components"])
