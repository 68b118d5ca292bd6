"""Settings of identity, field by field: who may use the API, and how it is found out (docs/identity.md)."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import NoDecode

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]{1,64}", re.ASCII)
_KEY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,126}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CLAIM = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


def listed(value: object) -> object:
    """Lists are written with commas where there is but a text, as in an environment variable."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def existing_file(value: Path) -> Path:
    """The path, of a file that is there."""
    if not value.is_file():
        raise ValueError(f"there is no file {value}: name one")
    return value


def _location(value: str) -> str:
    if "://" not in value:
        existing_file(Path(value))
        return value
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError("must be a file, or an address that begins with https:// and holds no password")
    return value


def _claim(value: str) -> str:
    if _CLAIM.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no claim: write its name, or a path such as realm_access.roles")
    return value


def _header(value: str) -> str:
    if _HEADER.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no name of a header: write one such as X-Forwarded-User")
    if value.lower() in ("authorization", "cookie", "host", "origin"):
        raise ValueError(f"{value} has a meaning of its own: have the gateway send another header")
    return value


def _digest(value: str) -> str:
    if _DIGEST.fullmatch(value) is None:
        raise ValueError("must be the 64 hexadecimal digits that `pixelferry key new` prints, not the key itself")
    return value


def _key_name(value: str) -> str:
    if _KEY_NAME.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no name of a key: write letters, digits and '.', '_', '@', '+' or '-'")
    return value


Digest = Annotated[str, AfterValidator(_digest)]
Claim = Annotated[str, AfterValidator(_claim)]
Texts = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=255)], ...], NoDecode, BeforeValidator(listed)]
KeyName = Annotated[str, AfterValidator(_key_name)]


class Algorithm(StrEnum):
    """Signatures that a token may carry: asymmetric ones alone."""

    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"
    EDDSA = "EdDSA"
    ED25519 = "Ed25519"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Roles(_Section):
    """Who is let in, and as what."""

    admin_values: Texts = ()
    """Values that make an admin. Default: nobody is one."""

    user_values: Texts = ()
    """Values that make a user. Default: everybody who is known is one. Who has none of either gets 403."""


class JwtSettings(_Roles):
    """Bearer tokens of an issuer (OpenID Connect or another), checked against its key set."""

    jwks: Annotated[str, AfterValidator(_location)]
    """The issuer's key set (JWKS): an https:// address, or a file."""

    issuer: Annotated[str, Field(min_length=1, max_length=1024)]
    """What `iss` must be, to the letter."""

    audience: Annotated[Texts, Field(min_length=1)]
    """What `aud` must be, or hold one of."""

    algorithms: Annotated[tuple[Algorithm, ...], NoDecode, BeforeValidator(listed), Field(min_length=1)] = (
        Algorithm.RS256,
        Algorithm.PS256,
        Algorithm.ES256,
        Algorithm.ES384,
        Algorithm.EDDSA,
        Algorithm.ED25519,
    )
    """Signatures that are accepted. A token cannot choose one outside of them."""

    owner_claim: Claim = "sub"
    """The claim that names the owner: a text of 1 to 255 characters. It must be one that no user can choose freely."""

    role_claim: Claim | None = None
    """The claim whose values are looked up in `admin_values` and `user_values`: a text or a list of texts, at a name or
    a dotted path. Of `scope` and `scp`, each word counts."""

    ca_file: Annotated[Path, AfterValidator(existing_file)] | None = None
    """Certificates (PEM) that the address's certificate must descend from. Default: those of the system."""

    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5
    """Time for one fetch of the key set."""

    refresh_s: Annotated[float, Field(ge=30, le=86400)] = 900
    """How often the key set is fetched anew. A key that is not in it is looked for at once, every 30 s at most."""

    @model_validator(mode="after")
    def _roles_have_a_source(self) -> JwtSettings:
        if self.role_claim is None and (self.admin_values or self.user_values):
            raise ValueError("admin_values and user_values are looked up in role_claim: name one")
        return self


class KeySettings(_Section):
    """One static API key, as `pixelferry key new` prints it."""

    sha256: Digest
    """The key's digest."""

    role: Literal["user", "admin"] = "user"
    """What its holder may do."""

    owner: KeyName | None = None
    """Whose sessions it makes. Default: the key's own name. Two keys with one owner let one replace the other."""


class GatewaySettings(_Roles):
    """Headers of an authenticating gateway. They are believed from `trusted_proxies` alone, and nobody else's are."""

    user_header: Annotated[str, AfterValidator(_header)] = "X-Forwarded-User"
    """The header that names the owner. The gateway must set it itself and remove what clients send."""

    role_header: Annotated[str, AfterValidator(_header)] | None = None
    """The header whose values, parted by commas, are looked up in `admin_values` and `user_values`."""

    @model_validator(mode="after")
    def _roles_have_a_source(self) -> GatewaySettings:
        if self.role_header is None and (self.admin_values or self.user_values):
            raise ValueError("admin_values and user_values are looked up in role_header: name one")
        return self


class IdentitySettings(_Section):
    """Who may use the API. Identity is on as soon as one of these is set; each works beside the others."""

    jwt: JwtSettings | None = None
    """Bearer tokens of an issuer."""

    keys: dict[KeyName, KeySettings] = Field(default_factory=dict)
    """Static API keys, by name."""

    keys_file: Annotated[Path, AfterValidator(existing_file)] | None = None
    """A TOML file of more of them, written as in `keys`."""

    gateway: GatewaySettings | None = None
    """Headers of a gateway that authenticates."""

    @property
    def is_on(self) -> bool:
        """Whether anything is set by which callers are told apart."""
        return bool(self.jwt or self.keys or self.keys_file or self.gateway)


class AdmissionSettings(_Section):
    """Admission tokens: what a viewer shows to the relay."""

    secret_file: Annotated[Path, AfterValidator(existing_file)] | None = None
    """Secrets that the signing keys are derived from, one a line, of 32 characters or more; the first one signs, all
    are accepted. Default: one made at the start, so that tokens do not outlive the process. Brokers of one route table
    share it (docs/identity.md)."""

    token_s: Annotated[float, Field(ge=60, le=86400)] = 3600
    """How long a token admits. It is checked when a viewer connects, never after."""

    rotate_s: Annotated[float, Field(ge=600, le=31 * 86400)] = 86400
    """How often the signing key changes. The one before stays accepted as long again."""

    @model_validator(mode="after")
    def _keys_outlive_tokens(self) -> AdmissionSettings:
        if self.token_s + 120 > self.rotate_s:
            raise ValueError("rotate_s must exceed token_s by two minutes, or tokens outlive the key that signed them")
        return self
