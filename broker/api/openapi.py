"""The published documents (OpenAPI 3.1), made of the operations beside the handlers and of the models that validate."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from broker.api.operation import JSON, Operation, Reply, operation_of
from broker.api.replies import ErrorReply, InvalidReply
from signaling.routes import Json

JsonObject = dict[str, Json]

_REF = "#/components/schemas/{model}"
_BEARER = "bearer"
_ALWAYS = (400, 403, 421, 429, 500, 503)
"""What any request may be answered with: no HTTP, a foreign origin or host, a fault, a broker that is stopping."""

_ERRORS: Mapping[int, Reply] = {
    400: Reply("This is no HTTP, or its body is cut short or badly framed.", ErrorReply),
    401: Reply("Who asks is not known.", ErrorReply, {"WWW-Authenticate": "How to authenticate."}),
    403: Reply("Who asks, or the page that asks, may not do this.", ErrorReply),
    404: Reply("There is no such thing; `detail` names it.", ErrorReply),
    408: Reply("The body did not come in time.", ErrorReply),
    409: Reply("It contradicts what is there already.", ErrorReply),
    413: Reply("The body has more than 64 KiB.", ErrorReply),
    415: Reply("The body is not JSON, or is encoded.", ErrorReply),
    421: Reply("This API does not answer to that Host.", ErrorReply),
    422: Reply("The request is not as it should be; `detail` names each place.", InvalidReply),
    429: Reply("Nothing is free, or a limit is reached; nothing was allocated.", ErrorReply),
    500: Reply("A fault of the broker's.", ErrorReply),
    503: Reply("The store is away or the broker is stopping.", ErrorReply, {"Retry-After": "Seconds to wait."}),
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method of a path that was described; `text` says what its summary does not."""

    method: str
    path: str
    operation: Operation
    text: str


@dataclass(frozen=True, slots=True)
class Api:
    """What a document is of: `endpoints`, of which those below `base` are told without it.

    `identity`: whether callers have to say who they are.
    """

    title: str
    description: str
    version: str
    base: str
    endpoints: Sequence[Endpoint]
    identity: bool


def endpoints_of(routes: Iterable[web.AbstractRoute]) -> list[Endpoint]:
    """Those of these routes that are described."""
    return [
        Endpoint(route.method, route.resource.canonical, operation, inspect.getdoc(route.handler) or "")
        for route in routes
        if route.method != "HEAD" and route.resource and (operation := operation_of(route.handler)) is not None
    ]


def document_of(api: Api) -> JsonObject:
    """The document, without `servers`: those are told apart by where it is asked for."""
    used = {model for endpoint in api.endpoints for model in _models(endpoint.operation)}
    models = sorted(used, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    paths: dict[str, JsonObject] = {}
    for endpoint in api.endpoints:
        below = endpoint.path.startswith(api.base + "/")
        item = paths.setdefault(endpoint.path.removeprefix(api.base) if below else endpoint.path, {})
        if not below:
            item["servers"] = []
        item[endpoint.method.lower()] = _operation_json(endpoint, identity=api.identity)
    components: JsonObject = {"schemas": cast(Json, schemas.get("$defs", {}))}
    if api.identity:
        text = "A JWT of the configured issuer, or an API key."
        components["securitySchemes"] = {_BEARER: {"type": "http", "scheme": "bearer", "description": text}}
    return {
        "openapi": "3.1.0",
        "info": {"title": api.title, "version": api.version, "description": api.description},
        "paths": cast(Json, paths),
        "components": components,
    }


def placed(document: JsonObject, prefix: str, *, bases: Sequence[tuple[str, str]]) -> JsonObject:
    """A copy whose servers are the `bases` (path and description) below what a proxy took off the paths.

    What stands in no base is at the root.
    """
    copy = cast(JsonObject, json.loads(json.dumps(document)))
    copy["servers"] = [{"url": prefix + base or "/", "description": text} for base, text in bases]
    for item in cast(dict[str, JsonObject], copy["paths"]).values():
        if "servers" in item:
            item["servers"] = [{"url": prefix or "/"}]
    return copy


def _models(operation: Operation) -> Iterable[type[BaseModel]]:
    yield from operation.body
    yield from (InvalidReply, ErrorReply)
    yield from (reply.model for reply in operation.replies.values() if reply.model is not None)


def _operation_json(endpoint: Endpoint, *, identity: bool) -> JsonObject:
    operation = endpoint.operation
    replies = dict(operation.replies)
    body_errors = (408, 413, 415) if operation.body else ()
    for status in (*_ALWAYS, *operation.errors, *body_errors, *((401,) if identity else ())):
        replies.setdefault(status, _ERRORS[status])
    told: JsonObject = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": " ".join(endpoint.text.split()),
        "responses": {str(status): _reply_json(replies[status]) for status in sorted(replies)},
    }
    if parameters := [*_parameters(operation, endpoint.path)]:
        told["parameters"] = cast(Json, parameters)
    if operation.body:
        refs: list[Json] = [{"$ref": _REF.format(model=model.__name__)} for model in operation.body]
        schema: Json = refs[0] if len(refs) == 1 else {"oneOf": refs}
        told["requestBody"] = {"required": operation.body_required, "content": {JSON: {"schema": schema}}}
    if identity:
        told["security"] = [{_BEARER: []}]
    return told


def _reply_json(reply: Reply) -> JsonObject:
    told: JsonObject = {"description": reply.description}
    if reply.headers:
        told["headers"] = {
            name: {"description": text, "required": True, "schema": {"type": "string"}}
            for name, text in reply.headers.items()
        }
    if reply.links:
        told["links"] = {
            name: {"operationId": name, "parameters": dict(parameters)} for name, parameters in reply.links.items()
        }
    if reply.model is not None:
        told["content"] = {JSON: {"schema": {"$ref": _REF.format(model=reply.model.__name__)}}}
    elif reply.media_type is not None:
        told["content"] = {reply.media_type: {"schema": {"type": "string"}}}
    return told


def _parameters(operation: Operation, path: str) -> Iterable[JsonObject]:
    in_path = set(re.findall(r"\{(\w+)\}", path))
    for place, model in (("path", operation.path), ("query", operation.query), ("header", operation.headers)):
        if model is None:
            continue
        schema = cast(JsonObject, model.model_json_schema(ref_template=_REF))
        required = cast(list[str], schema.get("required", []))
        for name, told in cast(dict[str, JsonObject], schema.get("properties", {})).items():
            if place == "path" and name not in in_path:
                continue
            yield _parameter(name, place, told, required=name in required)


def _parameter(name: str, place: str, schema: JsonObject, *, required: bool) -> JsonObject:
    """A parameter is there or not: its schema is that of one that is."""
    schema = {key: value for key, value in schema.items() if key not in ("title", "default") or value is not None}
    kinds = schema.pop("anyOf", None)
    if isinstance(kinds, list):
        schema |= next(kind for kind in kinds if isinstance(kind, dict) and kind.get("type") != "null")
    schema.pop("title", None)
    told: JsonObject = {"name": name, "in": place, "required": required}
    if "description" in schema:
        told["description"] = schema.pop("description")
    return told | {"schema": schema}
