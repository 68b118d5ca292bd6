"""Static API keys: made here, shown once, stored as digests.

A key is 256 random bits. Nobody can guess one from its digest, however fast the digest is: a slow one (scrypt) would
only let strangers burn the broker's time with every request.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from broker.configuration import ConfigurationError, dotted, first_problem, read_toml
from broker.core.principal import Principal, Role
from broker.errors import Unauthenticated
from broker.identity_settings import KeyName, KeySettings

logger = logging.getLogger(__name__)

PREFIX = "pfk_"
"""What every key begins with: scanners for leaked secrets find it, and it is told from a token."""


_LOOK_S = 2.0


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
    """The keys of the settings and of a file; `run` reads that anew when it was changed, so that one can be revoked.

    A file that is wrong or gone then leaves the keys as they were, and is told of in the log. Raises
    ConfigurationError when it is so at first.
    """

    def __init__(self, keys: Mapping[str, KeySettings], path: Path | None, *, every_s: float = _LOOK_S) -> None:
        self._fixed = keys
        self._path = path
        self._every_s = every_s
        self._seen = None if path is None else file_state(path)
        self._keys = ApiKeys({**keys, **({} if path is None else read_keys(path))})

    @property
    def is_used(self) -> bool:
        """Whether there are keys, or a file that they may come from."""
        return bool(self._fixed) or self._path is not None

    def principal(self, presented: str) -> Principal:
        """The key's holder. Raises Unauthenticated."""
        return self._keys.principal(presented)

    async def run(self) -> None:
        """Until cancelled."""
        while self._path is not None:
            await asyncio.sleep(self._every_s)
            state = await asyncio.to_thread(file_state, self._path)
            if state != self._seen:
                self._seen = state
                await self._read(self._path)

    async def _read(self, path: Path) -> None:
        try:
            keys = await asyncio.to_thread(read_keys, path)
        except ConfigurationError as error:
            logger.warning("the API keys stay as they were: %s", error)
        else:
            self._keys = ApiKeys({**self._fixed, **keys})
            logger.info("the API keys were read anew: %d of %s", len(keys), path)


def file_state(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class _KeysFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: dict[KeyName, KeySettings] = Field(min_length=1)


def read_keys(path: Path) -> dict[str, KeySettings]:
    """A file's keys. Raises ConfigurationError naming the one that is wrong."""
    try:
        return dict(_KeysFile.model_validate({"keys": read_toml(path)}).keys)
    except ValidationError as error:
        loc, reason = first_problem(error, _KeysFile)
        raise ConfigurationError(str(path), dotted(loc[1:]), reason) from error
