"""Answers as Nimble Studio's clients read them: JSON, a request id on each, and errors named in a header."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from aiohttp import web

from broker.api.answers import UNEXPECTED, json_answer
from broker.core.nimble import StreamsExceeded
from broker.errors import (
    BrokerError,
    Conflict,
    Forbidden,
    Invalid,
    NoCapacity,
    NotFound,
    QuotaExceeded,
    RateLimited,
    StoreUnavailable,
    Unauthenticated,
)
from broker.identity.sigv4 import BadSignature
from signaling.routes import Json

REQUEST_ID = "x-amzn-RequestId"


@dataclass(frozen=True, slots=True)
class _Fault:
    """An error's HTTP status, the exception that clients raise for it, and the code that says more."""

    status: int
    name: str
    code: str


_FOUND_BY_HTTP = {
    400: _Fault(400, "ValidationException", "MALFORMED_REQUEST"),
    403: _Fault(403, "AccessDeniedException", "ACCESS_DENIED"),
    404: _Fault(404, "UnknownOperationException", "UNKNOWN_OPERATION"),
    405: _Fault(405, "UnknownOperationException", "UNKNOWN_OPERATION"),
    408: _Fault(408, "RequestTimeoutException", "REQUEST_TIMEOUT"),
    413: _Fault(413, "RequestEntityTooLargeException", "REQUEST_TOO_LARGE"),
    415: _Fault(415, "UnsupportedMediaTypeException", "UNSUPPORTED_MEDIA_TYPE"),
    421: _Fault(421, "AccessDeniedException", "MISDIRECTED_REQUEST"),
    429: _Fault(429, "ThrottlingException", "TOO_MANY_REQUESTS"),
    503: _Fault(503, "ServiceUnavailableException", "SERVICE_UNAVAILABLE"),
}
_INTERNAL = _Fault(500, "InternalServerErrorException", "INTERNAL_ERROR")


def answer(body: Json, *, status: int = 200) -> web.Response:
    """What a call that succeeded is answered."""
    return json_answer(body, status=status, headers=always())


def no_content() -> web.Response:
    """What the writes of tags are answered."""
    return web.Response(status=204, headers=always())


def always() -> Mapping[str, str]:
    """The header of every answer: clients name it when they complain."""
    return {REQUEST_ID: str(uuid4())}


def tell(error: BrokerError) -> web.Response:
    """An error of the broker's."""
    fault, context = _fault_of(error)
    message = UNEXPECTED if fault is _INTERNAL else str(error)
    retry_after_s = error.retry_after_s if isinstance(error, NoCapacity | RateLimited | StoreUnavailable) else None
    return _refusal(fault, message, context, retry_after_s=retry_after_s)


def tell_http(error: web.HTTPException) -> web.Response:
    """What the HTTP library, or the gate, found wrong."""
    usual = _FOUND_BY_HTTP[400] if error.status < 500 else _INTERNAL
    fault = _FOUND_BY_HTTP.get(error.status, usual)
    response = _refusal(fault, (error.text or error.reason).removeprefix(f"{error.status}: "), {})
    for name in ("Allow", "Retry-After"):
        if name in error.headers:
            response.headers[name] = error.headers[name]
    return response


def _fault_of(error: BrokerError) -> tuple[_Fault, Mapping[str, str]]:
    match error:
        case BadSignature():
            return _Fault(403, error.fault.value, error.fault.name), {}
        case Unauthenticated():
            return _Fault(403, "UnrecognizedClientException", "UNKNOWN_KEY"), {}
        case Forbidden():
            return _FOUND_BY_HTTP[403], {}
        case Invalid():
            fields = ", ".join(".".join(map(str, problem.loc)) for problem in error.problems)
            return _Fault(400, "ValidationException", "INVALID_PARAMETER"), {"fields": fields}
        case NotFound():
            code = f"{error.kind.upper().replace(' ', '_')}_NOT_FOUND"
            return _Fault(404, "ResourceNotFoundException", code), {"resourceId": error.name}
        case Conflict():
            return _Fault(409, "ConflictException", "CONFLICT"), {}
        case StreamsExceeded():
            return _Fault(402, "ServiceQuotaExceededException", "TOO_MANY_STREAMS"), {}
        case QuotaExceeded():
            return _Fault(402, "ServiceQuotaExceededException", "TOO_MANY_SESSIONS"), {}
        case RateLimited():
            return _Fault(429, "ThrottlingException", "TOO_MANY_REQUESTS"), {}
        case NoCapacity():
            return _Fault(429, "ThrottlingException", "INSUFFICIENT_CAPACITY"), {}
        case StoreUnavailable():
            return _FOUND_BY_HTTP[503], {}
        case _:
            return _INTERNAL, {}


def _refusal(
    fault: _Fault, message: str, context: Mapping[str, str], *, retry_after_s: float | None = None
) -> web.Response:
    """The header decides what clients raise, so it bears the bare name; the body says more."""
    headers = {**always(), "x-amzn-ErrorType": fault.name}
    if retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(retry_after_s))
    body: Json = {"code": fault.code, "context": dict(context), "message": message}
    return json_answer(body, status=fault.status, headers=headers)
