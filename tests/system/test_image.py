"""The steps of the container image, run in a bare Debian root: what they leave is a Pixelferry that starts."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.absence import absent
from tests.system.ferry import running_ferry

PROJECT = Path(__file__).parents[2]
# What .dockerignore lets through.
SOURCES = (
    "LICENSE",
    "README.md",
    "broker",
    "pyproject.toml",
    "requirements.lock",
    "scripts",
    "signaling",
    "streamer",
    "web",
)


# How this machine reaches package servers; nothing else of its environment enters the root.
NETWORK_VARIABLES = re.compile(r"PIP_\w+|\w+_proxy|\w+_PROXY")


def minbase_archive() -> Path:
    """A bare Debian root as an archive: made once, kept beside the other caches of this user."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pixelferry"
    archive = cache / "debian-bookworm-minbase.tar"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache) as unfinished:
            run("debootstrap", "--variant=minbase", "bookworm", f"{unfinished}/root")
            run("tar", "--create", f"--file={unfinished}/tar", f"--directory={unfinished}/root", ".")
            Path(unfinished, "tar").rename(archive)
    return archive


def run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}"


@dataclass(frozen=True, slots=True)
class DebianRoot:
    folder: Path

    def command(self, *command: str) -> list[str]:
        """What runs the command in the root, in process and mount spaces of its own: they end with it."""
        variables = {name: value for name, value in os.environ.items() if NETWORK_VARIABLES.fullmatch(name)}
        if "PIP_CERT" in variables:
            variables["PIP_CERT"] = "/tmp/certificates.pem"
        settings = [f"{name}={value}" for name, value in variables.items()]
        return [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
            *("sh", "-c", 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"', str(self.folder)),
            *("env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", *settings, *command),
        ]


@pytest.fixture
def debian_root(tmp_path: Path) -> Iterator[DebianRoot]:
    if os.geteuid() != 0:
        absent("the superuser's right to make a Debian root", mend="run the tests as root")
    if shutil.which("debootstrap") is None:
        absent("debootstrap")
    root = tmp_path / "root"
    root.mkdir()
    run("tar", "--extract", f"--file={minbase_archive()}", f"--directory={root}")
    if "PIP_CERT" in os.environ:
        shutil.copy(os.environ["PIP_CERT"], root / "tmp" / "certificates.pem")
    yield DebianRoot(root)
    shutil.rmtree(root)


@pytest.mark.timeout(480)
def test_image_steps_leave_a_pixelferry_that_starts_and_serves(debian_root: DebianRoot) -> None:
    sources = debian_root.folder / "usr" / "src" / "pixelferry"
    sources.mkdir()
    for name in SOURCES:
        run("cp", "--recursive", str(PROJECT / name), str(sources))
    run(*debian_root.command("/usr/src/pixelferry/scripts/image.sh"))
    shutil.rmtree(sources)
    command = debian_root.command("pixelferry", "up")
    with running_ferry(debian_root.folder / "ferry", command=command) as ferry:
        session = ferry.start_session("usd-viewer")
        assert ferry.call("DELETE", f"/stream/{session['id']}").status == 204
