"""Identity on real parts: a key makes a session, its token in a link brings the picture, and nothing else does."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from broker.identity.keys import digest_of, new_key
from tests.system.browser import ARTIFACTS, Chromium
from tests.system.ferry import Ferry, JsonObject, eventually, running_ferry

KEY = new_key()
BEARER = {"Authorization": f"Bearer {KEY}"}
DIAL = """([url, protocols]) => new Promise((resolve) => {
    const socket = new WebSocket(url, protocols);
    socket.onclose = ({code, reason}) => resolve([code, reason]);
    socket.onmessage = () => resolve([0, "let in"]);
})"""


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Ferry]:
    keys = json.dumps({"ann": {"sha256": digest_of(KEY)}})
    with running_ferry(tmp_path / "ferry", environment={"PIXELFERRY_IDENTITY__KEYS": keys}) as ferry:
        yield ferry


def started(ferry: Ferry) -> JsonObject:
    body = {"id": "test-pattern", "profile": "default"}
    answer = ferry.call("POST", "/stream", body, {**BEARER, "Prefer": "wait=30"})
    assert answer.status == 200, answer
    return answer.json


def test_a_link_with_a_token_brings_the_picture_and_keeps_the_token_to_itself(
    guarded: Ferry, chromium: Chromium
) -> None:
    assert guarded.call("POST", "/stream", {"id": "test-pattern", "profile": "default"}).status == 401
    session = started(guarded)
    token = str(session["token"])
    tab = chromium.open(f"{guarded.url}/#session={session['id']}&token={token}")
    tab.page.wait_for_selector("body:is([data-view=live], [data-view=ended])", timeout=30_000)
    assert tab.page.get_attribute("body", "data-view") == "live", tab.page.inner_text("#ended")
    eventually(lambda: max(tab.picture()) - min(tab.picture()) > 60, within_s=10, what="a picture")
    ARTIFACTS.mkdir(exist_ok=True)
    tab.page.screenshot(path=ARTIFACTS / "identity-live.png")
    assert tab.page.url == f"{guarded.url}/#session={session['id']}"
    assert token not in tab.page.evaluate(
        "JSON.stringify([localStorage, sessionStorage, document.cookie, history.state])"
    )
    tab.page.get_by_role("button", name="End").click()
    expect(tab.page.locator("#ended-heading")).to_have_text("You left the stream")
    assert guarded.call("GET", f"/stream/{session['id']}", headers=BEARER).status == 200
    assert token not in guarded.log() and KEY not in guarded.log()


def test_without_a_token_the_page_says_so_and_the_relay_closes_with_4003(guarded: Ferry, chromium: Chromium) -> None:
    session = started(guarded)
    tab = chromium.open(f"{guarded.url}/#session={session['id']}")
    expect(tab.page.locator("#ended-heading")).to_have_text("You are not let in")
    tab.page.screenshot(path=ARTIFACTS / "identity-refused.png")
    route = guarded.route(session)
    url = f"ws://{route.host}:{route.signaling_port}/session/{session['id']}"
    protocol = f"x-nv-sessionid.{session['id']}"
    other = str(started(guarded)["token"])
    for protocols, reason in (
        ([protocol], "no_token"),
        ([protocol, "Authorization-Bearer.a.b.c"], "bad_token"),
        ([protocol, f"Authorization-Bearer.{other}"], "bad_token"),
    ):
        code, told = tab.page.evaluate(DIAL, [url, protocols])
        assert code == 4003 and told.startswith(f"{reason}: ")
    good = [protocol, f"Authorization-Bearer.{session['token']}"]
    assert tab.page.evaluate(DIAL, [url, good]) == [0, "let in"]


def test_a_viewers_token_watches_and_does_not_steer(guarded: Ferry, chromium: Chromium) -> None:
    session = started(guarded)
    issued = guarded.call("POST", f"/stream/{session['id']}/token", {"role": "viewer"}, BEARER)
    tab = chromium.open(f"{guarded.url}/#session={session['id']}&token={issued.json['token']}")
    tab.page.wait_for_selector("body[data-view=live]", timeout=30_000)
    hello = next(frame for frame in tab.frames if '"hello"' in frame)
    assert json.loads(hello)["role"] == "viewer"


def test_a_key_signs_in_on_the_page_and_stays_in_its_memory(guarded: Ferry, chromium: Chromium) -> None:
    tab = chromium.open(guarded.url)
    expect(tab.page.locator("#start-error")).to_have_text("This server wants to know who you are.")
    tab.page.screenshot(path=ARTIFACTS / "identity-sign-in.png")
    assert "-H 'Authorization: Bearer <key or token>'" in guarded.log()
    tab.page.get_by_label("Key or token").fill("pfk_wrong")
    tab.page.get_by_role("button", name="Sign in").click()
    expect(tab.page.locator("#start-error")).to_have_text("This API key is not known here.")
    tab.page.get_by_label("Key or token").fill(KEY)
    tab.page.get_by_role("button", name="Sign in").click()
    tab.page.get_by_role("button", name="Start Test pattern").click()
    tab.page.wait_for_selector("body[data-view=live]", timeout=30_000)
    assert KEY not in tab.page.evaluate(
        "JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])"
    )
    tab.page.get_by_role("button", name="End").click()
    tab.page.wait_for_selector("body[data-view=start]")
    listed = guarded.call("GET", "/stream", headers=BEARER)
    assert listed.json["items"] == []
