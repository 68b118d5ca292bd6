"""AWS Signature Version 4 of a request, checked: the way in which clients of AWS's APIs say who they are.

As the AWS General Reference has it for header-borne signatures, and as botocore and the JavaScript SDK do it: the path
on the wire is escaped once more, the query's raw pairs are sorted, the payload's hash is always that of the body.
Within the allowed skew a request may be played again, as it may before AWS: TLS keeps it from being overheard.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol
from urllib.parse import quote

from broker.errors import Unauthenticated

SKEW_S = 15 * 60
"""How far a caller's clock may be from ours, as AWS has it."""

LONGEST_KEY_ID = 128

_ALGORITHM = "AWS4-HMAC-SHA256"
_TERMINATOR = "aws4_request"
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)
_CREDENTIAL = re.compile(r"([^/\s]{1,128})/([0-9]{8})/([A-Za-z0-9_.-]{1,64})/([A-Za-z0-9_.-]{1,64})/([a-z0-9_]{1,32})")
_SIGNATURE = re.compile(r"[0-9a-f]{64}", re.ASCII)
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_HEX_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_IN_QUERY = ("x-amz-signature", "x-amz-credential", "x-amz-algorithm")


class SignatureFault(StrEnum):
    """What is wrong with how a request is signed, by AWS's names."""

    MISSING = "MissingAuthenticationTokenException"
    INCOMPLETE = "IncompleteSignatureException"
    UNKNOWN_KEY = "UnrecognizedClientException"
    INVALID = "InvalidSignatureException"


class BadSignature(Unauthenticated):
    """The request is not signed as it must be. `fault` is the kind, `reason` the text for people."""

    def __init__(self, fault: SignatureFault, reason: str) -> None:
        super().__init__(reason, presented=fault is not SignatureFault.MISSING)
        self.fault = fault


class Headers(Protocol):
    """A request's headers: names count whatever their case, one may come several times."""

    def getall(self, key: str, default: list[str]) -> list[str]:
        """All values of a header."""

    def keys(self) -> Iterable[str]:
        """All names, as often as they come."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What of a request is signed besides its body. `target` is the request line's own: path and query, as sent."""

    method: str
    target: str
    headers: Headers

    @property
    def path(self) -> str:
        """The path, nothing decoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query, nothing decoded."""
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a request's head claims: who signed it, when and for what. Nothing is proven until `holds`."""

    key_id: str
    date: str
    region: str
    service: str
    timestamp: str
    signed_headers: tuple[str, ...]
    signature: str

    @property
    def scope(self) -> str:
        """What the signing key was derived for."""
        return f"{self.date}/{self.region}/{self.service}/{_TERMINATOR}"


def claimed(request: SignedRequest, *, service: str, now: float) -> Claimed:
    """The claim of a request's head, sound in itself, for this service and of this time. Raises BadSignature.

    Any region is as good as another.
    """
    _refuse_other_ways(request)
    claim = _read(request)
    if claim.service != service:
        raise _invalid(f"Credential should be scoped to correct service: '{service}'.")
    _check_time(claim, now)
    _check_signed(claim, request.headers)
    return claim


def check(claim: Claimed, request: SignedRequest, body: bytes, secret: str) -> None:
    """Let pass only what this secret signed. Raises BadSignature."""
    payload = hashlib.sha256(body).hexdigest()
    for said in request.headers.getall("X-Amz-Content-SHA256", []):
        if _HEX_HASH.fullmatch(said) is None:
            raise _invalid("The payload must be signed: X-Amz-Content-SHA256 must be the body's SHA-256.")
        if not hmac.compare_digest(said, payload):
            raise _invalid("X-Amz-Content-SHA256 is not the SHA-256 of the body that came.")
    canonical = canonical_request(request, claim.signed_headers, payload)
    digest = hashlib.sha256(canonical).hexdigest()
    to_sign = f"{_ALGORITHM}\n{claim.timestamp}\n{claim.scope}\n{digest}"
    if not hmac.compare_digest(_signature(claim, secret, to_sign), claim.signature):
        raise _invalid(
            "The request signature we calculated does not match the signature you provided. Check the secret access "
            "key, and that no proxy changes Host, path or query."
        )


