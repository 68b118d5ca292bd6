"""The main job on real parts: the viewer page in Chromium, through the relay, to both applications."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.system.browser import WHOLE, Chromium, Tab, detail, difference
from tests.system.ferry import Backend, Ferry, eventually, running_ferry

# The loudest sample of what the page's element was given, since it is listened to.
LISTEN = """
() => {
  const context = new AudioContext();
  const ear = context.createAnalyser();
  context.createMediaStreamSource(document.querySelector("video").srcObject).connect(ear);
  const heard = new Float32Array(ear.fftSize);
  window.loudest = 0;
  setInterval(() => {
    ear.getFloatTimeDomainData(heard);
    window.loudest = Math.max(window.loudest, ...heard.map(Math.abs));
  }, 10);
}
"""
LOUDNESS = "window.loudest"

NAMES = {"test-pattern": "Test pattern", "usd-viewer": "USD viewer"}
# Where the test pattern writes wheel and key: the one part of it that only input changes.
INPUT_LINES = (0.07, 0.485, 0.57, 0.59)
# Where the USD viewer writes that a stage cannot be opened; the bar that tells of loading runs below.
CAPTION = (0.3, 0.45, 0.7, 0.49)
SHORT_GRACE = """
[applications.test-pattern]
name = "Test pattern"
[applications.test-pattern.versions."1.0.0"]
[profiles.default]
applications = [{ id = "test-pattern" }]
command = ["pixelferry", "streamer", "{application}"]
slots = 1
[profiles.default.clocks]
reconnect_grace_s = 2
"""


def start(chromium: Chromium, ferry: Ferry, application: str, *, stage: str | None = None) -> tuple[Tab, str]:
    """The page as a user works it; returns it with the session's id, the picture running."""
    tab = chromium.open(ferry.url)
    card = tab.page.locator("#applications li").filter(has=tab.page.get_by_role("heading", name=NAMES[application]))
    if stage is not None:
        card.get_by_label("Stage").fill(stage)
    card.get_by_role("button", name=f"Start {NAMES[application]}").click()
    tab.page.wait_for_selector("body:is([data-view=live], [data-view=ended])", timeout=30_000)
    assert view(tab) == "live", tab.page.inner_text("#ended")
    session_id = re.search(r"session=([0-9a-f-]{36})", tab.page.url)
    assert session_id, tab.page.url
    return tab, session_id[1]


def view(tab: Tab) -> str | None:
    return tab.page.get_attribute("body", "data-view")


def await_stage(tab: Tab) -> None:
    """Until the stage stands where a bar over an empty backdrop told that it was loading."""
    eventually(lambda: detail(tab.picture()) > 4, within_s=30, what="a picture of the stage")


def await_rest(tab: Tab, part: tuple[float, float, float, float]) -> list[float]:
    """A picture that stays as it is for half a second: what changes it later is input."""

    def at_rest() -> list[float] | None:
        before = tab.picture(part)
        tab.page.wait_for_timeout(500)
        return before if difference(before, tab.picture(part)) < 1 else None

    return eventually(at_rest, within_s=15, what="a picture at rest")


def assert_changed_by_input(tab: Tab, application: str) -> None:
    part = INPUT_LINES if application == "test-pattern" else WHOLE
    still = await_rest(tab, part)
    box = tab.page.locator("video").bounding_box()
    assert box
    tab.page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.6, steps=8)
    tab.page.mouse.up()
    tab.page.mouse.wheel(0, 200)
    tab.page.keyboard.press("k")
    eventually(lambda: difference(still, tab.picture(part)) > 4, within_s=10, what="a change of the picture by input")


def assert_media_goes_by_the_relay_alone(tab: Tab, ferry: Ferry, session_id: str, backend: Backend) -> None:
    route = ferry.route(ferry.call("GET", f"/stream/{session_id}").json)
    assert tab.selected_remotes() == {(route.host, route.media_port)}
    viewers = backend.status()["viewers"]
    assert isinstance(viewers, list)
    sources = {str(source) for viewer in viewers if isinstance(viewer, dict) for source in list_of(viewer["remotes"])}
    assert sources and sources <= {f"{host}:{port}" for host, port in ferry.relay_ports()}


def assert_backend_stays_unnamed(tab: Tab, ferry: Ferry, session_id: str, backend: Backend) -> None:
    everything = "\n".join(tab.received + tab.frames)
    assert backend.host not in everything
    frames = "\n".join(tab.frames)
    assert "candidate" in frames, "no signaling was recorded"
    route = ferry.route(ferry.call("GET", f"/stream/{session_id}").json)
    for port in backend.ports:
        assert not re.search(rf"\b{port}\b", frames)
        assert port in route.destination_ports or not re.search(rf"\b{port}\b", everything)


def list_of(value: object) -> list[object]:
    assert isinstance(value, list), value
    return value


@pytest.mark.parametrize("application", NAMES)
def test_application_is_started_watched_steered_and_ended_in_a_browser(
    ferry: Ferry, chromium: Chromium, application: str
) -> None:
    idle_descriptors = ferry.open_descriptors()
    tab, session_id = start(chromium, ferry, application)
    assert ferry.listed() == [session_id]
    (backend,) = ferry.backends()

    eventually(lambda: tab.frames_decoded() >= 50, within_s=30, what="50 decoded frames")
    if application == "usd-viewer":
        await_stage(tab)
    assert_changed_by_input(tab, application)
    tab.screenshot(application)
    assert_media_goes_by_the_relay_alone(tab, ferry, session_id, backend)
    assert_backend_stays_unnamed(tab, ferry, session_id, backend)

    tab.page.get_by_role("button", name="End").click()
    expect(tab.page.locator("body")).to_have_attribute("data-view", "start")
    assert ferry.listed() == []
    assert ferry.call("GET", f"/stream/{session_id}").status == 404
    assert_all_returned(ferry, backend, idle_descriptors)
    assert not tab.console


