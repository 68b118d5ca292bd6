from __future__ import annotations

import base64
import hmac
import json
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from broker.core.principal import Principal, Role
from broker.errors import Forbidden, IssuerUnavailable, Unauthenticated
from broker.identity.jwks import FetchError, KeySet, parse_keys
from broker.identity.jwt import LONGEST_TOKEN, JwtVerifier
from broker.identity_settings import JwtSettings
from signaling.routes import Json
from tests.broker.identity.issuer import AUDIENCE, EC, ED, ISSUER, RSA, Issuer, Key, issuing, public, token

PUBLIC_PEM = RSA.raw_value.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[union-attr]


def write_keys(folder: Path, *keys: Key) -> Path:
    path = folder / "jwks.json"
    path.write_text(json.dumps({"keys": public(*keys)}))
    return path


def verifier(folder: Path, **settings: object) -> JwtVerifier:
    jwks = write_keys(folder, RSA, EC, ED)
    chosen = JwtSettings(jwks=str(jwks), issuer=ISSUER, audience=(AUDIENCE, "other"), **settings)  # type: ignore[arg-type]
    return JwtVerifier(chosen, KeySet(str(jwks)))


@pytest.mark.parametrize("key", [RSA, EC, ED])
async def test_a_good_token_speaks_for_its_owner(tmp_path: Path, key: Key) -> None:
    assert await verifier(tmp_path).principal(token(key)) == Principal("ann", Role.USER, "ann")


async def test_ed25519_goes_by_both_its_names(tmp_path: Path) -> None:
    for alg in ("EdDSA", "Ed25519"):
        assert (await verifier(tmp_path).principal(token(ED, alg=alg))).name == "ann"


async def test_owner_and_role_come_from_the_claims_that_are_set(tmp_path: Path) -> None:
    checks = verifier(
        tmp_path,
        owner_claim="preferred_username",
        role_claim="realm_access.roles",
        admin_values=("ferry-admin",),
        user_values=("ferry-user",),
    )
    roles: Json = {"roles": ["offline_access", "ferry-admin"]}
    root = await checks.principal(token(preferred_username="root", realm_access=roles))
    assert root == Principal("root", Role.ADMIN, "root")
    ann = await checks.principal(token(preferred_username="Ann Onym", realm_access={"roles": ["ferry-user"]}))
    assert ann == Principal("Ann Onym", Role.USER, "Ann Onym")
    with pytest.raises(Forbidden):
        await checks.principal(token(preferred_username="bob"))
    with pytest.raises(Unauthenticated):
        await checks.principal(token(realm_access=roles))


async def test_the_claim_that_does_not_hold_is_named_once_the_signature_does(tmp_path: Path) -> None:
    late = int(time.time()) + 5000
    for claim, bad in (("aud", token(aud="x")), ("iss", token(iss="https://evil.example")), ("nbf", token(nbf=late))):
        with pytest.raises(Unauthenticated, match=f"its claim '{claim}' does not"):
            await verifier(tmp_path).principal(bad)
    with pytest.raises(Unauthenticated, match="signature does not hold"):
        await verifier(tmp_path).principal(token(STRANGER, aud="another"))


async def test_clocks_may_differ_by_a_minute(tmp_path: Path) -> None:
    now = int(time.time())
    assert await verifier(tmp_path).principal(token(exp=now - 40))
    assert await verifier(tmp_path).principal(token(nbf=now + 40, iat=now + 40))


