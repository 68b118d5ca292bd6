"""The gate in front of endpoints of the test's own: audiences, facades, and that forgetting one lets nobody in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from broker.admission import AdmissionTokens
from broker.api.access import Access
from broker.api.answers import json_answer
from broker.api.auth import Audience, Facade, audiences_of, principal_of, require_admin
from broker.api.authentication import Authentication
from broker.api.middleware import Gate
from broker.core.principal import Principal, Role
from broker.errors import BrokerError, Unauthenticated
from broker.identity.identity import Identity
from broker.identity.keys import digest_of, new_key
from broker.identity.networks import Networks
from broker.identity_settings import IdentitySettings

ANN, ROOT = new_key(), new_key()
ON = IdentitySettings.model_validate(
    {"keys": {"ann": {"sha256": digest_of(ANN)}, "root": {"sha256": digest_of(ROOT), "role": "admin"}}}
)
OFF = IdentitySettings()


async def who(request: web.Request) -> web.Response:
    return json_answer(principal_of(request).name)


async def anything(request: web.Request) -> web.Response:
    return json_answer("metrics")


async def sesame(request: web.Request) -> Principal:
    if request.headers.get("X-Password") != "sesame":
        raise Unauthenticated(presented=True)
    return Principal("ali", Role.USER, "ali")


def tell(error: BrokerError) -> web.Response:
    return json_answer({"code": type(error).__name__}, status=418)


def tell_http(error: web.HTTPException) -> web.Response:
    return json_answer({"code": error.status}, status=418)


@asynccontextmanager
async def gated(
    identity: IdentitySettings = ON, *, proxies: tuple[str, ...] = (), metrics_from: tuple[str, ...] = ()
) -> AsyncIterator[aiohttp.ClientSession]:
    routes = {audience: [web.get(f"/{audience}", who), web.post(f"/{audience}", who)] for audience in Audience}
    routes[Audience.SCRAPERS] = [web.get("/scrapers", anything)]
    audiences = {key: value for audience, some in routes.items() for key, value in audiences_of(some, audience).items()}
    access = Access(origins=frozenset({"*"}) if identity.is_on else None)
    trusted = Networks(proxies)
    authentication = Authentication(
        Identity(identity, trusted),
        AdmissionTokens(),
        access,
        trusted_proxies=trusted,
        metrics_from=Networks(metrics_from),
    )
    facades = [Facade("/cave", tell, tell_http, sesame), Facade("/hut", tell, tell_http)]
    gate = Gate(access, lambda: False, authentication, audiences=audiences, facades=facades)
    app = web.Application(middlewares=[gate.middleware()])
    app.on_response_prepare.append(gate.prepare)
    app.add_routes([route for some in routes.values() for route in some])
    app.add_routes([web.get("/forgotten", who), web.get("/cave/gold", who), web.get("/hut/bed", who)])
    app.add_routes([web.get("/caveat", who), web.get("/careful", who_admin)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as client:
            yield client
    finally:
        await runner.cleanup()


async def who_admin(request: web.Request) -> web.Response:
    return json_answer(require_admin(request).name)


async def asked(client: aiohttp.ClientSession, path: str, key: str = "", **headers: str) -> tuple[int, object]:
    sent: Mapping[str, str] = {name.replace("_", "-"): value for name, value in headers.items()}
    if key:
        sent = {**sent, "Authorization": f"Bearer {key}"}
    async with client.get(path, headers=sent) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("path", "nobody", "user", "admin"),
    [
        ("/everyone", 401, 401, 401),  # let in, and then the handler asked who it is
        ("/holders", 401, 200, 200),
        ("/users", 401, 200, 200),
        ("/forgotten", 401, 200, 200),
        ("/careful", 401, 403, 200),
        ("/admins", 401, 403, 200),
        ("/scrapers", 401, 403, 200),
        ("/none", 401, 404, 404),
    ],
)
async def test_each_audience_gets_in_where_it_may(path: str, nobody: int, user: int, admin: int) -> None:
    async with gated() as client:
        statuses = [(await asked(client, path, key))[0] for key in ("", ANN, ROOT)]
    assert statuses == [nobody, user, admin]


async def test_without_identity_everybody_is_an_admin_counted_by_address() -> None:
    async with gated(OFF) as client:
        for path in ("/users", "/admins", "/careful", "/forgotten"):
            assert await asked(client, path) == (200, "anonymous")
        assert await asked(client, "/scrapers") == (200, "metrics")


async def test_an_audience_is_of_a_method_too() -> None:
    async with gated() as client:
        async with client.put("/everyone") as answer:
            assert answer.status == 401
        async with client.head("/users", headers={"Authorization": f"Bearer {ANN}"}) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("metrics_from", "proxies", "status"),
    [
        (("127.0.0.0/8",), (), 200),
        (("192.0.2.0/24",), (), 401),
        (("127.0.0.0/8",), ("127.0.0.1",), 401),
    ],
)
async def test_scrapers_are_known_by_their_own_address(
    metrics_from: tuple[str, ...], proxies: tuple[str, ...], status: int
) -> None:
    async with gated(metrics_from=metrics_from, proxies=proxies) as client:
        assert (await asked(client, "/scrapers", X_Forwarded_For="127.0.0.1"))[0] == status


async def test_a_facade_authenticates_and_tells_errors_in_its_own_way() -> None:
    async with gated() as client:
        assert await asked(client, "/cave/gold", X_Password="sesame") == (200, "ali")
        assert await asked(client, "/cave/gold", ROOT) == (418, {"code": "Unauthenticated"})
        assert await asked(client, "/cave/none", X_Password="sesame") == (418, {"code": 404})
        assert await asked(client, "/hut/bed") == (418, {"code": "Unauthenticated"})
        assert await asked(client, "/hut/bed", ANN) == (200, "ann")
        assert await asked(client, "/caveat", X_Password="sesame") == (
            401,
            {"detail": "This needs authentication: send 'Authorization: Bearer <token or key>'."},
        )
