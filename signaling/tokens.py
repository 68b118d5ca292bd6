"""Admission tokens, THE CONTRACT between who signs them (a broker) and who checks them (a relay). Pure.

A token is a JWS (RFC 7515) of Ed25519 (RFC 9864) that admits one viewer to one session. Public keys lie in the route
table: the current one, the one before, and the next one, so that no relay meets a key that it has not heard of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64decode

from signaling.routes import Json

ISSUER = "pixelferry"
AUDIENCE = "pixelferry-relay"
LEEWAY_S = 60
LONGEST_TOKEN = 4096

_ALGORITHM = "Ed25519"
_TYPE = "pixelferry-admission+jwt"
_MAX_TEXT = 512


class ViewerRole(StrEnum):
    """What a viewer may do: steer, or only watch."""

    CONTROLLER = "controller"
    VIEWER = "viewer"


class TokenError(Exception):
    """A token does not admit. `expired`: it did, and a new one would. `link`: it was handed out as a link."""

    def __init__(self, reason: str, *, expired: bool = False, link: bool = False) -> None:
        super().__init__(reason)
        self.expired = expired
        self.link = link


@dataclass(frozen=True, slots=True)
class AdmissionKey:
    """A public key; `x` is its 32 bytes in base64url (RFC 8037 §2)."""

    kid: str
    x: str

    def __post_init__(self) -> None:
        if not 0 < len(self.kid) <= 64 or len(self.x) != 43:
            raise ValueError("an admission key needs a kid of 1 to 64 characters and 43 characters of key")

    def to_json(self) -> dict[str, Json]:
        """As a JWK (RFC 7517)."""
        return {"kty": "OKP", "crv": "Ed25519", "alg": _ALGORITHM, "use": "sig", "kid": self.kid, "x": self.x}

    @classmethod
    def from_json(cls, value: Json) -> AdmissionKey:
        """Read `to_json`'s values; raises ValueError."""
        if not isinstance(value, Mapping) or (value.get("kty"), value.get("crv")) != ("OKP", "Ed25519"):
            raise ValueError("an admission key must be a JWK of Ed25519")
        kid, x = value.get("kid"), value.get("x")
        if not isinstance(kid, str) or not isinstance(x, str):
            raise ValueError("an admission key must have the texts kid and x")
        return cls(kid, x)


@dataclass(frozen=True, slots=True)
class AdmissionClaims:
    """What a token says. Times: whole seconds since the epoch.

    `subject` is for whom it was made, `owner` whose session it is, `viewer_id` stays through renewals, `link` names
    what it was handed out with.
    """

    session_id: str
    subject: str
    owner: str
    viewer_id: str
    role: ViewerRole
    issued_at: int
    expires_at: int
    token_id: str
    link: str | None = None

    def to_json(self) -> dict[str, Json]:
        """The token's payload."""
        claims: dict[str, Json] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sid": self.session_id,
            "sub": self.subject,
            "own": self.owner,
            "vid": self.viewer_id,
            "role": self.role.value,
            "iat": self.issued_at,
            "nbf": self.issued_at,
            "exp": self.expires_at,
            "jti": self.token_id,
        }
        return claims if self.link is None else {**claims, "link": self.link}


def sign(claims: AdmissionClaims, key: OKPKey) -> str:
    """The token; the key is private and has its kid."""
    head = {"alg": _ALGORITHM, "typ": _TYPE, "kid": key.kid}
    payload = json.dumps(claims.to_json(), separators=(",", ":"), ensure_ascii=False)
    return jws.serialize_compact(head, payload, key, algorithms=[_ALGORITHM])


def is_admission_token(token: str) -> bool:
    """Whether it means to be one. Nothing of it is believed yet."""
    return _head(token).get("typ") == _TYPE


class AdmissionKeys:
    """Public keys, ready to check tokens with."""

    def __init__(self, keys: Iterable[AdmissionKey] = ()) -> None:
        self._keys = {key.kid: _imported(key) for key in keys}

    def verify(self, token: str, *, now: float) -> AdmissionClaims:
        """What the token says, if it is signed by one of the keys and of this time. Raises TokenError."""
        if len(token) > LONGEST_TOKEN:
            raise TokenError("it is too long")
        head = _head(token)
        kid = head.get("kid")
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None or (head.get("typ"), head.get("alg")) != (_TYPE, _ALGORITHM):
            raise TokenError("it is signed with no key of ours")
        try:
            payload = jws.deserialize_compact(token, key, algorithms=[_ALGORITHM]).payload
            claims: Json = json.loads(payload)
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise TokenError("its signature does not hold") from error
        return _checked(claims, now)


def _checked(claims: Json, now: float) -> AdmissionClaims:
    if not isinstance(claims, Mapping) or (claims.get("iss"), claims.get("aud")) != (ISSUER, AUDIENCE):
        raise TokenError("it is for something else")
    not_before, expires_at = _time(claims, "nbf"), _time(claims, "exp")
    if now < not_before - LEEWAY_S:
        raise TokenError("it is of a later time")
    # What is handed out as a link opens nothing after the end that was announced with it.
    link = "link" in claims
    if now >= expires_at + (0 if link else LEEWAY_S):
        raise TokenError("it has expired", expired=True, link=link)
    try:
        role = ViewerRole(_text(claims, "role"))
    except ValueError as error:
        raise TokenError("its role is none") from error
    return AdmissionClaims(
        session_id=_text(claims, "sid"),
        subject=_text(claims, "sub"),
        owner=_text(claims, "own"),
        viewer_id=_text(claims, "vid"),
        role=role,
        issued_at=_time(claims, "iat"),
        expires_at=expires_at,
        token_id=_text(claims, "jti"),
        link=_text(claims, "link") if "link" in claims else None,
    )


def _text(claims: Mapping[str, Json], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT:
        raise TokenError(f"its claim {name} is none")
    return value


def _time(claims: Mapping[str, Json], name: str) -> int:
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TokenError(f"its claim {name} is none")
    return value


def _head(token: str) -> Mapping[str, Json]:
    """The head of a token, empty of what is none."""
    try:
        head: Json = json.loads(urlsafe_b64decode(token[:_MAX_TEXT].partition(".")[0].encode("ascii")))
    except (ValueError, RecursionError):
        return {}
    return head if isinstance(head, Mapping) else {}


def _imported(key: AdmissionKey) -> OKPKey:
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "kid": key.kid, "x": key.x})
