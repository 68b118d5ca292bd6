"""deploy/compose.yaml does what it says: its own commands, run without containers, carry a session through failures."""

import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.browser import Chromium
from tests.system.compose import DEPLOY, Stack, interpolated, running_stack, secrets, services_of
from tests.system.ferry import JsonObject, eventually


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, JsonObject]:
    variables, _ = secrets(tmp_path_factory.mktemp("secrets"))
    return services_of(DEPLOY / "compose.yaml", variables)


def test_two_of_each_and_redis_are_there(declared: dict[str, JsonObject]) -> None:
    assert [*declared] == ["redis", "broker-1", "broker-2", "relay-1", "relay-2", "streamer-1", "streamer-2"]


def test_the_ports_that_are_published_are_those_of_the_commands(declared: dict[str, JsonObject]) -> None:
    for name in ("relay-1", "relay-2"):
        ports = re.search(r"--ports (\S+)", str(declared[name]["command"]))
        assert ports is not None
        assert declared[name]["ports"] == [f"{ports[1]}:{ports[1]}/{kind}" for kind in ("tcp", "udp")]
    for name in ("broker-1", "broker-2"):
        published = declared[name]["ports"]
        assert isinstance(published, list)
        assert [str(port).startswith("127.0.0.1:") and str(port).endswith(":8080") for port in published] == [True]


def test_the_file_says_what_to_do_where_the_secrets_are_missing() -> None:
    with pytest.raises(KeyError, match=r"run deploy/compose-secrets\.sh first"):
        services_of(DEPLOY / "compose.yaml", {})
    assert interpolated("${HOST:-127.0.0.1} ${HOST}", {"HOST": "192.0.2.1"}) == "192.0.2.1 192.0.2.1"


def test_secrets_are_nobodys_elses_and_never_replaced(tmp_path: Path) -> None:
    variables, key = secrets(tmp_path)
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600
    assert len({*variables.values(), key}) == 6 and key not in (tmp_path / "env").read_text()
    again = subprocess.run(
        [DEPLOY / "compose-secrets.sh", tmp_path / "env"], check=False, stderr=subprocess.PIPE, text=True, timeout=20
    )
    assert again.returncode == 1 and "is there already" in again.stderr
    assert secrets_of(tmp_path) == variables


def secrets_of(folder: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines())


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.mark.system
@pytest.mark.timeout(180)
def test_a_viewer_has_a_picture_again_though_relay_and_broker_are_killed(stack: Stack, chromium: Chromium) -> None:
    session = stack.start_session("broker-1")
    session_id = str(session["id"])
    relay = stack.relay_of(session)
    tab = chromium.open(f"{stack.url('broker-2')}/#session={session_id}&token={session['token']}")
    tab.page.wait_for_selector("body[data-view=live]", timeout=30_000)
    eventually(lambda: tab.frames_decoded() > 10, within_s=20, what="a moving picture")

    stack.kill(relay.name)
    tab.page.wait_for_selector("#reconnecting:not([hidden])", timeout=10_000)
    tab.screenshot("viewer-reconnecting")
    tab.page.wait_for_selector("#state[data-state=connected]", timeout=30_000)
    before = tab.frames_decoded()
    eventually(lambda: tab.frames_decoded() > before + 5, within_s=20, what="a picture through the other relay")
    assert tab.page.get_attribute("body", "data-view") == "live"
    moved = stack.ready("broker-2", session_id)
    assert stack.relay_of(moved).name != relay.name

    stack.kill("broker-1")
    assert stack.call("broker-2", "GET", f"/stream/{session_id}").status == 200
    other = stack.start_session("broker-2")
    assert other["id"] != session_id
    assert stack.call("broker-2", "DELETE", f"/stream/{session_id}").status == 204
    tab.page.wait_for_selector("body[data-view=ended]", timeout=20_000)
    assert stack.call("broker-2", "DELETE", f"/stream/{other['id']}").status == 204
