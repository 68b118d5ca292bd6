"""The short ids that Nimble Studio's clients know things by: at most 22 characters of `A-Z a-z 0-9 _ -`.

Each is a function of what it names alone, so it is the same on every broker, after every restart and every edit.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

LONGEST = 22
_SHORT = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)
_PLAIN_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+", re.ASCII)


def short_id(session_id: str) -> str:
    """A UUID in base64url, without padding."""
    return _text(UUID(session_id).bytes)


def session_id_of(short: str) -> str | None:
    """The UUID that this is short for; None where it is no such id."""
    if _SHORT.fullmatch(short) is None:
        return None
    content = urlsafe_b64decode(short + "==")
    return str(UUID(bytes=content)) if _text(content) == short else None


def digest_id(*parts: str) -> str:
    """An id that these parts alone make, and no others."""
    content = "".join(f"{len(part)}/{part}" for part in parts)
    return _text(hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()[:16])


def launch_profile_id(application_id: str, profile_id: str) -> str:
    """The id of an application under a profile: both by name where they are short and plain."""
    return _pair_id("launch-profile", application_id, profile_id, profile_id)


def streaming_image_id(application_id: str, version: str) -> str:
    """The id of a version of an application: both by name where they are short and plain."""
    plain = version.replace(".", "-") if _PLAIN_VERSION.fullmatch(version) else None
    return _pair_id("streaming-image", application_id, version, plain)


def _pair_id(kind: str, application_id: str, other: str, plain: str | None) -> str:
    """`<application>_<other>`, in which the underscore parts the two without doubt; else a digest of both."""
    if plain is not None and "_" not in application_id + plain:
        readable = f"{application_id}_{plain}"
        if len(readable) <= LONGEST:
            return readable
    return digest_id(kind, application_id, other)


def _text(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
