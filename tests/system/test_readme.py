"""What the README shows works as it stands there."""

import re
from pathlib import Path

from tests.system.browser import Chromium, difference
from tests.system.ferry import Ferry, eventually, running_ferry
from tests.system.page_server import serving

README = Path(__file__).parents[2] / "README.md"


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)
    return str(found)


def test_embedded_viewer_plays_in_a_page_of_another_origin(ferry: Ferry, chromium: Chromium, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.html").write_text(block("html").replace("http://127.0.0.1:8080", ferry.url))
    with serving(pages) as url:
        tab = chromium.open(url)
        eventually(lambda: tab.frames_decoded() >= 30, within_s=30, what="decoded frames")
    (session_id,) = ferry.listed()
    route = ferry.route(ferry.call("GET", f"/stream/{session_id}").json)
    assert tab.selected_remotes() == {(route.host, route.media_port)}


def test_function_that_returns_pictures_is_streamed_to_the_page(chromium: Chromium, tmp_path: Path) -> None:
    program, catalog = tmp_path / "my_application.py", tmp_path / "my-catalog.toml"
    program.write_text(block("python"))
    catalog.write_text(block("toml").replace("/path/to/my_application.py", str(program)))
    with running_ferry(tmp_path / "ferry", "--catalog", str(catalog)) as ferry:
        tab = chromium.open(ferry.url)
        tab.page.get_by_role("button", name="Start my-application").click()
        eventually(lambda: tab.frames_decoded() >= 30, within_s=30, what="decoded frames")
        first = tab.picture()
        assert max(first) - min(first) > 40, "the picture is plain"
        eventually(lambda: difference(first, tab.picture()) > 4, within_s=10, what="a picture that moves")
        tab.screenshot("readme-application")
