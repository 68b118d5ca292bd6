"""Who asks, by the signature of the request (SigV4)."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping

from aiohttp import web

from broker.api.auth import Authenticator
from broker.api.body import read_body
from broker.core.principal import Principal
from broker.identity.access_keys import AccessKey
from broker.identity.sigv4 import BadSignature, SignatureFault, SignedRequest, check, claimed

SERVICE = "nimble"
LOCAL = "local"
"""Access key and secret of who asks where nobody is told apart."""

REGION = web.RequestKey("region", str)
"""The region that the caller thinks it calls."""


class SignedCallers:
    """Finds the principal behind a signature. `everybody`: who stands behind `local`; None where it is not accepted."""

    def __init__(
        self,
        keys: Mapping[str, AccessKey],
        *,
        everybody: Authenticator | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._everybody = everybody
        self._clock = clock

    async def __call__(self, request: web.Request) -> Principal:
        """The principal. Raises BadSignature, and what reading a body raises: that is signed as well."""
        signed = SignedRequest(request.method, request.raw_path, request.headers)
        claim = claimed(signed, service=SERVICE, now=self._clock())
        key = self._keys.get(claim.key_id)
        is_local = self._everybody is not None and hmac.compare_digest(claim.key_id.encode(), LOCAL.encode())
        if key is None and not is_local:
            raise BadSignature(
                SignatureFault.UNKNOWN_KEY, "The security token included in the request is invalid: unknown access key."
            )
        check(claim, signed, await read_body(request), LOCAL if key is None else key.secret)
        request[REGION] = claim.region
        if key is not None:
            return key.principal
        assert self._everybody is not None
        return await self._everybody(request)


def region_of(request: web.Request) -> str:
    """The region that the caller thinks it calls."""
    region: str = request[REGION]
    return region
