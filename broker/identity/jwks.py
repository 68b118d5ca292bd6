"""An issuer's key set: fetched, bounded, kept while the issuer is away."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from joserfc.util import urlsafe_b64decode

from broker.configuration import ConfigurationError
from broker.errors import IssuerUnavailable, Unauthenticated

logger = logging.getLogger(__name__)

_MAX_BYTES = 1 << 20
_MAX_KEYS = 100
_REFETCH_S = 30.0
_PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_RSA_BITS = range(2048, 8193)


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A public key of the issuer's; `algorithm` is the only one that it may be used with, None for any that fits."""

    kid: str
    key: RSAKey | ECKey | OKPKey
    algorithm: str | None = None


class FetchError(Exception):
    """The key set could not be had; the text says why."""


class KeySet:
    """The keys of the issuer at `location`, an https address or a file; `run` keeps them fresh until cancelled.

    Raises ConfigurationError for certificates that are none.
    """

    def __init__(
        self,
        location: str,
        *,
        ca_file: Path | None = None,
        timeout_s: float = 5,
        refresh_s: float = 900,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._location = location
        self._tls = _trusting(ca_file) if "://" in location else None
        self._timeout_s = timeout_s
        self._refresh_s = refresh_s
        self._clock = clock
        self._keys: Mapping[str, IssuerKey] = {}
        self._fetched_at: float | None = None
        self._away = False
        self._fetching = asyncio.Lock()

    async def run(self) -> None:
        """Fetch at once, and again and again: soon after a failure, else at leisure."""
        while True:
            if await self._refetched():
                await asyncio.sleep(self._refresh_s)
            else:
                await asyncio.sleep(_REFETCH_S)

    async def find(self, kid: str) -> IssuerKey:
        """The key of this id, looked for anew where it is unknown and the last fetch is 30 s ago.

        Raises Unauthenticated, and IssuerUnavailable while no key set was ever had.
        """
        if kid not in self._keys:
            await self._refetched()
        if kid in self._keys:
            return self._keys[kid]
        if not self._keys:
            raise IssuerUnavailable(_REFETCH_S)
        raise Unauthenticated("The token is signed with a key that its issuer does not have.", presented=True)

    async def _refetched(self) -> bool:
        """Fetch unless that was just tried, by whomever; whether the set is good now."""
        async with self._fetching:
            now = self._clock()
            if self._fetched_at is not None and now - self._fetched_at < _REFETCH_S:
                return not self._away
            self._fetched_at = now
            try:
                async with asyncio.timeout(self._timeout_s):
                    self._keys = parse_keys(await self._fetch())
            except (FetchError, TimeoutError) as error:
                self._note(str(error) or f"no answer within {self._timeout_s:g} s")
            else:
                self._note("")
            return not self._away

    async def _fetch(self) -> bytes:
        if self._tls is None:
            return await asyncio.to_thread(read_key_file, Path(self._location))
        connector = aiohttp.TCPConnector(ssl=self._tls, force_close=True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http,
                http.get(self._location, allow_redirects=False, headers={"Accept": "application/json"}) as answer,
            ):
                if answer.status != 200:
                    raise FetchError(f"answered {answer.status}")
                return await _bounded(answer.content)
        except aiohttp.ClientError as error:
            raise FetchError(f"cannot be reached ({type(error).__name__})") from error

    def _note(self, trouble: str) -> None:
        """Log the begin and the end of an outage, once each."""
        was, self._away = self._away, bool(trouble)
        if trouble and not was:
            kept = "the last good keys stay in use" if self._keys else "no token can be checked until it is there"
            logger.warning("identity: the key set at %s: %s; %s", self._location, trouble, kept)
        elif was and not trouble:
            logger.info("identity: the key set at %s is back", self._location)


def parse_keys(content: bytes) -> dict[str, IssuerKey]:
    """The public signature keys of a set, by their id. Raises FetchError where there is not one."""
    try:
        document = json.loads(content)
        entries = document["keys"]
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise FetchError("is no key set (RFC 7517)") from error
    if not isinstance(entries, list):
        raise FetchError("is no key set (RFC 7517)")
    keys: dict[str, IssuerKey] = {}
    for entry in entries[:_MAX_KEYS]:
        if isinstance(entry, dict) and (key := _key(entry)) is not None:
            keys.setdefault(key.kid, key)
    if not keys:
        raise FetchError("holds no key that signatures can be checked with: asymmetric, with a kid")
    return keys


def _key(entry: Mapping[str, object]) -> IssuerKey | None:
    """One entry's public part; None for what signs nothing here: symmetric, nameless, for encryption, weak."""
    kind, kid = entry.get("kty"), entry.get("kid")
    if not isinstance(kind, str) or kind not in _PUBLIC_MEMBERS or not isinstance(kid, str) or not kid:
        return None
    if entry.get("use", "sig") != "sig":
        return None
    members = {name: entry.get(name) for name in _PUBLIC_MEMBERS[kind]}
    public = {name: value for name, value in members.items() if isinstance(value, str)}
    if len(public) < len(members):
        return None
    algorithm = entry.get("alg")
    try:
        if kind == "RSA" and len(urlsafe_b64decode(public["n"].encode())) * 8 not in _RSA_BITS:
            return None
        key = JWKRegistry.import_key({"kty": kind, **public})
    except (JoseError, UnsupportedAlgorithm, ValueError, TypeError, LookupError):
        return None
    if not isinstance(key, RSAKey | ECKey | OKPKey):
        return None
    return IssuerKey(kid, key, algorithm if isinstance(algorithm, str) else None)


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(str(ca_file), "", "holds no certificates: name a file of them in PEM form") from error


def read_key_file(path: Path) -> bytes:
    """What the file holds. Raises FetchError."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise FetchError(f"cannot be read ({error.strerror})") from error
    return _checked(content)


async def _bounded(stream: aiohttp.StreamReader) -> bytes:
    content = b""
    async for chunk in stream.iter_chunked(65536):
        content += chunk
        _checked(content)
    return content


def _checked(content: bytes) -> bytes:
    if len(content) > _MAX_BYTES:
        raise FetchError("is longer than 1 MiB")
    return content
