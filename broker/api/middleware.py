"""What every request passes and every answer gets: Host and Origin, CORS, security headers, errors as JSON."""

from __future__ import annotations

import logging
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from broker.api.access import Access
from broker.api.answers import UNEXPECTED, answer_to, answer_to_http, refusal
from broker.errors import BrokerError, Forbidden

logger = logging.getLogger(__name__)

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_CORS = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Authorization, Idempotency-Key, Prefer",
    "Access-Control-Expose-Headers": "Location, Retry-After, ETag, Link, x-amzn-RequestId",
    "Access-Control-Max-Age": "600",
}
_ALWAYS = {
    "Server": "pixelferry",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Gate:
    """The one middleware. `stopping` says whether nothing may be changed any more."""

    def __init__(self, access: Access, stopping: Callable[[], bool]) -> None:
        self._access = access
        self._stopping = stopping

    def middleware(self) -> Middleware:
        """As aiohttp wants it."""

        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            origin = self._admitted_origin(request)
            response = self._refused(request, origin) or await _answered(request, handler)
            _add_headers(response, origin)
            return response

        return gate

    def _refused(self, request: web.Request, origin: str | None) -> web.Response | None:
        """The answer to what may not pass, or needs no handler; None for the rest."""
        if not self._names_us(request):
            detail = "This is not the Host of this API. Use its own address, or add the name to its setting 'names'."
            return refusal(421, detail)
        if "Origin" in request.headers and origin is None and request.method not in ("GET", "HEAD"):
            return answer_to(Forbidden())
        if request.method == "OPTIONS":
            return web.Response(status=204)
        if request.method not in _SAFE_METHODS and self._stopping():
            return refusal(503, "Pixelferry is stopping. Try again later.", retry_after_s=5)
        return None

    def _names_us(self, request: web.Request) -> bool:
        hosts = request.headers.getall("Host", [])
        sockname = request.get_extra_info("sockname", ("",))
        return len(hosts) == 1 and self._access.admits_host(hosts[0], sockname[0])

    def _admitted_origin(self, request: web.Request) -> str | None:
        """The origin that may read the answer, if one asks and may."""
        origins = request.headers.getall("Origin", [])
        if len(origins) != 1 or not self._names_us(request):
            return None
        return origins[0] if self._access.admits_origin(origins[0], request.headers["Host"]) else None


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return answer_to_http(error)
    except BrokerError as error:
        answer = answer_to(error)
        if answer.status == 500:
            logger.exception("%s %s failed", request.method, _route_of(request))
        return answer
    except Exception:  # the root of a request's task
        logger.exception("%s %s failed", request.method, _route_of(request))
        return refusal(500, UNEXPECTED)


def _route_of(request: web.Request) -> str:
    """The path's template: the path itself may hold a session's id."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "(unknown path)"


def _add_headers(response: web.StreamResponse, origin: str | None) -> None:
    for name, value in _ALWAYS.items():
        response.headers.setdefault(name, value)
    response.headers.add("Vary", "Origin")
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers.update(_CORS)
