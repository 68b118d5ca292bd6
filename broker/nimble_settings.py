"""Settings of the Nimble-compatible API, field by field: whose signatures it accepts, what it is known by."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from broker.identity_settings import KeyName, existing_file, listed

_KEY_ID = re.compile(r"[A-Za-z0-9_]{4,128}", re.ASCII)
_STUDIO = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,99}", re.ASCII)
_INSTANCE_TYPE = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}", re.ASCII)
SHORTEST_SECRET = 16


def _key_id(value: str) -> str:
    if _KEY_ID.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no access key id: write 4 to 128 letters, digits and '_'")
    return value


def _studio(value: str) -> str:
    if _STUDIO.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no studio id: write letters, digits and ':', '.', '_' or '-'")
    return value


def _instance_type(value: str) -> str:
    if _INSTANCE_TYPE.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no instance type: write one such as gpu.1x")
    return value


AccessKeyId = Annotated[str, AfterValidator(_key_id)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class AccessKeySettings(_Section):
    """One access key: its secret, and for whom it stands."""

    secret: SecretStr | None = None
    """The secret that its holder signs with, of 16 characters or more."""

    secret_file: Annotated[Path, AfterValidator(existing_file)] | None = None
    """A file that holds the secret and nothing else, in the place of `secret`."""

    owner: KeyName | None = None
    """Whose sessions it makes. Default: the access key's own id."""

    role: Literal["user", "admin"] = "user"
    """What its holder may do."""

    @model_validator(mode="after")
    def _one_secret(self) -> AccessKeySettings:
        if (self.secret is None) == (self.secret_file is None):
            raise ValueError("needs either secret or secret_file")
        if self.secret is not None and len(self.secret.get_secret_value()) < SHORTEST_SECRET:
            mend = "`openssl rand -base64 30` makes one"
            raise ValueError(f"secret must have {SHORTEST_SECRET} characters or more: {mend}")
        return self


class NimbleSettings(_Section):
    """The Nimble-compatible API under /2020-08-01 (docs/nimble.md)."""

    access_keys: dict[AccessKeyId, AccessKeySettings] = Field(default_factory=dict)
    """Access keys whose SigV4 signatures are accepted, by id. Without any and without identity there is one: `local`,
    with the secret `local`. By environment the whole table is written as JSON: names of variables have no case."""

    access_keys_file: Annotated[Path, AfterValidator(existing_file)] | None = None
    """A TOML file of more of them, written as in `access_keys`."""

    studios: Annotated[tuple[Annotated[str, AfterValidator(_studio)], ...], NoDecode, BeforeValidator(listed)] = ()
    """Studio ids that are served, each with sessions of its own; those made by another API are in the first one.
    Default: every id stands for the same studio."""

    instance_types: Annotated[
        tuple[Annotated[str, AfterValidator(_instance_type)], ...],
        Field(max_length=30),
        NoDecode,
        BeforeValidator(listed),
    ] = ()
    """Instance types that launch profiles name and sessions may ask for, beside AWS's own names. They are recorded, and
    mean nothing else."""
