"""The examples, started as their catalog says and watched in the viewer page."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.absence import absent
from tests.system.browser import Chromium, Tab, detail, difference
from tests.system.ferry import Ferry, eventually, running_ferry

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = sorted(path.stem for path in EXAMPLES.glob("*.py"))
GSTREAMER = "import gi, websockets; gi.require_version('GstWebRTC', '1.0'); from gi.repository import GstWebRTC"
STILL = {"pyvista_scene", "x11_window"}


@pytest.fixture
def ferry(tmp_path: Path) -> Iterator[Ferry]:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text((EXAMPLES / "catalog.toml").read_text().replace("examples/", f"{EXAMPLES}/"))
    with running_ferry(tmp_path / "ferry", "--catalog", str(catalog)) as running:
        yield running


def require_what_it_needs(name: str) -> None:
    if name == "gstreamer_pipeline" and subprocess.run(["/usr/bin/python3", "-c", GSTREAMER], check=False).returncode:
        absent("GStreamer with bindings and websockets for the system's Python")
    if name == "x11_window" and not (shutil.which("Xvfb") and shutil.which("xeyes")):
        absent("Xvfb with xeyes")


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_is_short(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 60


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_streams_what_moves_by_itself_or_by_the_pointer(name: str, ferry: Ferry, chromium: Chromium) -> None:
    require_what_it_needs(name)
    session = ferry.start_session(name)
    tab = chromium.open(f"{ferry.url}/#session={session['id']}")
    before = eventually(lambda: shown(tab), within_s=40, what="a picture")
    if name in STILL:
        drag(tab)
    eventually(lambda: difference(before, tab.picture()) > 1, within_s=15, what="a picture that moves")
    tab.screenshot(f"example-{name}")
    assert ferry.call("DELETE", f"/stream/{session['id']}").status == 204


def shown(tab: Tab) -> list[float] | None:
    """A picture that has something to it."""
    if tab.frames_decoded() < 5 or detail(before := tab.picture()) < 2:
        return None
    return before


def drag(tab: Tab) -> None:
    box = tab.page.locator("video").bounding_box()
    assert box
    tab.page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.5)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.6, steps=8)
    tab.page.mouse.up()