def assert_all_returned(ferry: Ferry, backend: Backend, idle_descriptors: int) -> None:
    eventually(lambda: not ferry.descendants(), within_s=10, what="the backend's end")
    eventually(lambda: not backend.process.is_running(), within_s=10, what="the backend's end")
    eventually(lambda: ferry.open_descriptors() <= idle_descriptors, within_s=10, what="closed descriptors")
    eventually(lambda: not ferry.relay_ports(), within_s=5, what="closed relay ports")


def test_two_sessions_run_side_by_side_and_end_apart(ferry: Ferry, chromium: Chromium) -> None:
    first, first_id = start(chromium, ferry, "usd-viewer")
    second, second_id = start(chromium, ferry, "test-pattern")
    assert ferry.listed() == [first_id, second_id]
    eventually(lambda: first.frames_decoded() >= 100, within_s=30, what="100 decoded frames")
    eventually(lambda: second.frames_decoded() >= 100, within_s=30, what="100 decoded frames")
    assert first.selected_remotes().isdisjoint(second.selected_remotes())
    await_stage(first)
    first.screenshot("side-by-side-usd-viewer")
    second.screenshot("side-by-side-test-pattern")

    second.page.get_by_role("button", name="End").click()
    expect(second.page.locator("body")).to_have_attribute("data-view", "start")
    assert ferry.listed() == [first_id]
    before = first.frames_decoded()
    eventually(lambda: first.frames_decoded() > before + 30, within_s=15, what="the other session's picture")


def test_sound_is_heard_once_its_button_was_pressed(ferry: Ferry, chromium: Chromium) -> None:
    tab, _ = start(chromium, ferry, "test-pattern")
    button = tab.page.get_by_role("button", name="Sound")
    expect(button).to_have_attribute("aria-pressed", "false")
    assert tab.page.evaluate("document.querySelector('video').muted")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    tab.page.evaluate(LISTEN)
    eventually(lambda: float(tab.page.evaluate(LOUDNESS)) > 0.01, within_s=15, what="a beep")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert tab.page.evaluate("document.querySelector('video').muted")
    tab.page.get_by_role("button", name="End").click()


def test_reload_finds_the_same_session_again(ferry: Ferry, chromium: Chromium) -> None:
    tab, session_id = start(chromium, ferry, "test-pattern")
    (backend,) = ferry.backends()
    tab.page.reload()
    expect(tab.page.locator("body")).to_have_attribute("data-view", "live", timeout=20_000)
    eventually(lambda: tab.frames_decoded() >= 30, within_s=20, what="decoded frames")
    assert ferry.listed() == [session_id]
    assert [other.process.pid for other in ferry.backends()] == [backend.process.pid]


def test_stage_that_is_missing_is_told_to_the_viewer_and_the_session_stays(ferry: Ferry, chromium: Chromium) -> None:
    tab, session_id = start(chromium, ferry, "usd-viewer", stage="nowhere/missing.usda")
    notices = tab.page.locator("#notices")
    expect(notices).to_contain_text("nowhere/missing.usda", timeout=15_000)
    eventually(lambda: detail(tab.picture(CAPTION)) > 4, within_s=15, what="a picture that says so")
    tab.screenshot("missing-stage")
    assert ferry.call("GET", f"/stream/{session_id}").status == 200
    assert "nowhere/missing.usda" in ferry.log()


def test_backend_that_is_killed_ends_its_session_with_the_reason(ferry: Ferry, chromium: Chromium) -> None:
    idle_descriptors = ferry.open_descriptors()
    tab, session_id = start(chromium, ferry, "test-pattern")
    (backend,) = ferry.backends()
    backend.process.kill()
    expect(tab.page.locator("body")).to_have_attribute("data-view", "ended", timeout=20_000)
    expect(tab.page.locator("#end-text")).to_contain_text("killed by SIGKILL")
    ended = eventually(lambda: gone(ferry, session_id), within_s=10, what="the session's end")
    assert ended == "backend_failed"
    assert ferry.listed() == []
    tab.screenshot("backend-killed")
    assert_all_returned(ferry, backend, idle_descriptors)


def test_browser_that_is_killed_ends_its_session_after_the_grace(tmp_path: Path, chromium: Chromium) -> None:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(SHORT_GRACE)
    with running_ferry(tmp_path / "ferry", "--catalog", str(catalog)) as ferry:
        idle_descriptors = ferry.open_descriptors()
        tab, session_id = start(chromium, ferry, "test-pattern")
        eventually(lambda: tab.frames_decoded() > 10, within_s=20, what="decoded frames")
        (backend,) = ferry.backends()
        chromium.kill()
        # Authenticated media counts as presence for 15 s, then the grace runs.
        ended = eventually(lambda: gone(ferry, session_id), within_s=45, what="the session's end")
        assert ended == "disconnected"
        assert_all_returned(ferry, backend, idle_descriptors)
        assert ferry.start_session("test-pattern")["id"], "the slot was not returned"


def gone(ferry: Ferry, session_id: str) -> str | None:
    answer = ferry.call("GET", f"/stream/{session_id}")
    return str(answer.json["end_reason"]) if answer.status == 410 else None
