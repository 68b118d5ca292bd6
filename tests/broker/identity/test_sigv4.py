"""Signatures: what botocore signs is accepted; whatever is changed after that is refused."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from broker.identity.sigv4 import (
    SKEW_S,
    BadSignature,
    SignatureFault,
    SignedRequest,
    canonical_path,
    canonical_query,
    check,
    claimed,
)

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
HOST = "http://127.0.0.1:8080"
PATH = "/2020-08-01/studios/us-west-2%3Astid-1/streaming-sessions"


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it comes over the wire."""

    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes

    @property
    def request(self) -> SignedRequest:
        return SignedRequest(self.method, self.target, self.headers)

    @property
    def at(self) -> float:
        stamp = datetime.strptime(self.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
        return stamp.replace(tzinfo=UTC).timestamp()

    def verify(self, *, secret: str = SECRET, now: float | None = None, service: str = "nimble") -> str:
        """As a broker does that knows one key; the key's id."""
        claim = claimed(self.request, service=service, now=self.at if now is None else now)
        if claim.key_id != KEY:
            raise BadSignature(SignatureFault.UNKNOWN_KEY, "unknown")
        check(claim, self.request, self.body, secret)
        return claim.key_id


def signed(
    method: str = "GET",
    target: str = PATH,
    *,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    service: str = "nimble",
    region: str = "us-west-2",
    token: str | None = None,
) -> Signed:
    """Signed by botocore."""
    request = AWSRequest(method=method, url=HOST + target, data=body, headers=headers or {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        SigV4Auth(Credentials(KEY, SECRET, token), service, region).add_auth(request)
    found = CIMultiDict({"Host": "127.0.0.1:8080", **dict(request.headers.items())})
    return Signed(method, target, found, body)


def refused(request: Signed, **how: object) -> BadSignature:
    with pytest.raises(BadSignature) as caught:
        request.verify(**how)  # type: ignore[arg-type]
    return caught.value


WORD = st.text(min_size=1, max_size=12)
QUERIES = st.lists(st.tuples(WORD, st.text(max_size=12)), max_size=5).map(
    lambda pairs: "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
)
SEGMENTS = st.lists(WORD.map(lambda word: quote(word, safe="-_.~")), min_size=1, max_size=6)
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "X-Amz-Client-Token", "amz-sdk-request", "x-other"]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20),
)


@settings(deadline=None)
@given(st.sampled_from(["GET", "POST", "DELETE"]), SEGMENTS, QUERIES, HEADERS, st.binary(max_size=40))
def test_what_botocore_signs_is_accepted(
    method: str, segments: list[str], query: str, headers: dict[str, str], body: bytes
) -> None:
    target = "/" + "/".join(segments) + (f"?{query}" if query else "")
    assert signed(method, target, headers=headers, body=body).verify() == KEY


@settings(deadline=None)
@given(st.data())
def test_what_is_changed_after_it_was_signed_is_refused(data: st.DataObject) -> None:
    whole = signed("POST", f"{PATH}?a=1", body=b'{"a": 1}', headers={"X-Amz-Client-Token": "t-1"})
    part = data.draw(st.sampled_from(["method", "target", "body", "Host", "X-Amz-Client-Token", "Authorization"]))
    if part == "method":
        changed = Signed("PUT", whole.target, whole.headers, whole.body)
    elif part == "target":
        changed = Signed(whole.method, flipped(data, whole.target), whole.headers, whole.body)
    elif part == "body":
        content = bytearray(whole.body)
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        changed = Signed(whole.method, whole.target, whole.headers, bytes(content))
    else:
        headers = CIMultiDict(whole.headers)
        headers[part] = flipped(data, headers[part])
        changed = Signed(whole.method, whole.target, headers, whole.body)
    refused(changed, now=whole.at)


def flipped(data: st.DataObject, text: str) -> str:
    """One character is another one, which no reading of blanks or slashes takes for the same."""
    place = data.draw(st.integers(0, len(text) - 1).filter(lambda at: text[at].isalnum()))
    other = data.draw(st.sampled_from("xY07").filter(lambda character: character != text[place]))
    return text[:place] + other + text[place + 1 :]


def test_a_wrong_secret_is_refused() -> None:
    assert refused(signed(), secret=SECRET + "x").fault is SignatureFault.INVALID


def test_any_region_is_as_good_as_another_but_not_any_service() -> None:
    assert signed(region="local").verify() == KEY
    error = refused(signed(service="s3"))
    assert error.fault is SignatureFault.INVALID and "correct service" in str(error)


@pytest.mark.parametrize("skew_s", [-SKEW_S, 0, SKEW_S])
def test_a_clock_may_be_a_quarter_of_an_hour_off(skew_s: float) -> None:
    request = signed()
    assert request.verify(now=request.at + skew_s) == KEY


