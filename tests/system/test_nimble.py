"""From a script on boto3 to a picture: the address of a stream in Chromium, and at the relay once it has expired."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from broker.admission import AdmissionTokens
from signaling.tokens import AdmissionKeys
from tests.broker.api.nimble.clients import nimble_client
from tests.system.browser import Chromium, detail
from tests.system.ferry import Ferry, RelayedRoute, eventually, running_ferry

STUDIO = "us-west-2:stid-EXAMPLE11111"
SECRET = "a secret that broker and test share, of some length"


@pytest.fixture
def ferry(tmp_path: Path) -> Iterator[Ferry]:
    """One whose admission tokens the test can sign as well."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    with running_ferry(tmp_path, environment={"PIXELFERRY_ADMISSION__SECRET_FILE": str(secret)}) as running:
        yield running


def made_stream(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a stream, as a script comes by it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with nimble_client(ferry.url) as client:
        (profile, *_) = [
            found["launchProfileId"]
            for found in client.list_launch_profiles(studioId=STUDIO)["launchProfiles"]
            if found["name"] == "Test pattern"
        ]
        session = client.create_streaming_session(studioId=STUDIO, launchProfileId=profile)["session"]
        one = {"studioId": STUDIO, "sessionId": session["sessionId"]}
        waiter = client.get_waiter("streaming_session_ready")
        waiter.wait(**one, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        stream = client.create_streaming_session_stream(**one, expirationInSeconds=60)["stream"]
        named = {**one, "streamId": stream["streamId"]}
        client.get_waiter("streaming_session_stream_ready").wait(**named)
        return str(client.get_streaming_session_stream(**named)["stream"]["url"])


def in_fragment(url: str, name: str) -> str:
    return parse_qs(urlsplit(url).fragment)[name][0]


def expired(url: str) -> str:
    """The same address, of a minute and a second earlier."""
    then = time.time() - 61
    tokens = AdmissionTokens((SECRET.encode(),), token_s=60, clock=lambda: then)
    claims = AdmissionKeys(tokens.public_keys()).verify(in_fragment(url, "token"), now=time.time())
    assert claims.link is not None
    return url.replace(in_fragment(url, "token"), tokens.renewed(claims).token)


def knock(route: RelayedRoute, session_id: str, *tokens: str) -> int:
    """The code or status with which the relay refuses; 0 where it lets in."""
    words = [f"x-nv-sessionid.{session_id}", *(f"Authorization-Bearer.{token}" for token in tokens)]
    address = f"ws://{route.host}:{route.signaling_port}/session/{session_id}"
    try:
        with connect(address, subprotocols=[Subprotocol(word) for word in words], open_timeout=10) as socket:
            socket.recv(timeout=1)
    except InvalidStatus as refused:
        return refused.response.status_code
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else -1
    except TimeoutError:
        pass
    return 0


def test_a_script_gives_a_picture_to_whoever_opens_its_address_in_time(
    ferry: Ferry, chromium: Chromium, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = made_stream(ferry, monkeypatch)
    session_id = in_fragment(url, "session")
    tab = chromium.open(url)
    tab.page.wait_for_selector("body:is([data-view=live], [data-view=ended])", timeout=30_000)
    assert tab.page.get_attribute("body", "data-view") == "live", tab.page.inner_text("#ended")
    eventually(lambda: detail(tab.picture()) > 4, within_s=15, what="the test pattern")
    tab.screenshot("nimble-stream")
    assert re.fullmatch(rf"{re.escape(ferry.url)}/#session={session_id}", tab.page.url), "the token stays out of sight"
    assert in_fragment(url, "token") not in ferry.log()


def test_an_address_that_expired_opens_nothing(
    ferry: Ferry, chromium: Chromium, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = made_stream(ferry, monkeypatch)
    session_id, old = in_fragment(url, "session"), expired(url)
    route = ferry.route(ferry.call("GET", f"/stream/{session_id}").json)
    assert knock(route, session_id) in (403, 4003)
    assert knock(route, session_id, in_fragment(old, "token")) in (403, 4003)
    tab = chromium.open(old)
    tab.page.wait_for_selector("body[data-view=ended]", timeout=30_000)
    expect(tab.page.locator("#ended")).to_contain_text("You are not let in")
    tab.screenshot("nimble-expired")
    assert tab.frames == []
    assert knock(route, session_id, in_fragment(url, "token")) == 0
