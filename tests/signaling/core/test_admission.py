from __future__ import annotations

from dataclasses import replace

import pytest

from signaling.core.admission import Admitted, admit, tokens_of
from signaling.core.handshake import Head
from signaling.metrics import SignalingRefusal
from signaling.routes import Admission, Endpoint, Route, SignalingKind
from signaling.tokens import AdmissionKeys, ViewerRole, sign
from tests.signaling.admission_tokens import CLAIMS, NOW, new_key, public
from tests.signaling.ports import SESSION

KEY = new_key()
KEYS = AdmissionKeys([public(KEY)])
TOKEN = sign(CLAIMS, KEY)
ROUTE = Route(SESSION, "relay", 31000, 31001, Endpoint("10.0.0.5", 47000, 47001), "secret", admission=Admission.TOKEN)
COOKIE = f"pixelferry-31000={SESSION}"


def head(*headers: tuple[str, str], target: str = f"/session/{SESSION}") -> Head:
    return Head("GET", target, "HTTP/1.1", (("Host", "relay:31000"), ("Upgrade", "websocket"), *headers))


def carrying(*tokens: str) -> Head:
    return head(
        *(("Sec-WebSocket-Protocol", f"x-nv-sessionid.{SESSION}, Authorization-Bearer.{one}") for one in tokens)
    )


@pytest.mark.parametrize("role", ViewerRole)
def test_a_token_admits_in_its_role_wherever_it_stands(role: ViewerRole) -> None:
    token = sign(replace(CLAIMS, role=role), KEY)
    for one in (
        carrying(token),
        head(("Authorization", f"Bearer {token}")),
        head(("authorization", f"bearer {token}")),
    ):
        assert admit(one, ROUTE, KEYS, now=NOW) == Admitted(role)


def test_the_same_token_twice_is_one() -> None:
    both = head(("Authorization", f"Bearer {TOKEN}"), ("Sec-WebSocket-Protocol", f"Authorization-Bearer.{TOKEN}"))
    assert tokens_of(both) == [TOKEN, TOKEN]
    assert admit(both, ROUTE, KEYS, now=NOW) == Admitted()


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (head(), SignalingRefusal.NO_TOKEN),
        (head(target=f"/session/{SESSION}?token={TOKEN}"), SignalingRefusal.NO_TOKEN),
        (head(("Authorization", f"Basic {TOKEN}")), SignalingRefusal.NO_TOKEN),
        (head(("Cookie", COOKIE), target="/"), SignalingRefusal.WRONG_SESSION),
        (head(("Authorization", f"Bearer {TOKEN}"), target="/session/another"), SignalingRefusal.WRONG_SESSION),
        (carrying("x"), SignalingRefusal.BAD_TOKEN),
        (carrying(""), SignalingRefusal.BAD_TOKEN),
        (carrying(TOKEN, sign(replace(CLAIMS, token_id="t2"), KEY)), SignalingRefusal.BAD_TOKEN),
        (carrying(sign(CLAIMS, new_key())), SignalingRefusal.BAD_TOKEN),
        (carrying(sign(replace(CLAIMS, session_id="another"), KEY)), SignalingRefusal.BAD_TOKEN),
        (carrying(sign(replace(CLAIMS, issued_at=1, expires_at=2), KEY)), SignalingRefusal.EXPIRED_TOKEN),
    ],
)
def test_a_head_without_its_token_is_refused(refused: Head, why: SignalingRefusal) -> None:
    assert admit(refused, ROUTE, KEYS, now=NOW) is why


def test_nobody_only_watches_what_cannot_be_read() -> None:
    opaque = replace(ROUTE, signaling=SignalingKind.OPAQUE)
    assert admit(carrying(TOKEN), opaque, KEYS, now=NOW) == Admitted()
    viewer = carrying(sign(replace(CLAIMS, role=ViewerRole.VIEWER), KEY))
    assert admit(viewer, opaque, KEYS, now=NOW) is SignalingRefusal.VIEWER_ROLE


def test_a_route_that_asks_for_no_token_looks_at_none() -> None:
    for admission in (Admission.SESSION_ID, Admission.ADDRESS):
        assert admit(carrying("x"), replace(ROUTE, admission=admission), KEYS, now=NOW) == Admitted()


def test_a_token_does_not_stand_for_the_origin() -> None:
    strict = replace(ROUTE, allowed_origins=("https://good.example",))
    foreign = head(("Origin", "https://evil.example"), ("Authorization", f"Bearer {TOKEN}"))
    assert admit(foreign, strict, KEYS, now=NOW) is SignalingRefusal.BAD_ORIGIN
