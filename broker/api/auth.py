"""Who asks: the principal of a request, and who may ask for what.

The gate (`broker.api.middleware`) finds the principal before any handler runs, and lets nobody else through: what is
not in its table of audiences is for users. A facade with credentials and errors of its own (SigV4) registers itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from aiohttp import web

from broker.core.principal import Principal
from broker.errors import BrokerError, Forbidden, Unauthenticated

PRINCIPAL = web.RequestKey("principal", Principal)


class Audience(StrEnum):
    """Who may use an endpoint.

    `HOLDERS`: users, and whoever has an admission token for the session that the path names as `{id}`.
    `SCRAPERS`: admins, and whoever asks from the networks of `metrics_from`.
    """

    EVERYONE = "everyone"
    HOLDERS = "holders"
    USERS = "users"
    ADMINS = "admins"
    SCRAPERS = "scrapers"


class Authenticator(Protocol):
    """Finds out who sent a request."""

    async def __call__(self, request: web.Request) -> Principal:
        """Its principal. Raises Unauthenticated, Forbidden (known, but without a role), StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class Facade:
    """Endpoints below `prefix` that have their own way to authenticate (None: the usual one) and to tell errors.

    `tell_http` gets what the HTTP library and the gate found wrong: unknown paths and methods, foreign hosts.
    `always` makes the headers that every answer carries.
    """

    prefix: str
    tell: Callable[[BrokerError], web.Response]
    tell_http: Callable[[web.HTTPException], web.Response]
    authenticate: Authenticator | None = None
    always: Callable[[], Mapping[str, str]] = dict

    def serves(self, request: web.Request) -> bool:
        """Whether the request is below its prefix."""
        return request.path == self.prefix or request.path.startswith(self.prefix + "/")


def principal_of(request: web.Request) -> Principal:
    """The principal in whose name this request is served. Raises Unauthenticated, where everyone is let in."""
    principal: Principal | None = request.get(PRINCIPAL)
    if principal is None:
        raise Unauthenticated
    return principal


def require_admin(request: web.Request) -> Principal:
    """The principal, who is an admin. Raises Unauthenticated, Forbidden."""
    principal = principal_of(request)
    if not principal.is_admin:
        raise Forbidden
    return principal


def audiences_of(routes: Iterable[web.AbstractRouteDef], audience: Audience) -> Mapping[tuple[str, str], Audience]:
    """These routes' methods and paths, each with the same audience: what the gate's table is made of."""
    return {(route.method, route.path): audience for route in routes if isinstance(route, web.RouteDef)}
