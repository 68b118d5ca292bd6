from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey
from joserfc.util import urlsafe_b64encode

from signaling.routes import Json
from signaling.tokens import (
    LEEWAY_S,
    LONGEST_TOKEN,
    AdmissionClaims,
    AdmissionKey,
    AdmissionKeys,
    TokenError,
    ViewerRole,
    is_admission_token,
    sign,
)
from tests.signaling.admission_tokens import CLAIMS, NOW, new_key, public

KEY = new_key()
KEYS = AdmissionKeys([public(KEY)])
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=255)


def with_claims(**changed: Json) -> str:
    """A token with a good signature over whatever claims."""
    payload = {**CLAIMS.to_json(), **changed}
    claims = {name: value for name, value in payload.items() if value is not None}
    head = {"alg": "Ed25519", "typ": "pixelferry-admission+jwt", "kid": "k1"}
    return jws.serialize_compact(head, json.dumps(claims), KEY, algorithms=["Ed25519"])


@given(subject=TEXT, owner=TEXT, link=st.none() | TEXT, role=st.sampled_from(ViewerRole))
def test_what_was_signed_is_what_is_read(subject: str, owner: str, link: str | None, role: ViewerRole) -> None:
    claims = replace(CLAIMS, subject=subject, owner=owner, link=link, role=role)
    token = sign(claims, KEY)
    assert len(token) <= LONGEST_TOKEN
    assert is_admission_token(token)
    assert KEYS.verify(token, now=NOW) == claims


@given(at=st.floats(-2000, 2000))
def test_a_token_counts_in_its_time_and_a_minute_around_it(at: float) -> None:
    token = sign(CLAIMS, KEY)
    if -LEEWAY_S <= at < 300 + LEEWAY_S:
        assert KEYS.verify(token, now=NOW + at) == CLAIMS
        return
    with pytest.raises(TokenError) as refused:
        KEYS.verify(token, now=NOW + at)
    assert refused.value.expired is (at > 0)


def test_a_link_opens_nothing_after_its_end() -> None:
    token = sign(replace(CLAIMS, link="stream-1"), KEY)
    assert KEYS.verify(token, now=NOW + 299.9).link == "stream-1"
    with pytest.raises(TokenError) as refused:
        KEYS.verify(token, now=NOW + 300)
    assert refused.value.expired


@given(st.data())
def test_a_token_with_any_character_changed_admits_nobody(data: st.DataObject) -> None:
    token = sign(CLAIMS, KEY)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCabc019-_.=%é "))
    changed = token[:at] + other + token[at + 1 :]
    try:
        assert KEYS.verify(changed, now=NOW) == CLAIMS
    except TokenError:
        return
    # The last character of a base64url text has bits that say nothing.
    assert changed.rpartition(".")[2][:-1] == token.rpartition(".")[2][:-1]


@given(st.text(max_size=200))
def test_garbage_admits_nobody(token: str) -> None:
    assert not is_admission_token(token)
    with pytest.raises(TokenError):
        KEYS.verify(token, now=NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "another"},
        {"aud": "another"},
        {"aud": ["pixelferry-relay"]},
        {"sid": 1},
        {"sid": ""},
        {"sub": None},
        {"own": None},
        {"vid": None},
        {"jti": None},
        {"role": "admin"},
        {"role": None},
        {"exp": None},
        {"exp": "2000000000"},
        {"exp": True},
        {"exp": 1e400},
        {"nbf": None},
        {"iat": None},
        {"link": 7},
        {"sub": "x" * 513},
    ],
)
def test_claims_that_do_not_fit_admit_nobody(changed: dict[str, Json]) -> None:
    assert KEYS.verify(with_claims(), now=NOW) == CLAIMS
    with pytest.raises(TokenError) as refused:
        KEYS.verify(with_claims(**changed), now=NOW)
    assert not refused.value.expired


