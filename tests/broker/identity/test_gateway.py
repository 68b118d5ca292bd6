from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from broker.core.principal import Principal, Role
from broker.errors import Forbidden, Unauthenticated
from broker.identity.gateway import Gateway
from broker.identity.networks import Networks
from broker.identity_settings import GatewaySettings

SETTINGS = GatewaySettings(
    user_header="X-Auth-Request-User",
    role_header="X-Auth-Request-Groups",
    admin_values=("ferry-admins",),
    user_values=("ferry",),
)
GATEWAY = Gateway(SETTINGS, Networks(["10.0.0.0/8"]))


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


ANN = headers(("x-auth-request-user", "ann"), ("x-auth-request-groups", "staff, ferry"))


def test_a_gateway_says_who_asks() -> None:
    assert GATEWAY.principal(ANN, "10.0.0.1") == Principal("ann", Role.USER, "ann")
    root = headers(("X-Auth-Request-User", "root"), ("X-Auth-Request-Groups", "ferry-admins"))
    assert GATEWAY.principal(root, "::ffff:10.0.0.1") == Principal("root", Role.ADMIN, "root")


@pytest.mark.parametrize("peer", ["192.0.2.1", "127.0.0.1", "::1", "", "11.0.0.1"])
def test_nobody_else_does(peer: str) -> None:
    assert GATEWAY.principal(ANN, peer) is None


def test_other_headers_say_nothing() -> None:
    for name in ("X-Forwarded-User", "X_Auth_Request_User", "X-Auth-Request-Email", "Remote-User"):
        assert GATEWAY.principal(headers((name, "root")), "10.0.0.1") is None


@pytest.mark.parametrize(
    "said",
    [
        headers(("X-Auth-Request-User", "root"), ("X-Auth-Request-User", "ann"), ("X-Auth-Request-Groups", "ferry")),
        headers(
            ("X-Auth-Request-User", "ann"), ("X-Auth-Request-Groups", "ferry-admins"), ("X-Auth-Request-Groups", "x")
        ),
        headers(("X-Auth-Request-User", "")),
        headers(("X-Auth-Request-User", "a" * 256), ("X-Auth-Request-Groups", "ferry")),
    ],
)
def test_a_header_that_a_client_slipped_past_the_gateway_admits_nobody(said: CIMultiDictProxy[str]) -> None:
    with pytest.raises(Unauthenticated):
        GATEWAY.principal(said, "10.0.0.1")


def test_who_has_no_role_is_known_but_may_do_nothing() -> None:
    with pytest.raises(Forbidden):
        GATEWAY.principal(headers(("X-Auth-Request-User", "ann")), "10.0.0.1")