@pytest.mark.parametrize(("skew_s", "text"), [(SKEW_S + 1, "expired"), (-SKEW_S - 1, "not yet current")])
def test_a_clock_that_is_further_off_is_told(skew_s: float, text: str) -> None:
    request = signed()
    error = refused(request, now=request.at + skew_s)
    assert error.fault is SignatureFault.INVALID and text in str(error)


def test_who_presents_nothing_is_told_so() -> None:
    request = signed()
    del request.headers["Authorization"]
    error = refused(request)
    assert error.fault is SignatureFault.MISSING and not error.presented


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer pfk_1",
        "Basic bG9jYWw6bG9jYWw=",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a",
        "AWS4-ECDSA-P256-SHA256 Credential=a/20260101/r/nimble/aws4_request, SignedHeaders=host, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=a/20260101/r/nimble/aws3_request, SignedHeaders=host, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=a b/20260101/r/nimble/aws4_request, SignedHeaders=host, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=a/20260101/r/nimble/aws4_request, SignedHeaders=Host, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=a/20260101/r/nimble/aws4_request, SignedHeaders=x;host, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=a/20260101/r/nimble/aws4_request, SignedHeaders=host, Signature=" + "g" * 64,
        "AWS4-HMAC-SHA256 Credential=a/20260101/r/nimble/aws4_request, SignedHeaders=host, Signature=ü",
    ],
)
def test_an_authorization_that_is_none_is_refused(authorization: str) -> None:
    request = signed()
    at = request.at
    request.headers["Authorization"] = authorization
    assert refused(request, now=at).fault is SignatureFault.INCOMPLETE


@pytest.mark.parametrize("date", ["", "20260101", "20261301T000000Z", "2026-01-01T00:00:00Z"])
def test_a_date_that_is_none_is_refused(date: str) -> None:
    request = signed()
    at = request.at
    request.headers["X-Amz-Date"] = date
    assert refused(request, now=at).fault in (SignatureFault.INCOMPLETE, SignatureFault.INVALID)


def test_a_date_that_is_none_on_the_credentials_own_day_is_refused() -> None:
    request = signed()
    at, day = request.at, request.headers["X-Amz-Date"][:8]
    request.headers["X-Amz-Date"] = f"{day}T256199Z"
    assert refused(request, now=at).fault is SignatureFault.INCOMPLETE


def test_two_authorizations_are_none() -> None:
    request = signed()
    request.headers.add("Authorization", request.headers["Authorization"])
    assert refused(request).fault is SignatureFault.INCOMPLETE


def test_what_decides_on_the_meaning_has_to_be_signed() -> None:
    request = signed()
    request.headers["X-Amz-Client-Token"] = "added on the way"
    assert "must be signed: x-amz-client-token" in str(refused(request))


def test_a_payload_has_to_be_signed() -> None:
    request = signed("POST", body=b"{}", headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    assert "payload must be signed" in str(refused(request))


def test_a_payload_hash_that_is_sent_has_to_be_the_bodys() -> None:
    claimed_hash = "0" * 64
    assert "not the SHA-256" in str(refused(signed("POST", body=b"{}", headers={"X-Amz-Content-SHA256": claimed_hash})))


def test_temporary_credentials_are_refused_by_name() -> None:
    error = refused(signed(token="FwoGZXIvYXdz"))
    assert error.fault is SignatureFault.UNKNOWN_KEY and "temporary credentials" in str(error)


def test_presigned_addresses_are_refused() -> None:
    request = AWSRequest(method="GET", url=HOST + PATH)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        SigV4QueryAuth(Credentials(KEY, SECRET), "nimble", "us-west-2").add_auth(request)
    target = str(request.url).removeprefix(HOST)
    error = refused(Signed("GET", target, CIMultiDict({"Host": "127.0.0.1:8080"}), b""), now=0)
    assert error.fault is SignatureFault.INCOMPLETE and "query" in str(error)


def test_the_path_is_escaped_once_more_and_its_dots_are_resolved() -> None:
    assert canonical_path("/studios/us-west-2%3Astid-1") == "/studios/us-west-2%253Astid-1"
    assert canonical_path("/a//b/./c/../d/") == "/a/b/d/"
    assert canonical_path("/../..") == "/" == canonical_path("") == canonical_path("//")


def test_the_query_is_ordered_by_its_raw_pairs() -> None:
    assert canonical_query("b=2&a=%2F&a=1&c") == "a=%2F&a=1&b=2&c="
    assert canonical_query("") == ""


@settings(deadline=None)
@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=80))
def test_any_head_is_judged(authorization: str, date: str, target: str) -> None:
    headers = CIMultiDict({"Host": "h", "Authorization": authorization, "X-Amz-Date": date})
    with pytest.raises(BadSignature):
        claim = claimed(SignedRequest("GET", target, headers), service="nimble", now=0)
        check(claim, SignedRequest("GET", target, headers), b"", SECRET)
