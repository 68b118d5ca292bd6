"""What is handed out: a wheel that holds the whole of Pixelferry, starts anywhere, and brings no tests."""

import re
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.system.ferry import running_ferry

PROJECT = Path(__file__).parents[2]


def run(*command: str | Path) -> None:
    done = subprocess.run(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder)
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_the_four_packages_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "broker",
        "signaling",
        "streamer",
        "web",
    }
    assert {"web/index.html", "web/stream-client.js", "web/broker-client.js"} <= set(names)
    assert not [name for name in names if "test_pattern" not in name and re.search(r"(^|/)tests?[/_.]", name)]
    assert [name for name in names if name.endswith("licenses/LICENSE")]


@pytest.mark.timeout(240)
def test_installed_wheel_starts_outside_the_tree_and_streams(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    versions = tmp_path / "versions.txt"
    locked = re.findall(r"^([\w.-]+==\S+(?: ;[^\\\n]+)?)", (PROJECT / "requirements.lock").read_text(), re.MULTILINE)
    versions.write_text("\n".join(locked))
    run(environment / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", versions, wheel)
    with running_ferry(tmp_path / "ferry", command=(str(environment / "bin/pixelferry"), "up")) as ferry:
        for path in ("/", "/stream-client.js"):
            assert ferry.call("GET", path).status == 200
        session = ferry.start_session("test-pattern")
        assert ferry.call("DELETE", f"/stream/{session['id']}").status == 204
