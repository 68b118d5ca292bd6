"""What a process that reads stages can no longer do; each in a process of its own."""

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.absence import absent

PRELUDE = """
import sys, socket
from pathlib import Path
from streamer.usd_viewer.sandbox import die_with_parent, limit_resources, read_only
allowed, denied, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
"""
LANDLOCK = Path("/sys/kernel/security/landlock")


def run(code: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("allowed", "denied"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    return tmp_path / "allowed", tmp_path / "denied"


def test_files_elsewhere_writing_and_the_network_are_out_of_reach(folders: tuple[Path, Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = run(
            """
if not read_only([allowed]):
    print("unsupported"); raise SystemExit
print((allowed / "file").read_text())
for attempt in (
    lambda: (denied / "file").read_text(),
    lambda: (allowed / "new").write_text("x"),
    lambda: (allowed / "file").unlink(),
    lambda: list(denied.iterdir()),
    lambda: socket.create_connection(("127.0.0.1", port), 2),
):
    try:
        attempt(); print("reached")
    except PermissionError:
        print("refused")
""",
            *folders,
            server.getsockname()[1],
        )
    said = done.stdout.split()
    if said == ["unsupported"]:
        absent("Landlock", mend="use Linux 5.13 or newer")
    assert said == ["allowed", *["refused"] * 5], done.stderr


def test_memory_beyond_the_limit_is_not_given(folders: tuple[Path, Path]) -> None:
    done = run(
        """
limit_resources(memory_bytes=400 * 2**20, cpu_s=60, file_bytes=1000)
try:
    bytearray(500 * 2**20)
except MemoryError:
    print("refused")
""",
        *folders,
        0,
    )
    assert done.stdout.split() == ["refused"], done.stderr


def test_processor_time_beyond_the_limit_ends_the_process(folders: tuple[Path, Path]) -> None:
    done = run("limit_resources(memory_bytes=2**31, cpu_s=1, file_bytes=1000)\nwhile True: pass", *folders, 0)
    assert done.returncode < 0


def test_large_files_are_not_written(folders: tuple[Path, Path]) -> None:
    done = run(
        """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit_resources(memory_bytes=2**31, cpu_s=60, file_bytes=1000)
try:
    (allowed / "large").write_bytes(bytes(5000))
except OSError:
    print("refused")
""",
        *folders,
        0,
    )
    assert done.stdout.split() == ["refused"], done.stderr
    assert (folders[0] / "large").stat().st_size <= 1000


def test_limits_are_never_raised(folders: tuple[Path, Path]) -> None:
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
limit_resources(memory_bytes=2**31, cpu_s=60, file_bytes=1000)
print(resource.getrlimit(resource.RLIMIT_CPU)[0], resource.getrlimit({resource.RLIMIT_CORE})[0])
"""
    assert run(code, *folders, 0).stdout.split() == ["5", "0"]


def test_an_orphan_ends_at_once(folders: tuple[Path, Path]) -> None:
    done = run(f"die_with_parent({os.getpid()})\nprint('with parent', flush=True)\ndie_with_parent(1)", *folders, 0)
    assert done.stdout == "with parent\n"
    assert done.returncode < 0
