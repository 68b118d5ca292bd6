"""A signaling protocol and an ICE stack that are not ours, through the same relay into Chromium."""

import json
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.absence import absent
from tests.system.browser import Chromium
from tests.system.ferry import Ferry, eventually, running_ferry
from tests.system.page_server import serving

HERE = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"
CATALOG = """
[applications.ball]
name = "Bouncing ball"
description = "GStreamer's webrtcbin"
[applications.ball.versions."1.0.0"]

[profiles.default]
name = "Default"
applications = [{ id = "ball", versions = ["*"] }]
provider = "process"
protocol = "plain"
signaling = "readable"
admission = "session-id"
command = COMMAND
"""


@pytest.fixture
def pages() -> Iterator[str]:
    with serving(HERE / "pages") as url:
        yield url


@pytest.fixture
def ferry(tmp_path: Path) -> Iterator[Ferry]:
    probe = (
        "import gi; gi.require_version('GstWebRTC', '1.0'); from gi.repository import Gst, GstWebRTC; Gst.init(None);"
    )
    probe += "import sys; sys.exit(not all(map(Gst.ElementFactory.find, ['webrtcbin', 'nicesrc', 'vp8enc'])))"
    if subprocess.run([SYSTEM_PYTHON, "-c", probe], check=False, capture_output=True).returncode != 0:
        absent("GStreamer's webrtcbin with Python bindings")
    catalog = tmp_path / "catalog.toml"
    command = [SYSTEM_PYTHON, str(HERE / "webrtcbin_backend.py"), sysconfig.get_path("purelib")]
    catalog.write_text(CATALOG.replace("COMMAND", json.dumps(command)))
    with running_ferry(tmp_path / "ferry", "--catalog", str(catalog)) as running:
        yield running


def test_webrtcbin_that_offers_and_trickles_plays_through_the_relay(
    ferry: Ferry, chromium: Chromium, pages: str
) -> None:
    session = ferry.start_session("ball")
    route = ferry.route(session)
    signaling = f"ws://{route.host}:{route.signaling_port}/any/path/{session['id']}"

    tab = chromium.open(f"{pages}/webrtcbin.html#{quote(signaling, safe='')}")

    eventually(lambda: tab.frames_decoded() >= 100, within_s=30, what="100 decoded frames")
    assert tab.selected_remotes() == {(route.host, route.media_port)}
    tab.screenshot("webrtcbin")
    told = "\n".join(tab.frames)
    assert "candidate" in told and "127.0.0.2" not in told
    assert ferry.call("DELETE", f"/stream/{session['id']}").status == 204
    assert ferry.listed() == []
