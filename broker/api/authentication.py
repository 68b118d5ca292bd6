"""From a request to its principal: by identity, where it is enough by an admission token, scrapers by their address."""

from __future__ import annotations

from aiohttp import web

from broker.admission import AdmissionTokens, TokenError
from broker.api.access import Access
from broker.core.principal import Principal, Role
from broker.errors import Forbidden, Unauthenticated
from broker.identity.identity import Identity, bearer_of
from broker.identity.networks import Networks
from signaling.tokens import AdmissionClaims, is_admission_token

HOLDER = web.RequestKey("holder", AdmissionClaims)
"""What the admission token says by which the request was let in; only of endpoints for holders."""

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Authentication:
    """The gate's way to find out who asks. `metrics_from` are the networks of scrapers."""

    def __init__(
        self,
        identity: Identity,
        tokens: AdmissionTokens,
        access: Access,
        *,
        trusted_proxies: Networks,
        metrics_from: Networks,
    ) -> None:
        self._identity = identity
        self._tokens = tokens
        self._access = access
        self._proxies = trusted_proxies
        self._metrics_from = metrics_from

    async def __call__(self, request: web.Request) -> Principal:
        """The principal by identity alone. Raises Unauthenticated, Forbidden, StoreUnavailable."""
        try:
            found = await self._identity.identify(request.headers, _peer(request))
        except Unauthenticated as error:
            token = _presented(request)
            if token is None or not is_admission_token(token):
                raise
            detail = "An admission token is good for its own session alone. Send a key or token of yours."
            raise Unauthenticated(detail, presented=True) from error
        if found.ambient and request.method not in _SAFE_METHODS and not self._is_of_own_page(request):
            raise Forbidden
        return found.principal

    def is_scraper(self, request: web.Request) -> bool:
        """Whether the request comes from a scraper's network, not through a proxy that stands in one."""
        peer = _peer(request)
        return peer in self._metrics_from and peer not in self._proxies

    def holder(self, request: web.Request) -> Principal | None:
        """Whoever holds an admission token for the session of the path: it may do what the endpoint does, as its owner.

        None where no such token is presented. Where everybody may do everything, one that does not hold is let be; but
        a link that expired opens nothing. Raises Unauthenticated, Forbidden.
        """
        token = _presented(request)
        if token is None or not is_admission_token(token):
            return None
        try:
            claims = self._tokens.verify(token)
        except TokenError as error:
            if not self._identity.is_on and not error.link:
                return None
            raise Unauthenticated(f"The admission token is not accepted: {error}.", presented=True) from error
        if claims.session_id != request.match_info.get("id"):
            raise Forbidden
        request[HOLDER] = claims
        return Principal(claims.owner, Role.USER, claims.owner)

    def _is_of_own_page(self, request: web.Request) -> bool:
        """Whether no foreign page can have made a browser send this: cookies of a gateway come along unasked."""
        origins = request.headers.getall("Origin", [])
        if not origins:
            return request.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none")
        hosts = [*request.headers.getall("X-Forwarded-Host", []), request.headers.get("Host", "")]
        return len(origins) == 1 and any(self._access.is_trusted_origin(origins[0], host) for host in hosts)


def holder_of(request: web.Request) -> AdmissionClaims | None:
    """What the admission token says by which this request was let in; None where identity let it in."""
    claims: AdmissionClaims | None = request.get(HOLDER)
    return claims


def _peer(request: web.Request) -> str:
    return str(request.get_extra_info("peername", ("",))[0])


def _presented(request: web.Request) -> str | None:
    try:
        return bearer_of(request.headers)
    except Unauthenticated:
        return None  # identity says what is wrong with it
