"""All ways to say who one is, tried in order: a gateway's header, an API key, an issuer's token."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from broker.configuration import ConfigurationError
from broker.core.principal import Principal, nobody
from broker.errors import Unauthenticated
from broker.identity.gateway import Gateway
from broker.identity.headers import Headers
from broker.identity.jwks import FetchError, KeySet, parse_keys, read_key_file
from broker.identity.jwt import JwtVerifier
from broker.identity.keys import PREFIX, FollowedKeys
from broker.identity.networks import Networks
from broker.identity_settings import IdentitySettings, JwtSettings


@dataclass(frozen=True, slots=True)
class Identified:
    """Who asks. `ambient`: known by what a browser sends along unasked, such as a gateway's cookie."""

    principal: Principal
    ambient: bool = False


class Identity:
    """Finds out who sends a request; `run` keeps what it needs for that fresh. Raises ConfigurationError."""

    def __init__(self, settings: IdentitySettings, trusted_proxies: Networks) -> None:
        self.is_on = settings.is_on
        self._proxies = trusted_proxies
        self._gateway = None if settings.gateway is None else Gateway(settings.gateway, trusted_proxies)
        self._keys = FollowedKeys(settings.keys, settings.keys_file)
        self._jwks = None if settings.jwt is None else _key_set(settings.jwt)
        self._jwt = JwtVerifier(settings.jwt, self._jwks) if settings.jwt and self._jwks else None

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self._jwks is not None:
                group.create_task(self._jwks.run(), name="keys of the issuer")
            group.create_task(self._keys.run(), name="API keys")
            await asyncio.Event().wait()

    async def identify(self, headers: Headers, peer: str) -> Identified:
        """Who asks from this peer. Raises Unauthenticated, Forbidden, IssuerUnavailable."""
        if not self.is_on:
            return Identified(nobody(self._proxies.client_of(peer, headers.getall("X-Forwarded-For", []))))
        if self._gateway is not None and (principal := self._gateway.principal(headers, peer)) is not None:
            return Identified(principal, ambient=True)
        token = bearer_of(headers)
        if token is None:
            raise Unauthenticated
        if self._keys.is_used and (token.startswith(PREFIX) or self._jwt is None):
            return Identified(self._keys.principal(token))
        if self._jwt is not None:
            return Identified(await self._jwt.principal(token))
        raise Unauthenticated("Tokens are not accepted here, only what the gateway says.", presented=True)


def bearer_of(headers: Headers) -> str | None:
    """The token of `Authorization: Bearer` (RFC 6750 §2.1); None without one. Raises Unauthenticated."""
    values = headers.getall("Authorization", [])
    if not values:
        return None
    scheme, _, token = values[0].strip().partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Authorization must be one 'Bearer <token or key>'.", presented=True)
    return token.strip()


def _key_set(settings: JwtSettings) -> KeySet:
    if "://" not in settings.jwks:  # an issuer may be away for a while; a file that is wrong now stays wrong
        try:
            parse_keys(read_key_file(Path(settings.jwks)))
        except FetchError as error:
            raise ConfigurationError(settings.jwks, "", f"{error}: name a file with the issuer's JWKS") from error
    return KeySet(settings.jwks, ca_file=settings.ca_file, timeout_s=settings.timeout_s, refresh_s=settings.refresh_s)
