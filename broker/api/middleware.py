"""What every request passes and every answer gets: Host and Origin, CORS, security headers, errors as JSON."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from broker.api.access import Access
from broker.api.answers import UNEXPECTED, answer_to, answer_to_http
from broker.api.auth import PRINCIPAL, Audience, Facade, require_admin
from broker.api.authentication import Authentication
from broker.api.rate import RateLimit
from broker.errors import BrokerError, Forbidden, StoreUnavailable
from signaling.errors import TableUnavailable

logger = logging.getLogger(__name__)

_STOPPING_RETRY_S = 5
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_CORS = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Authorization, Idempotency-Key, Prefer, Last-Event-ID",
    "Access-Control-Expose-Headers": "Location, Retry-After, ETag, Link, x-amzn-RequestId",
    "Access-Control-Max-Age": "600",
}
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


_ADMITTED_ORIGIN = web.RequestKey("admitted_origin", str)
_USUAL = Facade("", answer_to, answer_to_http)


_WITHOUT_RATE = RateLimit(None, 1)


class Gate:
    """The one middleware. `stopping` says whether nothing may be changed any more.

    `audiences` names who may use which method and path (as the route has it); what is not in it is for users.
    """

    def __init__(
        self,
        access: Access,
        stopping: Callable[[], bool],
        authentication: Authentication,
        *,
        audiences: Mapping[tuple[str, str], Audience],
        facades: Sequence[Facade] = (),
        rate: RateLimit = _WITHOUT_RATE,
    ) -> None:
        self._access = access
        self._stopping = stopping
        self._authentication = authentication
        self._audiences = audiences
        self._facades = facades
        self._rate = rate

    def middleware(self) -> Middleware:
        """As aiohttp wants it."""

        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            origin = self._admitted_origin(request)
            if origin is not None:
                request[_ADMITTED_ORIGIN] = origin
            return await self._answered(request, handler, origin)

        return gate

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the headers that every answer carries: aiohttp's on_response_prepare, so that streams get them too."""
        for name, value in self._facade_of(request).always().items():
            response.headers.setdefault(name, value)
        _add_headers(response, request.get(_ADMITTED_ORIGIN))

    def _check(self, request: web.Request, origin: str | None) -> None:
        """Raises HTTPException, Forbidden for what may not pass, whoever asks."""
        if not self._names_us(request):
            detail = "This is not the Host of this API. Use its own address, or add the name to its setting 'names'."
            raise web.HTTPMisdirectedRequest(text=detail)
        if "Origin" in request.headers and origin is None and request.method not in ("GET", "HEAD"):
            raise Forbidden
        if request.method not in _SAFE_METHODS and self._stopping():
            text = "Pixelferry is stopping. Try again later."
            raise web.HTTPServiceUnavailable(text=text, headers={"Retry-After": str(_STOPPING_RETRY_S)})

    async def _answered(self, request: web.Request, handler: Handler, origin: str | None) -> web.StreamResponse:
        facade = self._facade_of(request)
        try:
            self._check(request, origin)
            if request.method == "OPTIONS":
                return web.Response(status=204)
            await self._identify(request, facade)
            return await handler(request)
        except web.HTTPException as error:
            return facade.tell_http(error)
        except BrokerError as error:
            answer = facade.tell(error)
            if answer.status == 500:
                logger.exception("%s %s failed", request.method, _route_of(request))
            return answer
        except TableUnavailable as error:
            return facade.tell(StoreUnavailable(reason=str(error)))
        except Exception:  # the root of a request's task
            logger.exception("%s %s failed", request.method, _route_of(request))
            return facade.tell_http(web.HTTPInternalServerError(text=UNEXPECTED))

    def _facade_of(self, request: web.Request) -> Facade:
        return next((one for one in self._facades if one.serves(request)), _USUAL)

    async def _identify(self, request: web.Request, facade: Facade) -> None:
        """Write down who asks, unless everyone may. Raises BrokerError for who may not."""
        method = "GET" if request.method == "HEAD" else request.method
        audience = self._audiences.get((method, _route_of(request)), Audience.USERS)
        if audience is Audience.EVERYONE or (
            audience is Audience.SCRAPERS and self._authentication.is_scraper(request)
        ):
            return
        principal = self._authentication.holder(request) if audience is Audience.HOLDERS else None
        principal = principal or await (facade.authenticate or self._authentication)(request)
        self._rate.admit(principal)
        request[PRINCIPAL] = principal
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
        return self._access.allowed_origin(origins[0], request.headers["Host"])


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