def segments(head: object, claims: object, signature: bytes = b"") -> str:
    parts = (json.dumps(head).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def by_secret(secret: bytes) -> str:
    """A token signed with what everybody knows."""
    signed = segments({"alg": "HS256", "kid": "r1"}, GOOD).rpartition(".")[0]
    signature = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


NOW = int(time.time())
GOOD: dict[str, Json] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": NOW + 86400}
STRANGER = RSAKey.generate_key(2048, {"kid": "r1"})
BAD = {
    "expired": token(exp=NOW - 100),
    "not yet": token(nbf=NOW + 5000),
    "of the future": token(iat=NOW + 5000),
    "without an end": token(exp=None),
    "end is a text": token(exp=str(NOW + 86400)),
    "another audience": token(aud="another"),
    "no audience": token(aud=None),
    "other audiences": token(aud=["a", "b"]),
    "another issuer": token(iss="https://evil.example"),
    "issuer with more": token(iss=ISSUER + "/"),
    "no issuer": token(iss=None),
    "no owner": token(sub=None),
    "empty owner": token(sub=""),
    "owner is a number": token(sub=7),
    "owner too long": token(sub="x" * 256),
    "alg none": segments({"alg": "none", "kid": "r1"}, GOOD),
    "alg None": segments({"alg": "None", "kid": "r1"}, GOOD),
    "HS256 with the public key": by_secret(PUBLIC_PEM),
    "HS256 with the modulus": by_secret(str(RSA.as_dict(private=False)["n"]).encode()),
    "an algorithm that is not asked for": token(RSA, alg="RS384"),
    "another key's algorithm": segments({"alg": "ES256", "kid": "r1"}, GOOD, bytes(64)),
    "foreign key of the same name": token(STRANGER),
    "foreign key": token(RSAKey.generate_key(2048, {"kid": "x"}), alg="RS256"),
    "foreign key in its head": token(STRANGER, head={"jwk": STRANGER.as_dict(private=False)}),
    "foreign key by address": token(STRANGER, head={"jku": "https://127.0.0.1:1/", "x5u": "https://127.0.0.1:1/"}),
    "no kid": token(head={"kid": None}),
    "kid is a number": segments({"alg": "RS256", "kid": 1}, GOOD),
    "critical extension": token(head={"crit": ["b64"], "b64": False}),
    "no signature": token().rpartition(".")[0] + ".",
    "signature of another": token().rpartition(".")[0] + "." + token(sub="bob").rpartition(".")[2],
    "changed claims": ".".join(
        (token().split(".")[0], segments({}, {**GOOD, "sub": "root"}).split(".")[1], token().split(".")[2])
    ),
    "claims are a list": segments({"alg": "RS256", "kid": "r1"}, [GOOD]),
    "head is a list": segments(["RS256"], GOOD),
    "nested head": "W1tb" * 1000 + ".e30.",
    "oversized": token(groups=["x" * LONGEST_TOKEN]),
    "two parts": "a.b",
    "five parts (encrypted)": "a.b.c.d.e",
    "empty": "",
    "dots": "..",
    "blanks": " . . ",
    "not ASCII": "é.è.ê",
}


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_token_is_refused_and_neither_logged_nor_repeated(
    tmp_path: Path, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    checks = verifier(tmp_path)
    assert (await checks.principal(token())).name == "ann"
    with pytest.raises(Unauthenticated) as refused:
        await checks.principal(BAD[bad])
    assert refused.value.presented
    assert 'error="invalid_token"' in refused.value.challenge
    told = str(refused.value) + caplog.text
    assert not any(part in told for part in BAD[bad].split(".") if len(part) > 6)


UNREACHABLE = JwtSettings(jwks="https://127.0.0.1:1/", issuer=ISSUER, audience=(AUDIENCE,))
NO_KEYS = JwtVerifier(UNREACHABLE, KeySet("no such file"))


@given(
    st.text(max_size=60)
    | st.from_regex(r"[A-Za-z0-9_-]{0,20}\.[A-Za-z0-9_-]{0,20}\.[A-Za-z0-9_-]{0,20}", fullmatch=True)
)
async def test_garbage_is_refused(garbage: str) -> None:
    with pytest.raises(Unauthenticated):
        await NO_KEYS.principal(garbage)


async def test_keys_come_over_tls_from_who_has_the_right_certificate(tmp_path: Path) -> None:
    async with issuing(tmp_path) as issuer:
        keys = KeySet(issuer.url, ca_file=issuer.ca_file)
        assert (await keys.find("e1")).kid == "e1"
        with pytest.raises(IssuerUnavailable):
            await KeySet(issuer.url).find("e1")
    assert issuer.asked == 1


async def make_fail(issuer: Issuer, how: str) -> None:
    match how:
        case "error":
            issuer.status = 500
        case "redirect":
            issuer.status = 302
        case "too long":
            issuer.body = json.dumps({"keys": public(RSA), "more": "x" * (1 << 20)}).encode()
        case "no JSON":
            issuer.body = b"<html>"
        case "deep":
            issuer.body = b"[" * 100_000
        case "no list":
            issuer.body = b'{"keys": {"kid": "r1"}}'
        case "nothing of use":
            issuer.body = json.dumps({"keys": [OctKey.generate_key(256, {"kid": "r1"}).as_dict(private=True)]}).encode()
        case "slow":
            issuer.hang = True


FAILURES = ["error", "redirect", "too long", "no JSON", "deep", "no list", "nothing of use", "slow"]


@pytest.mark.parametrize("how", FAILURES)
async def test_an_issuer_that_fails_leaves_the_last_good_keys(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    async with issuing(tmp_path) as issuer:
        keys = KeySet(issuer.url, ca_file=issuer.ca_file, timeout_s=0.3, clock=lambda: now)
        assert (await keys.find("r1")).kid == "r1"
        await make_fail(issuer, how)
        now += 31
        with pytest.raises(Unauthenticated):
            await keys.find("unknown")
        assert (await keys.find("r1")).kid == "r1"
        assert issuer.asked == 2
        assert caplog.text.count("the last good keys stay in use") == 1


@pytest.mark.parametrize("how", FAILURES)
async def test_without_any_keys_a_token_is_not_called_wrong(tmp_path: Path, how: str) -> None:
    async with issuing(tmp_path) as issuer:
        await make_fail(issuer, how)
        with pytest.raises(IssuerUnavailable):
            await KeySet(issuer.url, ca_file=issuer.ca_file, timeout_s=0.3).find("r1")


async def test_an_unknown_key_is_looked_for_at_once_but_every_half_minute_at_most(tmp_path: Path) -> None:
    now = 1000.0
    async with issuing(tmp_path) as issuer:
        keys = KeySet(issuer.url, ca_file=issuer.ca_file, clock=lambda: now)
        issuer.keys = public(RSA)
        assert await keys.find("r1")
        issuer.keys = public(RSA, EC)
        for _ in range(5):
            with pytest.raises(Unauthenticated):
                await keys.find("e1")
        assert issuer.asked == 1
        now += 30
        assert (await keys.find("e1")).kid == "e1"
        assert issuer.asked == 2


def test_only_public_signature_keys_of_some_strength_are_taken_from_a_set() -> None:
    weak = {**public(RSA)[0], "kid": "weak", "n": base64.urlsafe_b64encode(b"\xff" * 128).decode().rstrip("=")}
    entries: list[Json] = [
        RSA.as_dict(private=True),
        {**public(EC)[0], "kid": "enc", "use": "enc"},
        {**public(EC)[0], "kid": ""},
        {key: value for key, value in public(EC)[0].items() if key != "kid"},
        {**public(EC)[0], "kid": "broken", "x": "AA"},
        {**public(EC)[0], "kid": "curve", "crv": "P-000"},
        {"kty": "AKP", "kid": "new kind", "pub": "AA"},
        {"kty": "RSA", "kid": "half", "n": "AQAB"},
        OctKey.generate_key(256, {"kid": "oct"}).as_dict(private=True),
        weak,
        "r1",
        None,
    ]
    keys = parse_keys(json.dumps({"keys": entries}).encode())
    assert list(keys) == ["r1"]
    assert not keys["r1"].key.is_private


def test_of_endless_sets_only_so_many_keys_are_read() -> None:
    entries = [{**public(ED)[0], "kid": str(number)} for number in range(300)]
    assert len(parse_keys(json.dumps({"keys": entries}).encode())) == 100
    with pytest.raises(FetchError):
        parse_keys(b'{"keys": []}')


async def test_a_key_for_one_algorithm_checks_no_other(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [{**public(RSA)[0], "alg": "PS256"}, {**public(ED)[0], "alg": "Ed25519"}]}))
    checks = JwtVerifier(JwtSettings(jwks=str(path), issuer=ISSUER, audience=(AUDIENCE,)), KeySet(str(path)))
    assert await checks.principal(token(RSA, alg="PS256"))
    assert await checks.principal(token(ED, alg="EdDSA"))
    with pytest.raises(Unauthenticated):
        await checks.principal(token(RSA, alg="RS256"))


async def test_a_file_that_is_gone_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(IssuerUnavailable):
        await KeySet(str(tmp_path / "none.json")).find("r1")
    assert "No such file" in caplog.text


assert isinstance(EC, ECKey) and isinstance(ED, OKPKey)
