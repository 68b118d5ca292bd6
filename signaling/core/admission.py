"""Who may open a session's signaling, and as what: the head's session and origin, and where asked for its token."""

from __future__ import annotations

from dataclasses import dataclass

from signaling.core.handshake import TOKEN_PROTOCOL, Head, refusal_of
from signaling.metrics import SignalingRefusal
from signaling.routes import Admission, Route, SignalingKind
from signaling.tokens import AdmissionKeys, TokenError, ViewerRole

_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Admitted:
    """A head that may pass to its route's backend."""

    role: ViewerRole = ViewerRole.CONTROLLER


def admit(head: Head, route: Route, keys: AdmissionKeys, *, now: float) -> Admitted | SignalingRefusal:
    """Whether the head may pass, or why not."""
    refusal = refusal_of(head, route)
    if refusal is not None:
        return refusal
    if route.admission is not Admission.TOKEN:
        return Admitted()
    tokens = tokens_of(head)
    if not tokens:
        return SignalingRefusal.NO_TOKEN
    if len(set(tokens)) > 1:
        return SignalingRefusal.BAD_TOKEN
    return _admitted_by(tokens[0], route, keys, now)


def _admitted_by(token: str, route: Route, keys: AdmissionKeys, now: float) -> Admitted | SignalingRefusal:
    try:
        claims = keys.verify(token, now=now)
    except TokenError as error:
        return SignalingRefusal.EXPIRED_TOKEN if error.expired else SignalingRefusal.BAD_TOKEN
    if claims.session_id != route.session_id:
        return SignalingRefusal.BAD_TOKEN
    if route.signaling is SignalingKind.OPAQUE and claims.role is not ViewerRole.CONTROLLER:
        return SignalingRefusal.VIEWER_ROLE  # nobody can tell an opaque backend to take no input from this one
    return Admitted(claims.role)


def tokens_of(head: Head) -> list[str]:
    """The tokens of a head: in its sub-protocols and its Authorization. A query does not count: it would be logged."""
    offered = [word[len(TOKEN_PROTOCOL) :] for word in head.protocols if word.lower().startswith(TOKEN_PROTOCOL)]
    bearers = [value[len(_BEARER) :].strip() for value in head.get_all("authorization") if _is_bearer(value)]
    return offered + bearers


def _is_bearer(value: str) -> bool:
    return value.lower().startswith(_BEARER)
