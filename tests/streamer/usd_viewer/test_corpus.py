"""Broken and hostile stages: a clear answer in bounded time and memory, and this process goes on as if nothing were."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from streamer.usd_viewer.loaded_stage import LoadedStage
from streamer.usd_viewer.loader import StageLoad
from streamer.usd_viewer.settings import SAMPLE_STAGE, SAMPLES, LoadLimits
from streamer.usd_viewer.stage_policy import StagePolicy, StageRefused
from tests.streamer.usd_viewer.make_corpus import CORPUS, Files, crate, large_opening, large_refused
from tests.streamer.usd_viewer.packages import Member, package
from tests.streamer.usd_viewer.stages import mesh, preview_surface, world

LIMITS = LoadLimits(wall_s=5.0, memory_bytes=2**30)
PATIENT = LoadLimits(wall_s=50.0, memory_bytes=2**30)
GRACE_S = 3.0
"""Beyond its limit, for a process to start and to end on a busy machine."""
AT_ONCE = 2
ENDINGS = (".usd", ".usda", ".usdc", ".usdz")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a stage."""

    name: str
    outcome: LoadedStage | StageRefused
    took_s: float


def answer_to(path: Path, limits: LoadLimits) -> Answer:
    begun = time.monotonic()
    outcome: LoadedStage | StageRefused
    try:
        outcome = StageLoad(StagePolicy.under(path.parent), limits, lambda prims, of: None).run(path.name)
    except StageRefused as refused:
        outcome = refused
    return Answer(path.name, outcome, time.monotonic() - begun)


def answers_to(folder: Path, limits: LoadLimits = LIMITS) -> list[Answer]:
    stages = sorted(path for path in folder.iterdir() if path.suffix in ENDINGS)
    assert stages
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda path: answer_to(path, limits), stages))


def written(folder: Path, files: Files) -> Path:
    for name, content in files:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def assert_refused(answers: list[Answer], limits: LoadLimits = LIMITS) -> None:
    for answer in answers:
        assert isinstance(answer.outcome, StageRefused), answer.name
        reason = answer.outcome.reason
        assert 10 < len(reason) < 700 and reason.isprintable(), answer
        assert str(CORPUS) not in reason and "pxrInternal" not in reason, answer
        assert answer.took_s < limits.wall_s + GRACE_S, answer


def assert_opened(answers: list[Answer]) -> None:
    refused = [(answer.name, str(answer.outcome)) for answer in answers if not isinstance(answer.outcome, LoadedStage)]
    assert refused == []


@pytest.fixture(autouse=True)
def life_goes_on() -> Iterator[None]:
    """Neither a process nor a thread nor much memory is left of a stage."""
    before = psutil.Process().memory_info().rss
    yield
    assert psutil.Process().children() == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("usd-")]
    assert psutil.Process().memory_info().rss - before < 300 * 2**20


@pytest.fixture(autouse=True, scope="module")
def sample_opens_after_all() -> Iterator[None]:
    yield
    assert_opened([answer_to(SAMPLES / SAMPLE_STAGE, PATIENT)])


@pytest.mark.timeout(180)
def test_what_cannot_be_opened_is_refused_with_a_reason() -> None:
    assert_refused(answers_to(CORPUS / "refused"))


@pytest.mark.timeout(180)
def test_what_is_odd_opens_without_what_is_wrong_with_it() -> None:
    assert_opened(answers_to(CORPUS / "opens", PATIENT))


@pytest.mark.timeout(120)
def test_what_is_large_and_broken_is_refused(tmp_path: Path) -> None:
    assert_refused(answers_to(written(tmp_path, large_refused())))


@pytest.mark.timeout(180)
def test_what_is_large_and_sound_opens(tmp_path: Path) -> None:
    assert_opened(answers_to(written(tmp_path, large_opening()), PATIENT))


def test_ten_gigabytes_of_nothing_are_refused(tmp_path: Path) -> None:
    for ending in ENDINGS:
        with (tmp_path / f"huge{ending}").open("wb") as file:
            file.write({".usda": b"#usda 1.0\n", ".usdz": b"PK\x03\x04"}.get(ending, b"PXR-USDC\0\x08\0"))
            file.truncate(10 * 2**30)
    assert_refused(answers_to(tmp_path))


def test_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.usda").write_text(world(mesh()))
    (root / "link.usda").symlink_to("../secret.usda")
    (root / "loop.usda").symlink_to("loop.usda")
    (root / "folder").symlink_to("..")
    (root / "through.usda").write_text("#usda 1.0\n(\n    subLayers = [@./folder/secret.usda@]\n)\n")
    (root / "zero.usda").symlink_to("/dev/zero")
    assert_refused(answers_to(root))


STAGE = world(
    'def Xform "X" { double3 xformOp:translate.timeSamples = { 0: (0, 0, 0),\n 9: (1, 1, 1),\n }\n'
    'uniform token[] xformOpOrder = ["xformOp:translate"]\n'
    + mesh("rel material:binding = </World/Look>")
    + 'def Cube "C" { double size = 2\n } }'
    + preview_surface("Look", "color3f inputs:diffuseColor = (1, 0, 0)")
)
SOUND = {".usda": STAGE.encode(), ".usdc": crate(STAGE), ".usdz": package([Member("a.usdc", crate(STAGE))])}
mutations = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6
)


@pytest.mark.timeout(120)
@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(sorted(SOUND)), mutations, st.floats(0.5, 1))
def test_bytes_that_changed_on_the_way_do_no_harm(
    tmp_path: Path, ending: str, changes: list[tuple[float, bytes]], kept: float
) -> None:
    data = bytearray(SOUND[ending])
    for place, new in changes:
        at = int(place * len(data))
        data[at : at + len(new)] = new
    path = tmp_path / f"changed{ending}"
    path.write_bytes(data[: int(len(data) * kept)])
    answer = answer_to(path, LIMITS)
    if isinstance(answer.outcome, StageRefused):
        assert_refused([answer])


@pytest.mark.timeout(120)
def test_unchanged_they_open(tmp_path: Path) -> None:
    sound = written(tmp_path, ((f"sound{ending}", data) for ending, data in SOUND.items()))
    assert_opened(answers_to(sound, PATIENT))
