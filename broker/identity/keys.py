"""Static API keys: made here, shown once, stored as digests.

A key is 256 random bits. Nobody can guess one from its digest, however fast the digest is: a slow one (scrypt) would
only let strangers burn the broker's time with every request.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path

from broker.core.principal import Principal, Role
from broker.errors import Unauthenticated
from broker.identity.listed_file import LOOK_S, ListedFile
from broker.identity_settings import KeySettings

PREFIX = "pfk_"
"""What every key begins with: scanners for leaked secrets find it, and it is told from a token."""


def new_key() -> str:
    """A fresh key."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    """What is stored of it."""
    return hashlib.sha256(key.encode()).hexdigest()


class ApiKeys:
    """The keys that are accepted."""

    def __init__(self, keys: Mapping[str, KeySettings]) -> None:
        self._principals = [
            (key.sha256, Principal(key.owner or name, Role(key.role), key.owner or name)) for name, key in keys.items()
        ]

    def principal(self, presented: str) -> Principal:
        """The key's holder. Raises Unauthenticated."""
        digest, found = digest_of(presented), None
        for known, principal in self._principals:  # to the end, so that time tells nothing
            if hmac.compare_digest(known, digest):
                found = principal
        if found is None:
            raise Unauthenticated("This API key is not known here.", presented=True)
        return found


class FollowedKeys:
    """The keys of the settings and of a file, which `run` follows. Raises ConfigurationError when that is wrong."""

    def __init__(self, keys: Mapping[str, KeySettings], path: Path | None, *, every_s: float = LOOK_S) -> None:
        self._fixed = keys
        self._file = ListedFile(path, KeySettings, what="the API keys", every_s=every_s)
        self.is_used = bool(keys) or path is not None
        """Whether there are keys, or a file that they may come from."""
        self._join()

    def principal(self, presented: str) -> Principal:
        """The key's holder. Raises Unauthenticated."""
        return self._keys.principal(presented)

    async def run(self) -> None:
        """Until cancelled."""
        await self._file.run(self._join)

    def _join(self) -> None:
        self._keys = ApiKeys({**self._fixed, **self._file.entries})
