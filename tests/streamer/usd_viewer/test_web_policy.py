"""Which addresses of the web are asked for stages."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.usd_viewer.stage_policy import StageRefused
from streamer.usd_viewer.web_policy import BadOrigin, Origin, WebPolicy, is_public, is_web, shown_url, stage_suffix

POLICY = WebPolicy(
    tuple(
        map(
            Origin.parse, ("assets.example.com", "*.cdn.example", "http://plain.example:8080", "https://[2606:4700::1]")
        )
    )
)


@pytest.mark.parametrize(
    "url",
    [
        "https://assets.example.com/a/b.usdz",
        "https://assets.example.com:443/a.usd?sig=1#frag",
        "HTTPS://Assets.Example.COM/a.usd",
        "https://assets.example.com./a.usd",
        "https://one.cdn.example/a.usd",
        "https://two.one.cdn.example/a.usd",
        "http://plain.example:8080/a.usd",
        "https://[2606:4700::1]/a.usd",
    ],
)
def test_listed_origins_are_admitted(url: str) -> None:
    assert POLICY.admit(url).host


@pytest.mark.parametrize(
    "url",
    [
        "http://assets.example.com/a.usd",
        "https://assets.example.com:8443/a.usd",
        "https://assets.example.com.evil.example/a.usd",
        "https://evilassets.example.com/a.usd",
        "https://cdn.example/a.usd",
        "https://evilcdn.example/a.usd",
        "http://plain.example/a.usd",
        "https://user@assets.example.com/a.usd",
        "https://user:secret@assets.example.com/a.usd",
        "https://evil.example\\@assets.example.com/a.usd",
        "https://evil.example#@assets.example.com/a.usd",
        "https://assets.example.com@evil.example/a.usd",
        "https://assets.example.com /a.usd",
        "https://assets.example.com\t/a.usd",
        "https://assets.example.com:99999/a.usd",
        "https://assets.example.com:port/a.usd",
        "https:///a.usd",
        "https://",
        "https:assets.example.com/a.usd",
        "https://\u0430ssets.example.com/a.usd",
        "https://127.0.0.1/a.usd",
        "https://[::1/a.usd",
        "ftp://assets.example.com/a.usd",
        "file:///etc/passwd",
        "https://assets.example.com/" + "a" * 5000,
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(StageRefused):
        POLICY.admit(url)


def test_without_a_list_nothing_is_fetched_and_the_setting_is_named() -> None:
    with pytest.raises(StageRefused, match="PIXELFERRY_USD_HTTP_HOSTS"):
        WebPolicy().admit("https://assets.example.com/a.usd")


@pytest.mark.parametrize(
    "text",
    ["", "ftp://a", "https://", "a/b", "a?b", "u@a", "*", "*.*.a", "a:port", "https://a#b", "a b:c d", "http://*"],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(BadOrigin):
        Origin.parse(text)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.8.8.8",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:7f00:1::",
        "2001:db8::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "100::1",
        "5f00::1",
        "example.com",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "",
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_admitted(address: str) -> None:
    assert is_public(address)


@settings(deadline=None)
@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_judged_as_itself(address: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
    translated = ipaddress.IPv6Address(ipaddress.IPv6Address("64:ff9b::").packed[:12] + address.packed)
    assert is_public(str(mapped)) == is_public(str(translated)) == is_public(str(address))


@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_text_after_a_scheme_breaks_the_policy(text: str) -> None:
    try:
        url = POLICY.admit(f"https://{text}")
    except StageRefused as refused:
        assert refused.reason.isprintable()
    else:
        assert any(origin.covers(url) for origin in POLICY.origins)


def test_only_http_is_the_web() -> None:
    assert is_web("http://a") and is_web("HTTPS://a")
    assert not is_web("file:///a") and not is_web("http.usd") and not is_web("a/http://b.usd")


def test_a_url_is_shown_without_what_may_be_a_secret() -> None:
    assert shown_url("https://a.example/b.usd?signature=secret#more") == "https://a.example/b.usd"


def test_a_url_has_to_name_a_stage() -> None:
    assert stage_suffix(POLICY.admit("https://assets.example.com/a.USDZ?x=.txt")) == ".usdz"
    with pytest.raises(StageRefused, match="does not end in"):
        stage_suffix(POLICY.admit("https://assets.example.com/a.txt?x=.usdz"))
