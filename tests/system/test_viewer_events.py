"""What the viewer page tells of a session while it waits and before it ends, as the broker's events have it."""

from pathlib import Path

from playwright.sync_api import expect

from tests.system.browser import Chromium, Tab
from tests.system.ferry import Ferry, running_ferry

CATALOG = """
[applications.test-pattern]
name = "Test pattern"
[applications.test-pattern.versions."1.0.0"]
[profiles.default]
applications = [{ id = "test-pattern" }]
command = ["pixelferry", "streamer", "{application}"]
slots = 1
[profiles.default.clocks]
idle_s = 9
warn_s = 6
extend_s = 20
extend_most_s = 20
"""


def start(chromium: Chromium, ferry: Ferry) -> Tab:
    tab = chromium.open(ferry.url)
    tab.page.get_by_role("button", name="Start Test pattern").click()
    return tab


def test_who_waits_is_told_its_place_and_who_is_idle_is_warned_may_stay_and_learns_why_it_ended(
    tmp_path: Path, chromium: Chromium
) -> None:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(CATALOG)
    with running_ferry(tmp_path, "--catalog", str(catalog)) as ferry:
        first = start(chromium, ferry)
        first.page.wait_for_selector("body[data-view=live]", timeout=30_000)
        second = start(chromium, ferry)
        expect(second.page.locator("#phase")).to_have_text("Every place is taken. You are next.", timeout=15_000)
        warning = first.page.locator("#warning")
        expect(warning).to_contain_text("Are you still there? Without input the session ends in", timeout=20_000)
        warning.get_by_role("button", name="Stay").click()
        expect(warning).to_be_hidden()
        assert first.page.get_attribute("body", "data-view") == "live"
        expect(warning).to_be_visible(timeout=30_000)
        expect(warning.get_by_role("button", name="Stay")).to_be_hidden()
        first.page.wait_for_selector("body[data-view=ended]", timeout=20_000)
        expect(first.page.locator("#end-text")).to_have_text("No input came for 9 s")
        second.page.wait_for_selector("body[data-view=live]", timeout=30_000)
        polls = [text for text in second.received if '"phase": "queued"' in text]
        assert len(polls) < 4, "it listens instead of asking"
