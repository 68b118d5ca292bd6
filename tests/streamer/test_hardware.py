"""Hardware encoders are taken only where they prove themselves, and nothing waits for one that hangs."""

import os
import sys
import time
from dataclasses import replace

import pytest

from streamer.encoder import LIBVPX, LIBX264, EncoderKind
from streamer.hardware import CANDIDATES, Candidate, find, main, works

HERE = Candidate(LIBX264, ())
ELSEWHERE = Candidate(LIBX264, ("/dev/there-is-no-such-device*",))


def child(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


@pytest.mark.parametrize("kind", [LIBX264, LIBVPX], ids=lambda kind: kind.name)
def test_encoder_works_where_it_really_encodes(kind: EncoderKind) -> None:
    assert works(kind)


def test_encoder_that_holds_frames_back_does_not_work() -> None:
    held_back = lambda *rates: {"preset": "medium", "x264-params": "rc-lookahead=20:bframes=3"}  # noqa: E731
    assert not works(replace(LIBX264, options=held_back, profile=None))


async def test_only_what_is_present_is_tried() -> None:
    unknown = Candidate(replace(LIBX264, name="h264_of_the_future"), ())
    assert await find([ELSEWHERE, unknown], command=child("")) is None
    assert await find([ELSEWHERE, HERE], command=child("")) is LIBX264


async def test_child_that_fails_or_crashes_or_cannot_be_run_proves_nothing() -> None:
    for code in ("raise SystemExit(1)", "import os; os.abort()"):
        assert await find([HERE], command=child(code)) is None
    assert await find([HERE], command=("/no/such/program",)) is None


async def test_child_that_hangs_is_ended_in_time() -> None:
    began = time.monotonic()
    assert await find([HERE], command=child("import time; time.sleep(60)"), try_s=0.2) is None
    assert time.monotonic() - began < 10


async def test_child_is_told_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELFERRY_CONTROL_TOKEN", "a secret")
    code = "import os, sys; sys.exit('PIXELFERRY_CONTROL_TOKEN' in os.environ)"
    assert await find([HERE], command=child(code)) is LIBX264
    assert os.environ["PIXELFERRY_CONTROL_TOKEN"] == "a secret"


def test_child_knows_the_candidates_by_name() -> None:
    assert main([]) == main(["libx264"]) == 1
    assert len({candidate.kind.name for candidate in CANDIDATES}) == len(CANDIDATES) == 4
