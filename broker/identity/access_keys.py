"""Access keys of clients that sign: whose they are. The secrets are kept as they are, for a signature needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from broker.configuration import ConfigurationError, dotted, first_problem, read_toml
from broker.core.principal import Principal, Role
from broker.nimble_settings import SHORTEST_SECRET, AccessKeyId, AccessKeySettings, NimbleSettings


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A secret and whose it is."""

    secret: str = field(repr=False)
    principal: Principal


def access_keys(settings: NimbleSettings) -> dict[str, AccessKey]:
    """All keys by id. Raises ConfigurationError naming the one that is wrong."""
    given = {**settings.access_keys, **_of_file(settings.access_keys_file)}
    return {key_id: _access_key(key_id, key) for key_id, key in given.items()}


class _KeysFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    access_keys: dict[AccessKeyId, AccessKeySettings] = Field(min_length=1)


def _of_file(path: Path | None) -> Mapping[str, AccessKeySettings]:
    if path is None:
        return {}
    try:
        return _KeysFile.model_validate({"access_keys": read_toml(path)}).access_keys
    except ValidationError as error:
        loc, reason = first_problem(error, _KeysFile)
        raise ConfigurationError(str(path), dotted(loc[1:]), reason) from error


def _access_key(key_id: str, key: AccessKeySettings) -> AccessKey:
    owner = key.owner or key_id
    return AccessKey(_secret(key_id, key), Principal(owner, Role(key.role), owner))


def _secret(key_id: str, key: AccessKeySettings) -> str:
    if key.secret is not None:
        return key.secret.get_secret_value()
    assert key.secret_file is not None  # one of the two is given
    try:
        secret = key.secret_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(key.secret_file), key_id, "cannot be read: name a file that can") from error
    if len(secret) < SHORTEST_SECRET:
        reason = f"must hold a secret of {SHORTEST_SECRET} characters or more: `openssl rand -base64 30` makes one"
        raise ConfigurationError(str(key.secret_file), key_id, reason)
    return secret
