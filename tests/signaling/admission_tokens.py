"""Admission tokens signed by the test itself, as any broker would."""

from __future__ import annotations

import time
from dataclasses import replace

from joserfc.jwk import OKPKey

from signaling.tokens import AdmissionClaims, AdmissionKey, ViewerRole, sign
from tests.signaling.ports import SESSION

NOW = 1_800_000_000


def new_key(kid: str = "k1") -> OKPKey:
    """A private key."""
    return OKPKey.generate_key("Ed25519", parameters={"kid": kid})


def public(key: OKPKey) -> AdmissionKey:
    """What relays know of it."""
    assert key.kid is not None
    return AdmissionKey(key.kid, str(key.as_dict(private=False)["x"]))


CLAIMS = AdmissionClaims(
    session_id=SESSION,
    subject="ann",
    owner="bob",
    viewer_id="v1",
    role=ViewerRole.CONTROLLER,
    issued_at=NOW,
    expires_at=NOW + 300,
    token_id="t1",
)


def token_of(key: OKPKey, *, role: ViewerRole = ViewerRole.CONTROLLER, session: str = SESSION, age_s: int = 0) -> str:
    """One of now, that lives five minutes."""
    made = int(time.time()) - age_s
    return sign(replace(CLAIMS, session_id=session, role=role, issued_at=made, expires_at=made + 300), key)
