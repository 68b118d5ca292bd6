"""What every request passes and every answer gets: Host and Origin, CORS, security headers, errors as JSON."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from broker.api.access import Access
from broker.api.answers import UNEXPECTED, answer_to, answer_to_http, refusal
from broker.api.auth import PRINCIPAL, Audience, Authenticator, Facade, require_admin
from broker.errors import BrokerError, Forbidden

logger = logging.getLogger(__name__)

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_CORS = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Authorization, Idempotency-Key, Prefer, Last-Event-ID",
    "Access-Control-Expose-Headers": "Location, Retry-After, ETag, Link, x-amzn-RequestId",
    "Access-Control-Max-Age": "600",
}
_ALWAYS = {
    "Server": "pixelferry",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


_ADMITTED_ORIGIN = web.RequestKey("admitted_origin", str)
_USUAL = Facade("", answer_to, answer_to_http)


class Gate:
    """The one middleware. `stopping` says whether nothing may be changed any more.

    `audiences` names who may use which path (as the route has it); what is not in it is for users.
    """

    def __init__(
        self,
        access: Access,
        stopping: Callable[[], bool],
        authenticate: Authenticator,
        *,
        audiences: Mapping[str, Audience],
        facades: Sequence[Facade] = (),
    ) -> None:
        self._access = access
        self._stopping = stopping
        self._authenticate = authenticate
        self._audiences = audiences
        self._facades = facades

    def middleware(self) -> Middleware:
        """As aiohttp wants it."""

        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            origin = self._admitted_origin(request)
            if origin is not None:
                request[_ADMITTED_ORIGIN] = origin
            return self._refused(request, origin) or await self._answered(request, handler)

        return gate

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the headers that every answer carries: aiohttp's on_response_prepare, so that streams get them too."""
        _add_headers(response, request.get(_ADMITTED_ORIGIN))

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

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        facade = next((one for one in self._facades if one.serves(request)), _USUAL)
        try:
            await self._identify(request, facade)
            return await handler(request)
        except web.HTTPException as error:
            return facade.tell_http(error)
        except BrokerError as error:
            answer = facade.tell(error)
            if answer.status == 500:
                logger.exception("%s %s failed", request.method, _route_of(request))
            return answer
        except Exception:  # the root of a request's task
            logger.exception("%s %s failed", request.method, _route_of(request))
            return refusal(500, UNEXPECTED)

    async def _identify(self, request: web.Request, facade: Facade) -> None:
        """Write down who asks, unless everyone may. Raises BrokerError for who may not."""
        audience = self._audiences.get(_route_of(request), Audience.USERS)
        if audience is Audience.EVERYONE:
            return
        request[PRINCIPAL] = await (facade.authenticate or self._authenticate)(request)
        if audience in (Audience.ADMINS, Audience.SCRAPERS):
            require_admin(request)

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


def _route_of(request: web.Request) -> str:
    """The path's template: the path itself may hold a session's id."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "(unknown path)"


def _add_headers(response: web.StreamResponse, origin: str | None) -> None:
    for name, value in _ALWAYS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "pixelferry"
    response.headers.add("Vary", "Origin")
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers.update(_CORS)
