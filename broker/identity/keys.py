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

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from broker.configuration import ConfigurationError, dotted, first_problem, read_toml
from broker.core.principal import Principal, Role
from broker.errors import Unauthenticated
from broker.identity_settings import KeyName, KeySettings

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
