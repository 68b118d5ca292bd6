"""JSON answers, and what each error is on the wire: `{"detail": …}` in the contract's form."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from aiohttp import web

from broker.errors import (
    BrokerError,
    Conflict,
    Forbidden,
    Invalid,
    NoCapacity,
    NotFound,
    Problem,
    QuotaExceeded,
    RateLimited,
    StoreUnavailable,
    Unauthenticated,
)
from signaling.routes import Json

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, allow_nan=False)
UNEXPECTED = "An unexpected error occurred. Please try again later."


def json_answer(body: Json, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer that no cache keeps."""
    headers = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store", **(headers or {})}
    return web.Response(body=_ENCODER.encode(body).encode(), status=status, headers=headers)


def refusal(status: int, detail: Json, *, retry_after_s: float | None = None) -> web.Response:
    """An error."""
    headers = {} if retry_after_s is None else {"Retry-After": str(math.ceil(retry_after_s))}
    return json_answer({"detail": detail}, status=status, headers=headers)


def answer_to(error: BrokerError) -> web.Response:
    """An error of the broker's on the wire."""
    match error:
        case Invalid():
            return refusal(422, [_problem(problem) for problem in error.problems])
        case NotFound():
            return refusal(404, str(error))
        case Unauthenticated(challenge=challenge):
            answer = refusal(401, str(error))
            answer.headers["WWW-Authenticate"] = challenge
            return answer
        case Forbidden():
            return refusal(403, str(error))
        case Conflict():
            return refusal(409, str(error))
        case NoCapacity(retry_after_s=seconds) | RateLimited(retry_after_s=seconds):
            return refusal(429, str(error), retry_after_s=seconds)
        case QuotaExceeded():
            return refusal(429, str(error))
        case StoreUnavailable(retry_after_s=seconds):
            return refusal(503, str(error), retry_after_s=seconds)
        case _:
            return refusal(500, UNEXPECTED)


def answer_to_http(error: web.HTTPException) -> web.Response:
    """What the HTTP library found wrong (unknown paths, methods) in the same form."""
    headers = {name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers}
    detail = (error.text or error.reason).removeprefix(f"{error.status}: ")
    return json_answer({"detail": detail}, status=error.status, headers=headers)


def _problem(problem: Problem) -> dict[str, Json]:
    return {"loc": list(problem.loc), "msg": problem.msg, "type": problem.type}
