"""Loading in a process of its own: bounded in time and memory, whatever the stage does."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from streamer.usd_viewer.loader import StageLoad
from streamer.usd_viewer.settings import LoadLimits
from streamer.usd_viewer.stage_policy import StagePolicy, StageRefused
from tests.streamer.usd_viewer.make_corpus import points
from tests.streamer.usd_viewer.stages import mesh, world

LIMITS = LoadLimits(wall_s=20.0, memory_bytes=2 * 2**30)


def load(
    root: Path, limits: LoadLimits = LIMITS, progress: Callable[[int, int], None] = lambda prims, of: None
) -> StageLoad:
    return StageLoad(StagePolicy.under(root), limits, progress)


def nested(depth: int, width: int) -> str:
    """A stage of width ** depth prims in a few lines: each level refers to the next many times."""
    levels = [f'def "L{depth}"\n{{\n}}\n']
    for level in range(depth):
        inner = "".join(
            f'    def "P{n}" (\n        references = </L{level + 1}>\n    )\n    {{\n    }}\n' for n in range(width)
        )
        levels.append(f'def "L{level}"\n{{\n{inner}}}\n')
    return "#usda 1.0\n" + "".join(levels)


def no_child_is_left() -> None:
    assert psutil.Process().children() == []


@pytest.fixture(autouse=True)
def children_end() -> object:
    yield
    no_child_is_left()


def test_a_stage_comes_back_as_a_scene(tmp_path: Path) -> None:
    (tmp_path / "stage.usda").write_text(world(mesh()))
    stage = load(tmp_path).run("stage.usda")
    assert stage.scene.triangles == 2
    assert stage.tree.find("/World/Quad") is not None


def test_a_reference_outside_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "stage.usda").write_text("#usda 1.0\n(\n    subLayers = [@/etc/passwd@]\n)\n")
    with pytest.raises(StageRefused, match=r"'/etc/passwd' in 'stage\.usda' lies outside"):
        load(tmp_path).run("stage.usda")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("garbage.usda", os.urandom(2000)),
        ("garbage.usdc", b"PXR-USDC" + os.urandom(5000)),
        ("garbage.usdz", b"PK\x03\x04" + os.urandom(5000)),
        ("empty.usd", b""),
    ],
    ids=["text", "crate", "package", "empty"],
)
def test_a_broken_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StageRefused, match="broke"):
        load(tmp_path).run(name)


def test_a_stage_that_unfolds_without_end_is_given_up_in_time(tmp_path: Path) -> None:
    (tmp_path / "laughs.usda").write_text(nested(9, 10))
    begun = time.monotonic()
    with pytest.raises(StageRefused, match=r"within 2 seconds|memory"):
        load(tmp_path, LoadLimits(wall_s=2.0, memory_bytes=2**30)).run("laughs.usda")
    assert time.monotonic() - begun < 8.0


def test_a_stage_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "array.usda").write_text(points("[" + ", ".join(["(0, 0, 1)"] * 600_000) + "]"))
    with pytest.raises(StageRefused, match="memory"):
        load(tmp_path, LoadLimits(wall_s=25.0, memory_bytes=2**29)).run("array.usda")


def test_a_package_that_claims_ten_gigabytes_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "huge.usdz").open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(10 * 2**30)
    with pytest.raises(StageRefused):
        load(tmp_path).run("huge.usdz")


def test_loading_can_be_broken_off_from_another_thread(tmp_path: Path) -> None:
    (tmp_path / "laughs.usda").write_text(nested(9, 10))
    begun = load(tmp_path)
    refusals: list[str] = []

    def run() -> None:
        try:
            begun.run("laughs.usda")
        except StageRefused as refused:
            refusals.append(refused.reason)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 5
    while not psutil.Process().children() and time.monotonic() < deadline:
        time.sleep(0.01)
    begun.cancel()
    thread.join(5)
    begun.cancel()
    assert refusals == ["its loading was broken off"]


def test_the_process_that_reads_knows_no_secret_of_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIXELFERRY_CONTROL_TOKEN", "AWS_SECRET_ACCESS_KEY", "PXR_PLUGINPATH_NAME"):
        monkeypatch.setenv(name, "secret")
    (tmp_path / "laughs.usda").write_text(nested(9, 10))
    begun = load(tmp_path)

    def run() -> None:
        with suppress(StageRefused):
            begun.run("laughs.usda")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        deadline = time.monotonic() + 10
        # Until its own program runs, it is a copy of this process.
        while not any("streamer.usd_viewer.load_stage" in child.cmdline() for child in psutil.Process().children()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (child,) = psutil.Process().children()
        environment, command = child.environ(), child.cmdline()
    finally:
        begun.cancel()
        thread.join()
    allowed = {"PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT", "PYTHONPATH"}
    own = {"OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX", "PXR_WORK_THREAD_LIMIT", "TF_ENV_SETTING_ALERTS_ENABLED"}
    assert set(environment) <= allowed | own
    assert "secret" not in f"{environment} {command}"


def test_what_was_broken_off_before_it_began_does_not_begin(tmp_path: Path) -> None:
    (tmp_path / "stage.usda").write_text(world(mesh()))
    begun = load(tmp_path)
    begun.cancel()
    with pytest.raises(StageRefused, match="broken off"):
        begun.run("stage.usda")


def test_progress_is_told(tmp_path: Path) -> None:
    many = "#usda 1.0\n" + "".join(f'def "P{n}"\n{{\n}}\n' for n in range(1200))
    (tmp_path / "many.usda").write_text(many)
    told: list[tuple[int, int]] = []
    load(tmp_path, progress=lambda prims, of: told.append((prims, of))).run("many.usda")
    assert told == [(500, 1200), (1000, 1200)]


def test_modules_beside_a_stage_are_never_imported(tmp_path: Path) -> None:
    (tmp_path / "stage.usda").write_text(world(mesh()))
    for name in ("json.py", "numpy.py", "sitecustomize.py", "usercustomize.py"):
        (tmp_path / name).write_text(f'open({str(tmp_path / "ran")!r}, "w")\n')
    load(tmp_path).run("stage.usda")
    assert not (tmp_path / "ran").exists()
