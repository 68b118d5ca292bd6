"""Identity over HTTP: who is let in, as whom, and what everybody else gets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from broker.identity.keys import digest_of, new_key
from signaling.routes import Admission
from signaling.tokens import AdmissionKeys, ViewerRole
from tests.broker.api.serving import Answer, Served, serving
from tests.broker.identity.issuer import AUDIENCE, ISSUER, issuing, token
from tests.broker.identity.test_jwt import BAD
from tests.broker.samples import make_profile

ANN, BOB, ROOT = new_key(), new_key(), new_key()
KEYS = {
    "ann": {"sha256": digest_of(ANN)},
    "bob": {"sha256": digest_of(BOB)},
    "root": {"sha256": digest_of(ROOT), "role": "admin"},
}
BODY = {"id": "app", "profile": "default"}
FORBIDDEN = {"detail": "You do not have permission to access this resource."}
BY_TOKEN = replace(make_profile(slots=8), admission=Admission.TOKEN)


def bearer(secret: str) -> str:
    return f"Bearer {secret}"


@asynccontextmanager
async def keyed(cors_origins: str = "*") -> AsyncIterator[Served]:
    async with serving(profile=BY_TOKEN, identity={"keys": KEYS}, cors_origins=cors_origins) as served:
        yield served


@pytest.fixture
async def guarded() -> AsyncIterator[Served]:
    async with keyed() as served:
        yield served


def assert_unknown(answer: Answer, *, presented: bool) -> None:
    assert answer.status == 401, answer
    assert isinstance(answer.json["detail"], str)
    wanted = 'Bearer realm="pixelferry"' + (', error="invalid_token"' if presented else "")
    assert answer.headers["WWW-Authenticate"] == wanted


async def test_a_holder_who_asks_for_more_is_told_what_the_token_is_for(guarded: Served) -> None:
    token = str((await guarded.call("POST", "/stream", BODY, Authorization=bearer(ANN))).json["token"])
    answer = await guarded.call("GET", "/stream", Authorization=bearer(token))
    assert_unknown(answer, presented=True)
    assert "its own session alone" in str(answer.json["detail"])


async def test_the_open_documentation_names_nothing_of_the_catalog(guarded: Served) -> None:
    document = (await guarded.call("GET", "/streaming/openapi.json")).body.decode()
    assert '"app"' not in document
    assert '"examples":[{"id":"usd-viewer","profile":"default"}]' in document
    open_to_all = (await guarded.call("GET", "/applications/openapi.json")).body.decode()
    assert '"app"' not in open_to_all


async def test_everything_but_what_is_public_wants_to_know_who_asks(guarded: Served) -> None:
    for method, path, body in (
        ("GET", "/stream", None),
        ("POST", "/stream", BODY),
        ("POST", "/streaming/stream", BODY),
        ("POST", "/stream", {"nonsense": 1}),
        ("GET", "/stream/8d5f4c2e-1f0a-4a5b-9c3d-000000000007", None),
        ("POST", "/stream/8d5f4c2e-1f0a-4a5b-9c3d-000000000007/token", None),
        ("GET", "/stream/8d5f4c2e-1f0a-4a5b-9c3d-000000000007/events", None),
        ("DELETE", "/stream/8d5f4c2e-1f0a-4a5b-9c3d-000000000007", None),
        ("GET", "/cfg/apps", None),
        ("GET", "/applications/cfg/apps/app/versions", None),
        ("GET", "/events", None),
        ("GET", "/nowhere", None),
        ("PUT", "/stream", None),
        ("POST", "/healthz", None),
        ("GET", "/%2e%2e/stream", None),
        ("GET", "//stream", None),
    ):
        answer = await guarded.call(method, path, body)
        assert_unknown(answer, presented=False)
    for path in ("/", "/index.html", "/web/stream-client.js", "/healthz", "/readyz"):
        assert (await guarded.call("GET", path)).status == 200, path
        assert (await guarded.call("HEAD", path)).status == 200, path
    for path in ("/stream", "/nowhere", "/cfg/apps"):
        assert (await guarded.call("OPTIONS", path)).status == 204
    assert not guarded.provider.orders


async def test_a_key_opens_what_is_its_owners_and_an_admins_key_all(guarded: Served) -> None:
    anns = (await guarded.start(Authorization=bearer(ANN))).json
    bobs = (await guarded.start(Authorization=bearer(BOB))).json
    assert (anns["owner"], bobs["owner"]) == ("ann", "bob")
    for key, seen in ((ANN, {anns["id"]}), (BOB, {bobs["id"]}), (ROOT, {anns["id"], bobs["id"]})):
        listed = await guarded.call("GET", "/stream", Authorization=bearer(key))
        assert {item["id"] for item in listed.items} == seen
    foreign = f"/stream/{bobs['id']}"
    for method, path, body in (
        ("GET", foreign, None),
        ("DELETE", foreign, None),
        ("DELETE", "/stream", {"id": bobs["id"]}),
        ("POST", f"{foreign}/token", None),
        ("GET", f"{foreign}/events", None),
    ):
        answer = await guarded.call(method, path, body, Authorization=bearer(ANN))
        assert (answer.status, answer.json) == (403, FORBIDDEN), (method, path)
    assert (await guarded.call("GET", foreign, Authorization=bearer(BOB))).status == 200
    assert (await guarded.call("DELETE", foreign, Authorization=bearer(ROOT))).status == 204


async def test_a_list_by_user_name_stays_within_ones_own(guarded: Served) -> None:
    await guarded.start(Authorization=bearer(ANN))
    await guarded.start(Authorization=bearer(BOB))
    for key, name, count in ((ANN, "ann", 1), (ANN, "bob", 0), (ROOT, "bob", 1), (ROOT, "root", 0)):
        listed = await guarded.call("GET", f"/stream?username={name}", Authorization=bearer(key))
        assert listed.json["count"] == count


@pytest.mark.parametrize(
    "value",
    [bearer(new_key()), "Bearer", "Bearer ", f"Basic {ANN}", ANN, f"Bearer {ANN} {ANN}", f"Bearer {ANN}x", "Bearer é"],
    ids=["unknown", "none", "empty", "basic", "bare", "two", "longer", "not-ascii"],
)
async def test_what_is_no_key_is_401_and_not_logged(
    guarded: Served, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    answer = await guarded.call("GET", "/stream", Authorization=value)
    assert_unknown(answer, presented=True)
    assert ANN not in answer.body.decode() + caplog.text


async def test_two_authorizations_are_none(guarded: Served) -> None:
    lines = ["GET /stream HTTP/1.1", "Host: localhost", f"Authorization: Bearer {ANN}", f"Authorization: Bearer {BOB}"]
    assert (await guarded.raw(("\r\n".join(lines) + "\r\n\r\n").encode())).startswith(b"HTTP/1.1 401 ")


async def test_a_secret_in_the_query_opens_nothing(guarded: Served) -> None:
    for query in (f"access_token={ANN}", f"token={ANN}", f"Authorization=Bearer%20{ANN}"):
        assert_unknown(await guarded.call("GET", f"/stream?{query}"), presented=False)


async def test_idempotency_keys_are_each_callers_own(guarded: Served) -> None:
    first = await guarded.start(Authorization=bearer(ANN), Idempotency_Key="k")
    again = await guarded.start(Authorization=bearer(ANN), Idempotency_Key="k")
    other = await guarded.start(Authorization=bearer(BOB), Idempotency_Key="k")
    assert first.json["id"] == again.json["id"] != other.json["id"]


@asynccontextmanager
async def issued(folder: Path, **jwt: object) -> AsyncIterator[Served]:
    async with issuing(folder) as issuer:
        settings = {"jwks": issuer.url, "ca_file": issuer.ca_file, "issuer": ISSUER, "audience": AUDIENCE, **jwt}
        async with serving(profile=BY_TOKEN, identity={"jwt": settings, "keys": KEYS}) as served:
            yield served


async def test_tokens_of_an_issuer_and_keys_work_side_by_side(tmp_path: Path) -> None:
    async with issued(tmp_path, role_claim="roles", admin_values=["ferry-admin"]) as served:
        anns = await served.start(Authorization=bearer(token()))
        assert anns.json["owner"] == "ann"
        for secret, status in ((ANN, 200), (token(sub="bob"), 403), (token(sub="x", roles=["ferry-admin"]), 200)):
            answer = await served.call("GET", f"/stream/{anns.json['id']}", Authorization=bearer(secret))
            assert answer.status == status


async def test_bad_tokens_are_401_over_http_and_nothing_of_them_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with issued(tmp_path) as served:
        for name, bad in BAD.items():
            if not bad.isascii() or len(bad) > 8000:
                continue
            answer = await served.call("GET", "/stream", Authorization=bearer(bad))
            assert_unknown(answer, presented=True)
            told = answer.body.decode() + caplog.text
            assert not any(part in told for part in bad.split(".") if len(part) > 6), name
        for size in (9_000, 40_000):
            answer = await served.call("GET", "/stream", Authorization=bearer("x" * size))
            assert answer.status in (400, 401), answer
        assert (await served.call("GET", "/stream", Authorization=bearer(token()))).status == 200


async def test_while_the_issuer_was_never_there_a_token_is_503_and_a_key_works(tmp_path: Path) -> None:
    async with issuing(tmp_path) as issuer:
        issuer.status = 500
        settings = {"jwks": issuer.url, "ca_file": issuer.ca_file, "issuer": ISSUER, "audience": AUDIENCE}
        async with serving(identity={"jwt": settings, "keys": KEYS}) as served:
            answer = await served.call("GET", "/stream", Authorization=bearer(token()))
            assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0
            assert (await served.call("GET", "/stream", Authorization=bearer(ANN))).status == 200


async def test_the_key_set_is_fetched_at_the_start(tmp_path: Path) -> None:
    async with issuing(tmp_path) as issuer:
        settings = {"jwks": issuer.url, "ca_file": issuer.ca_file, "issuer": ISSUER, "audience": AUDIENCE}
        async with serving(identity={"jwt": settings}):
            async with asyncio.timeout(5):
                while not issuer.asked:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)


GATEWAY = {"user_header": "X-Auth-Request-User", "role_header": "X-Auth-Request-Groups", "admin_values": ["admins"]}


async def test_a_gateways_header_counts_from_the_gateway() -> None:
    async with serving(identity={"gateway": GATEWAY, "keys": KEYS}, trusted_proxies="127.0.0.1") as served:
        anns = await served.start(X_Auth_Request_User="ann")
        assert anns.json["owner"] == "ann"
        path = f"/stream/{anns.json['id']}"
        assert (await served.call("GET", path, X_Auth_Request_User="bob")).status == 403
        assert (
            await served.call("GET", path, X_Auth_Request_User="x", X_Auth_Request_Groups="a, admins")
        ).status == 200
        assert (await served.call("GET", path, Authorization=bearer(ANN))).status == 200
        assert_unknown(await served.call("GET", path), presented=False)
        assert_unknown(await served.call("GET", path, X_Forwarded_User="root"), presented=False)


async def test_anybody_elses_is_not_there() -> None:
    async with serving(identity={"gateway": GATEWAY, "keys": KEYS}, trusted_proxies="192.0.2.1") as served:
        for headers in (
            {"X_Auth_Request_User": "root", "X_Auth_Request_Groups": "admins"},
            {"X_Auth_Request_User": "root", "X_Forwarded_For": "192.0.2.1"},
        ):
            assert_unknown(await served.call("GET", "/stream", None, None, **headers), presented=False)
        answer = await served.start(X_Auth_Request_User="root", Authorization=bearer(ANN))
        assert answer.json["owner"] == "ann"


async def test_a_foreign_page_cannot_act_through_the_gateways_cookie() -> None:
    async with serving(
        identity={"gateway": GATEWAY}, trusted_proxies="127.0.0.1", cors_origins="*,https://portal.example"
    ) as served:
        ann = {"X_Auth_Request_User": "ann", "X_Forwarded_Host": "ferry.example"}
        for origin, status in (
            ("https://evil.example", 403),
            ("null", 403),
            ("http://localhost:1", 403),
            ("https://portal.example", 202),
            ("https://ferry.example", 202),
            (served.url, 202),
        ):
            answer = await served.call("POST", "/stream", BODY, None, **ann, Origin=origin)
            assert answer.status in (status, 200 if status == 202 else status), origin
        blind = await served.call("POST", "/stream", BODY, None, **ann, Sec_Fetch_Site="cross-site")
        assert blind.status == 403
        assert (await served.call("GET", "/stream", None, None, **ann, Origin="https://evil.example")).status == 200


async def test_pages_of_the_listed_origins_may_call_and_never_with_cookies() -> None:
    async with keyed() as served:
        for origin in ("https://any.example", "null", "http://localhost:5173"):
            for method, status in (("GET", 200), ("OPTIONS", 204)):
                answer = await served.call(method, "/stream", Origin=origin, Authorization=bearer(ANN))
                assert answer.status == status
                assert answer.headers["Access-Control-Allow-Origin"] == "*"
                assert "Access-Control-Allow-Credentials" not in answer.headers
            refused = await served.call("GET", "/stream", Origin=origin)
            assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (401, "*")
    async with keyed(cors_origins="https://portal.example") as served:
        good = await served.call("POST", "/stream", {}, Origin="https://portal.example", Authorization=bearer(ANN))
        assert (good.status, good.headers["Access-Control-Allow-Origin"]) == (422, "https://portal.example")
        for origin in ("https://any.example", "http://localhost:5173"):
            bad = await served.call("POST", "/stream", BODY, Origin=origin, Authorization=bearer(ANN))
            assert bad.status == 403 and "Access-Control-Allow-Origin" not in bad.headers


async def test_with_identity_the_api_goes_by_any_name(guarded: Served) -> None:
    assert (await guarded.call("GET", "/stream", Host="ferry.example", Authorization=bearer(ANN))).status == 200
    assert (await guarded.call("GET", "/stream", Host="a b", Authorization=bearer(ANN))).status in (400, 421)


async def test_who_needs_an_admission_token_gets_one_that_relays_accept(guarded: Served) -> None:
    created = await guarded.start(Authorization=bearer(ANN))
    known = AdmissionKeys(await anext(guarded.relay.table.watch_keys()))
    asked = await guarded.call("GET", f"/stream/{created.json['id']}", Authorization=bearer(ROOT))
    for answer, subject in ((created, "ann"), (asked, "root")):
        claims = known.verify(str(answer.json["token"]), now=time.time())
        assert (claims.session_id, claims.subject, claims.owner) == (created.json["id"], subject, "ann")
        assert claims.role is ViewerRole.CONTROLLER
        assert str(answer.json["token_expires_at"]).endswith("Z")
    listed = await guarded.call("GET", "/stream", Authorization=bearer(ANN))
    assert "token" not in listed.items[0]


async def test_sessions_that_need_no_token_get_none(served: Served) -> None:
    assert "token" not in (await served.start()).json


async def test_an_admission_token_shows_its_session_and_renews_itself_and_opens_nothing_else(guarded: Served) -> None:
    created = (await guarded.start(Authorization=bearer(ANN))).json
    other = (await guarded.start(Authorization=bearer(ANN))).json
    path = f"/stream/{created['id']}"
    held = bearer(str(created["token"]))
    seen = await guarded.call("GET", path, Authorization=held)
    assert seen.status == 200 and seen.json["routes"] == created["routes"]
    assert "token" not in seen.json, "a holder renews; it is not handed more than it has"
    renewed = await guarded.call("POST", f"{path}/token", Authorization=held)
    assert renewed.status == 200 and set(renewed.json) == {"token", "expires_at", "role"}
    assert (await guarded.call("GET", path, Authorization=bearer(str(renewed.json["token"])))).status == 200
    for method, where, body in (
        ("DELETE", path, None),
        ("GET", "/stream", None),
        ("POST", "/stream", BODY),
        ("GET", "/cfg/apps", None),
        ("GET", "/events", None),
    ):
        assert_unknown(await guarded.call(method, where, body, Authorization=held), presented=True)
    for where in (f"/stream/{other['id']}", "/stream/8d5f4c2e-1f0a-4a5b-9c3d-000000000007"):
        assert (await guarded.call("GET", where, Authorization=held)).status == 403
    await guarded.call("DELETE", path, Authorization=bearer(ANN))
    assert (await guarded.call("POST", f"{path}/token", Authorization=held)).status == 404


async def test_a_viewers_token_never_becomes_a_controllers(guarded: Served) -> None:
    created = (await guarded.start(Authorization=bearer(ANN))).json
    path = f"/stream/{created['id']}/token"
    viewer = await guarded.call("POST", path, {"role": "viewer"}, Authorization=bearer(ANN))
    assert viewer.json["role"] == "viewer"
    held = bearer(str(viewer.json["token"]))
    renewed = await guarded.call("POST", path, Authorization=held)
    assert renewed.json["role"] == "viewer"
    for role in ("controller", "viewer"):
        answer = await guarded.call("POST", path, {"role": role}, Authorization=held)
        assert answer.status == (200 if role == "viewer" else 403)
    assert (await guarded.call("POST", path, {"role": "god"}, Authorization=held)).status == 422
    assert (await guarded.call("POST", path, Authorization=bearer(str(viewer.json["token"])[:-4]))).status == 401


async def test_without_identity_anybody_may_have_a_token() -> None:
    async with serving(profile=BY_TOKEN) as served:
        created = (await served.start()).json
        for headers in ({}, {"Authorization": bearer(str(created["token"]))}, {"Authorization": "Bearer x"}):
            answer = await served.call("POST", f"/stream/{created['id']}/token", None, None, **headers)
            assert answer.status == 200, headers
