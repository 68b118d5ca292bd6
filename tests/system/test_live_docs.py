"""Live documentation in a real browser: everything comes from the broker, and its forms work."""

import pytest

from tests.system.browser import Chromium
from tests.system.ferry import Ferry


@pytest.mark.parametrize(
    ("base", "headings"), [("streaming", {"Streams", "Events"}), ("applications", {"Applications"})]
)
def test_the_page_shows_all_operations_and_asks_nobody_else(
    ferry: Ferry, chromium: Chromium, base: str, headings: set[str]
) -> None:
    asked: list[str] = []
    tab = chromium.open(f"{ferry.url}/healthz")
    tab.page.on("request", lambda request: asked.append(request.url))
    tab.page.goto(f"{ferry.url}/{base}/docs")
    tab.page.wait_for_selector(".opblock")
    assert headings <= set(tab.page.locator(".opblock-tag a").all_inner_texts())
    assert len(asked) >= 5
    assert all(url.startswith((ferry.url, "data:")) for url in asked), asked
    assert not tab.console, "something was refused by the page's policy"


def test_a_stream_is_made_seen_and_deleted_by_trying_it_out(ferry: Ferry, chromium: Chromium) -> None:
    tab = chromium.open(f"{ferry.url}/streaming/docs")

    def execute(operation: str, fill: dict[str, str]) -> str:
        """Open an operation's form, fill it in, press Execute; the status that comes back."""
        form = tab.page.locator(f"[id$='-{operation}']")
        form.locator(".opblock-summary-control").click()
        for name, value in fill.items():
            form.locator(f"tr[data-param-name='{name}'] input").fill(value)
        form.get_by_role("button", name="Execute").click()
        status = form.locator(".live-responses-table tbody .response-col_status")
        status.wait_for(timeout=30_000)
        return status.inner_text().split()[0]

    assert execute("createStream", {"Prefer": "wait=30"}) == "200"
    (session_id,) = ferry.listed()
    assert execute("getStream", {"id": session_id}) == "200"
    assert execute("deleteStream", {"id": session_id}) == "204"
    assert ferry.listed() == []
    assert not tab.console
