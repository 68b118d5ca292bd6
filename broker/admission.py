"""Admission tokens: who may open the signaling of a session, signed here, checked by relays.

Signing keys follow from a secret and the time, so brokers that share the secret sign with the same key at the same time
without a word between them, and a restart loses none. The route table always holds the public keys of this period, the
one before and the next: a token signed in the last moment of a period is accepted until it expires, and no key is used
before relays know it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64encode

from broker.configuration import ConfigurationError
from broker.core.principal import Principal
from broker.core.session import Session
from broker.identity_settings import AdmissionSettings
from signaling.errors import TableUnavailable
from signaling.table import RouteTable
from signaling.tokens import AdmissionClaims, AdmissionKey, AdmissionKeys, TokenError, ViewerRole, sign

logger = logging.getLogger(__name__)

_SHORTEST_SECRET = 32
_PUBLISH_S = 30.0
_TABLE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Issued:
    """A token and what it says."""

    token: str
    claims: AdmissionClaims


@dataclass(frozen=True, slots=True)
class _Pair:
    private: OKPKey
    public: AdmissionKey


class AdmissionTokens:
    """Signs tokens, and publishes the keys that they are checked with. `secrets`: the first one signs."""

    def __init__(
        self,
        secret_keys: Sequence[bytes] = (),
        *,
        token_s: float = 3600,
        rotate_s: float = 86400,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secrets = tuple(secret_keys) or (secrets.token_bytes(32),)
        self._token_s = token_s
        self._rotate_s = rotate_s
        self._clock = clock
        self._pairs: dict[tuple[int, int], _Pair] = {}
        self._checked: tuple[int, AdmissionKeys] | None = None

    @classmethod
    def of(cls, settings: AdmissionSettings, *, clock: Callable[[], float] = time.time) -> AdmissionTokens:
        """As the settings have it; by the route table's clock brokers and relays agree. Raises ConfigurationError."""
        secret_keys = () if settings.secret_file is None else read_secrets(settings.secret_file)
        return cls(secret_keys, token_s=settings.token_s, rotate_s=settings.rotate_s, clock=clock)

    def mint(
        self,
        session: Session,
        *,
        by: Principal,
        role: ViewerRole | str = ViewerRole.CONTROLLER,
        ttl_s: float | None = None,
        link: str | None = None,
    ) -> str:
        """A token for this session, for as long as is set, or for `ttl_s` where that is shorter than keys live."""
        return self.issue(session, by=by, role=role, ttl_s=ttl_s, link=link).token

    def issue(
        self,
        session: Session,
        *,
        by: Principal,
        role: ViewerRole | str = ViewerRole.CONTROLLER,
        ttl_s: float | None = None,
        link: str | None = None,
    ) -> Issued:
        """The same, with what it says."""
        claims = AdmissionClaims(
            session_id=session.id,
            subject=by.name,
            owner=session.owner,
            viewer_id=secrets.token_hex(8),
            role=ViewerRole(role),
            issued_at=0,
            expires_at=0,
            token_id="",
            link=link,
        )
        return self._signed(claims, ttl_s)

    def renewed(self, claims: AdmissionClaims) -> Issued:
        """A fresh token for the same viewer."""
        return self._signed(claims, None)

    def verify(self, token: str) -> AdmissionClaims:
        """What a token of ours says. Raises TokenError."""
        period = self._period()
        if self._checked is None or self._checked[0] != period:
            self._checked = (period, AdmissionKeys(self.public_keys()))
        return self._checked[1].verify(token, now=self._clock())

    def public_keys(self) -> tuple[AdmissionKey, ...]:
        """What relays must know now: of each secret the key before, the current and the next one."""
        now = self._period()
        periods = range(max(0, now - 1), now + 2)
        self._pairs = {key: pair for key, pair in self._pairs.items() if key[1] in periods}
        return tuple(self._pair(which, period).public for which in range(len(self._secrets)) for period in periods)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """What the secrets are told apart by, the one that signs first; it gives none of them away."""
        return tuple(_fingerprint(secret, self._rotate_s) for secret in self._secrets)

    async def run(self, table: RouteTable) -> None:
        """Keep the route table's keys true, until cancelled."""
        while True:
            await self.publish(table)
            until_next = self._rotate_s - self._clock() % self._rotate_s
            await asyncio.sleep(min(_PUBLISH_S, until_next))

    async def publish(self, table: RouteTable) -> None:
        """Write the keys that count now; a table that is away is told the next time."""
        try:
            async with asyncio.timeout(_TABLE_TIMEOUT_S):
                await table.publish_keys(self.public_keys())
        except (TableUnavailable, TimeoutError) as error:
            logger.warning("the route table is away, admission keys are published later: %r", error)

    def _signed(self, claims: AdmissionClaims, ttl_s: float | None) -> Issued:
        longest = self._rotate_s - 120
        issued_at = int(self._clock())
        expires_at = issued_at + int(min(longest, self._token_s if ttl_s is None else ttl_s))
        claims = replace(claims, issued_at=issued_at, expires_at=expires_at, token_id=str(uuid4()))
        return Issued(sign(claims, self._pair(0, self._period()).private), claims)

    def _period(self) -> int:
        return int(self._clock() // self._rotate_s)

    def _pair(self, which: int, period: int) -> _Pair:
        pair = self._pairs.get((which, period))
        if pair is None:
            pair = self._pairs[which, period] = _derived(self._secrets[which], period, self._rotate_s)
        return pair


def read_secrets(path: Path) -> tuple[bytes, ...]:
    """The secrets of a file, one a line. Raises ConfigurationError."""
    try:
        lines = [line.strip() for line in path.read_bytes().splitlines()]
    except OSError as error:
        raise ConfigurationError(str(path), "", f"cannot be read ({error.strerror}): name a file that can") from error
    found = tuple(line for line in lines if line)
    if not found or any(len(line) < _SHORTEST_SECRET for line in found):
        mend = "make one by `openssl rand -base64 48`"
        raise ConfigurationError(str(path), "", f"every line must be a secret of {_SHORTEST_SECRET} or more: {mend}")
    return found


def _fingerprint(secret: bytes, rotate_s: float) -> str:
    info = f"pixelferry fingerprint {rotate_s:g}".encode()
    return HKDF(SHA256(), 12, salt=None, info=info).derive(secret).hex()


def _derived(secret: bytes, period: int, rotate_s: float) -> _Pair:
    """The key of a period (HKDF, RFC 5869); brokers that rotate at another pace never have the same."""
    info = f"pixelferry admission {rotate_s:g} {period}".encode()
    seed = HKDF(SHA256(), 32, salt=None, info=info).derive(secret)
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    kid = f"{period}-{hashlib.sha256(public).hexdigest()[:16]}"
    x = urlsafe_b64encode(public).decode()
    private = OKPKey.import_key(
        {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x, "d": urlsafe_b64encode(seed).decode()}
    )
    return _Pair(private, AdmissionKey(kid, x))


__all__ = ["AdmissionTokens", "Issued", "TokenError", "ViewerRole", "read_secrets"]