def encoded(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode()


def test_a_key_signs_with_its_own_algorithm_alone() -> None:
    payload = json.dumps(CLAIMS.to_json())
    head = {"typ": "pixelferry-admission+jwt", "kid": "k1"}
    x = str(KEY.as_dict(private=False)["x"])
    by_secret = jws.serialize_compact({**head, "alg": "HS256"}, payload, OctKey.import_key(x), algorithms=["HS256"])
    by_curve = jws.serialize_compact(
        {**head, "alg": "ES256"}, payload, ECKey.generate_key("P-256"), algorithms=["ES256"]
    )
    unsigned = f"{encoded({**head, 'alg': 'none'})}.{encoded(CLAIMS.to_json())}."
    by_stranger = sign(CLAIMS, new_key())
    by_unknown = sign(CLAIMS, new_key("k2"))
    another_type = jws.serialize_compact(
        {"alg": "Ed25519", "kid": "k1", "typ": "JWT"}, payload, KEY, algorithms=["Ed25519"]
    )
    too_long = sign(replace(CLAIMS, subject="x" * LONGEST_TOKEN), KEY)
    for token in (by_secret, by_curve, unsigned, by_stranger, by_unknown, another_type, too_long):
        with pytest.raises(TokenError):
            KEYS.verify(token, now=NOW)


def test_a_head_that_names_another_key_or_asks_for_more_is_not_followed() -> None:
    stranger = new_key("k1")
    jwk = stranger.as_dict(private=False)
    for more in ({"jwk": jwk}, {"jku": "https://evil.example/"}, {"x5u": "https://evil.example/"}):
        head = {"alg": "Ed25519", "typ": "pixelferry-admission+jwt", "kid": "k1", **more}
        signed = f"{encoded(head)}.{encoded(CLAIMS.to_json())}"
        token = f"{signed}.{urlsafe_b64encode(_raw(stranger, signed)).decode()}"
        with pytest.raises(TokenError):
            KEYS.verify(token, now=NOW)
    unencoded = {"alg": "Ed25519", "typ": "pixelferry-admission+jwt", "kid": "k1", "crit": ["b64"], "b64": False}
    signed = f"{encoded(unencoded)}.{encoded(CLAIMS.to_json())}"
    with pytest.raises(TokenError):
        KEYS.verify(f"{signed}.{urlsafe_b64encode(_raw(KEY, signed)).decode()}", now=NOW)


def _raw(key: OKPKey, text: str) -> bytes:
    signature: bytes = key.private_key.sign(text.encode())  # type: ignore[union-attr]
    return signature


def test_payloads_that_are_no_object_admit_nobody() -> None:
    head = {"alg": "Ed25519", "typ": "pixelferry-admission+jwt", "kid": "k1"}
    for payload in ("[]", "null", "{", "[" * 5000, "\udcff".encode("utf-8", "surrogateescape")):
        with pytest.raises(TokenError):
            KEYS.verify(jws.serialize_compact(head, payload, KEY, algorithms=["Ed25519"]), now=NOW)


def test_keys_survive_their_json_form() -> None:
    key = public(KEY)
    assert AdmissionKey.from_json(json.loads(json.dumps(key.to_json()))) == key
    assert key.to_json()["kty"] == "OKP" and "d" not in key.to_json()


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"kty": "oct", "crv": "Ed25519", "kid": "a", "x": "A" * 43},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43},
        {"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": 1},
        {"kty": "OKP", "crv": "Ed25519", "kid": "", "x": "A" * 43},
        {"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "A" * 42},
    ],
)
def test_what_is_no_key_is_told(value: Json) -> None:
    with pytest.raises(ValueError, match="admission key"):
        AdmissionKey.from_json(value)


def test_a_claims_object_holds_what_the_contract_names() -> None:
    names = {"iss", "aud", "sid", "sub", "own", "vid", "role", "iat", "nbf", "exp", "jti"}
    assert set(CLAIMS.to_json()) == names
    assert set(replace(CLAIMS, link="s1").to_json()) == names | {"link"}
    assert isinstance(CLAIMS, AdmissionClaims)