def canonical_request(request: SignedRequest, signed_headers: Sequence[str], payload_hash: str) -> bytes:
    """The text that both sides hash: method, path, query, headers, their names, the payload's hash."""
    lines = [request.method.upper(), canonical_path(request.path), canonical_query(request.query)]
    lines += [f"{name}:{_value(request.headers, name)}" for name in signed_headers]
    lines += ["", ";".join(signed_headers), payload_hash]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def canonical_path(path: str) -> str:
    """The wire's path without empty and dot segments, escaped once more."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(segment)
    slash = "/" if path.endswith("/") and kept else ""
    return quote("/" + "/".join(kept) + slash, safe="/~", errors="surrogateescape")


def canonical_query(query: str) -> str:
    """The raw pairs in order, each with its equals sign."""
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&")) if query else []
    return "&".join(f"{name}={value}" for name, value in pairs)


def _refuse_other_ways(request: SignedRequest) -> None:
    names = {pair.partition("=")[0].lower() for pair in request.query.split("&")}
    if not names.isdisjoint(_IN_QUERY):
        raise BadSignature(
            SignatureFault.INCOMPLETE, "Signatures in the query are not accepted: send the Authorization header."
        )
    if request.headers.getall("X-Amz-Security-Token", []):
        raise BadSignature(
            SignatureFault.UNKNOWN_KEY,
            "The security token included in the request is invalid: there are no temporary credentials here, use an "
            "access key and its secret without a session token.",
        )


def _read(request: SignedRequest) -> Claimed:
    given = request.headers.getall("Authorization", [])
    if not given:
        raise BadSignature(SignatureFault.MISSING, "Missing Authentication Token: sign the request (AWS SigV4).")
    algorithm, _, rest = given[0].strip().partition(" ")
    if len(given) > 1 or algorithm != _ALGORITHM:
        raise _incomplete(f"Authorization must be one '{_ALGORITHM} Credential=…, SignedHeaders=…, Signature=…'.")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    missing = [name for name in ("Credential", "SignedHeaders", "Signature") if not parts.get(name)]
    if missing:
        raise _incomplete(f"Authorization header requires {' and '.join(repr(name) for name in missing)}.")
    scope = _CREDENTIAL.fullmatch(parts["Credential"])
    if scope is None or scope[5] != _TERMINATOR:
        raise _incomplete(f"Credential must be '<access key>/YYYYMMDD/<region>/<service>/{_TERMINATOR}'.")
    names = tuple(parts["SignedHeaders"].split(";"))
    if any(_HEADER_NAME.fullmatch(name) is None for name in names) or list(names) != sorted(set(names)):
        raise _incomplete("SignedHeaders must be the headers' names in lower case and in order, parted by ';'.")
    if _SIGNATURE.fullmatch(parts["Signature"]) is None:
        raise _incomplete("Signature must be 64 hexadecimal digits.")
    dates = request.headers.getall("X-Amz-Date", [])
    if len(dates) != 1 or _TIMESTAMP.fullmatch(dates[0]) is None:
        raise _incomplete("The request must have one X-Amz-Date, written YYYYMMDDTHHMMSSZ.")
    return Claimed(scope[1], scope[2], scope[3], scope[4], dates[0], names, parts["Signature"])


def _check_time(claim: Claimed, now: float) -> None:
    if not claim.timestamp.startswith(claim.date):
        raise _invalid("Date in Credential scope does not match the date of X-Amz-Date.")
    try:
        at = datetime.strptime(claim.timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise _incomplete("X-Amz-Date must be a date, written YYYYMMDDTHHMMSSZ.") from None
    ours = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    if at < now - SKEW_S:
        raise _invalid(f"Signature expired: {claim.timestamp} is more than 15 min. before our time, {ours}.")
    if at > now + SKEW_S:
        raise _invalid(f"Signature not yet current: {claim.timestamp} is more than 15 min. after our time, {ours}.")


def _check_signed(claim: Claimed, headers: Headers) -> None:
    """What decides on the request's meaning has to be signed: the host, and all that is AWS's."""
    needed = {"host", *(name.lower() for name in headers.keys() if name.lower().startswith("x-amz-"))}
    unsigned = sorted(needed - set(claim.signed_headers))
    if unsigned:
        raise _invalid(f"These headers must be signed: {', '.join(unsigned)}.")


def _value(headers: Headers, name: str) -> str:
    return ",".join(" ".join(value.split()) for value in headers.getall(name, []))


def _signature(claim: Claimed, secret: str, to_sign: str) -> str:
    key = f"AWS4{secret}".encode()
    for part in (claim.date, claim.region, claim.service, _TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def _incomplete(reason: str) -> BadSignature:
    return BadSignature(SignatureFault.INCOMPLETE, reason)


def _invalid(reason: str) -> BadSignature:
    return BadSignature(SignatureFault.INVALID, reason)
