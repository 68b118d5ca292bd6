"""Reads what a request brings: strict JSON of bounded size into models, each fault told by place."""

from __future__ import annotations

import asyncio
import json
import re
from typing import NoReturn, TypeVar, get_origin

from aiohttp import web
from pydantic import BaseModel, ValidationError

from broker.errors import Invalid, Problem

MAX_BODY_BYTES = 64 * 1024
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_READ_TIMEOUT_S = 15.0
_MOST_PROBLEMS = 20
"""More are not listed: an answer is not to outgrow its request."""

Model = TypeVar("Model", bound=BaseModel)


def require_json(request: web.Request) -> None:
    """Refuse what a foreign page's form could send unasked. Raises HTTPUnsupportedMediaType."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="Send Content-Type application/json.")


async def read_json(request: web.Request, *, empty: object = None) -> object:
    """The body, `empty` when there is none. Raises Invalid and HTTPExceptions."""
    content = await read_body(request)
    return _parse(content) if content else empty


async def read_body(request: web.Request) -> bytes:
    """The body as it came. Raises HTTPExceptions."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise web.HTTPUnsupportedMediaType(text="Send the body without Content-Encoding.")
    announced = request.content_length or 0
    if announced > MAX_BODY_BYTES:
        raise _too_large(announced)
    try:
        async with asyncio.timeout(None if request.content.is_eof() else _READ_TIMEOUT_S):
            content = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"The body did not come within {_READ_TIMEOUT_S:g} s.") from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(MAX_BODY_BYTES + 1) from None
    except (web.RequestPayloadError, ConnectionError) as error:
        raise web.HTTPBadRequest(text="The body was cut short or is badly framed.") from error
    return content


def _too_large(actual: int) -> web.HTTPException:
    text = f"The body should have at most {MAX_BODY_BYTES} bytes."
    return web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, actual, text=text)


def _parse(content: bytes) -> object:
    try:
        value: object = _DECODER.decode(content.decode())
        if _SURROGATE.search(content) is not None:
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeDecodeError as error:
        raise Invalid((Problem(("body", error.start), "The body is not UTF-8", "json_invalid"),)) from error
    except UnicodeEncodeError as error:
        raise Invalid((Problem(("body",), "A text holds half a character", "string_unicode"),)) from error
    except json.JSONDecodeError as error:
        raise Invalid((Problem(("body", error.pos), f"JSON decode error: {error.msg}", "json_invalid"),)) from error
    except RecursionError as error:
        raise Invalid((Problem(("body",), "The JSON is nested too deeply", "json_invalid"),)) from error
    except ValueError as error:
        raise Invalid((Problem(("body",), f"JSON decode error: {error}", "json_invalid"),)) from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return table


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_no_key_twice)


def parsed(model: type[Model], value: object, place: str) -> Model:
    """The value as this model. Raises Invalid, with `place` before each location."""
    if value is None:
        raise Invalid((Problem((place,), "Field required", "missing"),))
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        problems = tuple(
            Problem((place, *item["loc"]), item["msg"].removeprefix("Value error, "), item["type"])
            for item in found[:_MOST_PROBLEMS]
        )
        raise Invalid(problems) from error


def path_of(request: web.Request, model: type[Model]) -> Model:
    """What the path names. Raises Invalid."""
    return parsed(model, dict(request.match_info), "path")


def query_of(request: web.Request, model: type[Model]) -> Model:
    """The query's parameters; those that the model does not know are let be. Raises Invalid."""
    given: dict[str, object] = {}
    for name, field in model.model_fields.items():
        key = field.alias or name
        values = request.query.getall(key, [])
        if get_origin(field.annotation) is tuple:
            given[key] = tuple(values)
        elif len(values) > 1:
            raise Invalid((Problem(("query", key), "Parameter should be given once", "multiple_values"),))
        elif values:
            given[key] = values[0]
    return parsed(model, given, "query")


def headers_of(request: web.Request, model: type[Model]) -> Model:
    """The headers that the model knows; repeated ones as one list (RFC 9110 §5.3). Raises Invalid."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    texts = {name: ", ".join(request.headers.getall(name)) for name in names if name in request.headers}
    given = {name: text.encode(errors="surrogateescape").decode(errors="replace") for name, text in texts.items()}
    return parsed(model, given, "header")
