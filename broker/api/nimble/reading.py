"""What a request brings besides its path: the body, and the token by which a repeated call is told from a second."""

from __future__ import annotations

from aiohttp import web

from broker.api.body import read_json
from broker.errors import Invalid, Problem

_TOKEN = "X-Amz-Client-Token"  # noqa: S105  # a header's name
_LONGEST_TOKEN = 64


async def read_object(request: web.Request) -> object:
    """The body; nothing is as good as an empty object. Raises as `read_json` does."""
    return await read_json(request, empty={})


def client_token(request: web.Request) -> str | None:
    """The request's token; None without one. Raises Invalid."""
    given = request.headers.getall(_TOKEN, [])
    if not given:
        return None
    if len(given) > 1 or not 0 < len(given[0]) <= _LONGEST_TOKEN or not given[0].isascii():
        text = f"should be one text of 1 to {_LONGEST_TOKEN} ASCII characters"
        raise Invalid((Problem(("header", _TOKEN), text, "string_pattern_mismatch"),))
    return given[0]
