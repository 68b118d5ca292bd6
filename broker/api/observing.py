"""Watches every request from outside: its number, how long its answer took, and what it was refused."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from broker.api.auth import PRINCIPAL
from broker.audit import ASKED, Asked, Outcome, audit_request
from broker.identity.networks import Networks
from broker.metrics import PAGE_ROUTE, UNKNOWN_ROUTE, Metrics

REQUEST_ID_HEADER = "X-Request-Id"

_CHANGES = ("POST", "PUT", "PATCH", "DELETE")
_EDITED = "/cfg/apps"
_STREAMED = "text/event-stream"
_LONGEST_SUBJECT = 128


class Observer:
    """The outermost middleware. What changes a session is told to the audit log by the store; all else here."""

    def __init__(self, metrics: Metrics, *, trusted_proxies: Networks) -> None:
        self._metrics = metrics
        self._proxies = trusted_proxies
        self._pages: frozenset[str] = frozenset()

    def know(self, application: web.Application, *, pages: Iterable[web.AbstractRouteDef]) -> None:
        """Count these routes by name; pages count as one."""
        self._pages = frozenset(route.path for route in pages if isinstance(route, web.RouteDef))
        self._metrics.know_routes(set(self._named(application)))

    def middleware(self) -> Middleware:
        """As aiohttp wants it."""

        @web.middleware
        async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
            began = time.monotonic()
            asked = Asked(secrets.token_hex(8), self._source(request))
            token = ASKED.set(asked)
            route = self._route(request)
            try:
                response = await handler(request)
                self._audit(request, route, response.status)
            finally:
                ASKED.reset(token)
            streamed = response.content_type == _STREAMED
            seconds = None if streamed else time.monotonic() - began
            self._metrics.request_answered(route, request.method, response.status, seconds)
            if not response.prepared:
                response.headers[REQUEST_ID_HEADER] = asked.request_id
            return response

        return observe

    def _audit(self, request: web.Request, route: str, status: int) -> None:
        refused = status >= 400
        if request.method not in _CHANGES or route == UNKNOWN_ROUTE or not (refused or _EDITED in route):
            return
        outcome = Outcome.FAILED if status >= 500 else Outcome.REFUSED if refused else Outcome.DONE
        principal = request.get(PRINCIPAL)
        subject = "/".join(request.match_info.values())[:_LONGEST_SUBJECT]
        by = principal.name if principal is not None else "(unknown)"
        audit_request(f"{request.method} {route}", subject, by=by, outcome=outcome, status=status)

    def _source(self, request: web.Request) -> str:
        peer = str(request.get_extra_info("peername", ("",))[0])
        return self._proxies.client_of(peer, request.headers.getall("X-Forwarded-For", []))

    def _route(self, request: web.Request) -> str:
        """The path's template: the path itself may hold a session's id."""
        resource = request.match_info.route.resource
        if resource is None:
            return UNKNOWN_ROUTE
        return PAGE_ROUTE if resource.canonical in self._pages else resource.canonical

    def _named(self, application: web.Application) -> Iterator[tuple[str, str]]:
        for route in application.router.routes():
            if route.resource is not None and route.resource.canonical not in self._pages:
                yield route.resource.canonical, route.method
