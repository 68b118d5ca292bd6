"""Bearer tokens: JSON Web Tokens (RFC 7519) of one issuer, checked as RFC 8725 advises.

The key comes from the configured set alone: whatever a token's head says of where keys are (`jku`, `x5u`, `jwk`,
`x5c`) is not looked at.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jwt
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError
from joserfc.jws import JWSAlgModel, JWSRegistry  # type: ignore[attr-defined]
from joserfc.util import urlsafe_b64decode

from broker.core.principal import Principal
from broker.errors import Unauthenticated
from broker.identity.claims import RoleRule, claim_at, principal, texts_at
from broker.identity.jwks import KeySet
from broker.identity_settings import JwtSettings

LONGEST_TOKEN = 12 * 1024
_LEEWAY_S = 60


class JwtVerifier:
    """Turns a token into who it speaks for. `clock` tells seconds since the epoch."""

    def __init__(self, settings: JwtSettings, keys: KeySet, *, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._keys = keys
        self._rule = RoleRule(frozenset(settings.admin_values), frozenset(settings.user_values))
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock()),
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "values": list(settings.audience)},
            exp={"essential": True},
        )

    async def principal(self, token: str) -> Principal:
        """Who it speaks for. Raises Unauthenticated, Forbidden; IssuerUnavailable while there are no keys."""
        claims = await self._verified(token)
        settings = self._settings
        return principal(claim_at(claims, settings.owner_claim), texts_at(claims, settings.role_claim), self._rule)

    async def _verified(self, token: str) -> Mapping[str, object]:
        algorithm, kid = _head(token)
        if algorithm not in self._settings.algorithms:
            raise _invalid("it is not signed as it must be")
        key = await self._keys.find(kid)
        if key.algorithm is not None and _name_of(key.algorithm) != _name_of(algorithm):
            raise _invalid("its key is for other signatures")
        try:
            decoded = jwt.decode(token, key.key, registry=_Registry(algorithms=[algorithm], strict_check_header=False))
            self._claims.validate(decoded.claims)
        except ExpiredTokenError as error:
            raise _invalid("it has expired") from error
        except ClaimError as error:
            raise _invalid(f"its signature holds, its claim {error.claim!r} does not") from error
        except (JoseError, UnsupportedAlgorithm, ValueError, TypeError, RecursionError) as error:
            raise _invalid("its signature does not hold, or it is not well formed") from error
        return decoded.claims


class _Registry(JWSRegistry):
    """Heads may hold certificates; the algorithm was chosen from ours already."""

    max_header_length = LONGEST_TOKEN

    def get_alg(self, name: str) -> JWSAlgModel:
        return self.algorithms[name]


def _head(token: str) -> tuple[str, str]:
    """Algorithm and key id of a token, not believed yet."""
    if len(token) > LONGEST_TOKEN or token.count(".") != 2 or not token.isascii():
        raise _invalid("it is no signed JSON Web Token")
    try:
        head = json.loads(urlsafe_b64decode(token.partition(".")[0].encode()))
    except (ValueError, RecursionError) as error:
        raise _invalid("it is no signed JSON Web Token") from error
    algorithm, kid = (head.get("alg"), head.get("kid")) if isinstance(head, dict) else (None, None)
    if not isinstance(algorithm, str) or not isinstance(kid, str):
        raise _invalid("its head names no key")
    return algorithm, kid


def _name_of(algorithm: str) -> str:
    """Ed25519 has two names since RFC 9864."""
    return "Ed25519" if algorithm == "EdDSA" else algorithm


def _invalid(why: str) -> Unauthenticated:
    return Unauthenticated(f"The token is not accepted: {why}.", presented=True)
