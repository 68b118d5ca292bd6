"""The operator's page in Chromium, identity on: who may see it, what it shows, and that it ends sessions."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.system.browser import Chromium, Tab
from tests.system.ferry import Ferry, running_ferry

ADMIN, USER = "pfk_" + "a" * 43, "pfk_" + "u" * 43
SETTINGS = f"""
[identity.keys]
root = {{ sha256 = "{hashlib.sha256(ADMIN.encode()).hexdigest()}", role = "admin" }}
ada = {{ sha256 = "{hashlib.sha256(USER.encode()).hexdigest()}", role = "user" }}
"""


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Ferry]:
    settings = tmp_path / "settings.toml"
    settings.write_text(SETTINGS)
    with running_ferry(tmp_path, "--config", str(settings)) as running:
        yield running


def sign_in(tab: Tab, key: str) -> None:
    tab.page.get_by_label("Token or key").fill(key)
    tab.page.keyboard.press("Enter")


def start(ferry: Ferry, key: str) -> str:
    headers = {"Authorization": f"Bearer {key}", "Prefer": "wait=30"}
    answer = ferry.call("POST", "/stream", {"id": "test-pattern", "profile": "default"}, headers)
    assert answer.status == 200, answer
    return str(answer.json["id"])


def test_an_operator_signs_in_sees_sessions_come_and_ends_one_by_keyboard(guarded: Ferry, chromium: Chromium) -> None:
    tab = chromium.open(guarded.url + "/operator")
    page = tab.page
    sign_in(tab, USER)
    expect(page.get_by_role("alert")).to_have_text("You do not have permission to access this resource.")
    sign_in(tab, ADMIN)
    expect(page.get_by_text("There is no session.")).to_be_visible()
    session_id = start(guarded, USER)
    row = page.locator("#sessions tbody tr")
    expect(row).to_contain_text("ada")
    expect(row).to_contain_text("never connected")
    expect(page.locator("#tiles")).to_contain_text("1 of 100")
    page.get_by_label("Filter").fill("nobody")
    expect(row).to_have_count(0)
    page.get_by_label("Filter").fill("ada ready")
    page.get_by_role("button", name=f"End session {session_id[:8]} of ada").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(session_id)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert guarded.call("GET", f"/stream/{session_id}", headers={"Authorization": f"Bearer {USER}"}).status == 200
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="End it").click()
    expect(row).to_have_count(0)
    expect(page.locator("#chart-ended .legend")).to_have_text("deleted 1")
    page.get_by_role("button", name="Forget token").click()
    expect(page.get_by_label("Token or key")).to_be_focused()
    assert ADMIN not in page.content() and page.evaluate("localStorage.length + sessionStorage.length") == 0
    assert not [text for text in tab.console if "401" not in text and "403" not in text], tab.console


def test_it_fits_a_phone_and_lets_no_page_hold_it_in_a_frame(ferry: Ferry, chromium: Chromium) -> None:
    start_answer = ferry.start_session("test-pattern")
    tab = chromium.open(ferry.url + "/operator")
    tab.page.set_viewport_size({"width": 390, "height": 844})
    expect(tab.page.locator("#sessions tbody tr")).to_contain_text(str(start_answer["id"])[:8])
    assert tab.page.evaluate("document.documentElement.scrollWidth") == 390
    policy = ferry.call("GET", "/operator").headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert tab.console == []
