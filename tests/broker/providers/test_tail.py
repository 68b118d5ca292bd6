import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from broker.providers.tail import BYTES_READ, LINES_LOGGED, Tail, gist
from tests.broker.waiting import eventually


@asynccontextmanager
async def tailed(*, secrets: Sequence[str] = ()) -> AsyncIterator[tuple[Tail, int]]:
    """A tail and the descriptor of the pipe that it reads."""
    tail = Tail("backend", secrets)
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    reader = os.fdopen(read_end, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: tail, reader)
    try:
        yield tail, write_end
    finally:
        with suppress(OSError):
            os.close(write_end)
        await tail.closed.wait()
        transport.close()


async def written(pipe: int, data: bytes, *, tries: int = 50) -> int:
    """How many bytes the pipe takes before it stays full."""
    total = 0
    for _ in range(tries):
        with suppress(BlockingIOError):
            while True:
                total += os.write(pipe, data)
        await asyncio.sleep(0.001)
    return total


async def test_lines_come_whole_however_they_are_cut() -> None:
    async with tailed() as (tail, pipe):
        for part in (b"on", b"e\ntw", b"o\n\n  \nthr"):
            os.write(pipe, part)
            await asyncio.sleep(0.005)
        await eventually(lambda: tail.lines() == ("one", "two"))
    assert tail.lines() == ("one", "two", "thr")


async def test_a_flood_of_lines_is_logged_in_part_and_the_rest_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with tailed(secrets=["hush"]) as (tail, pipe):
        for number in range(1000):
            os.write(pipe, f"line {number} hush\n".encode())
    assert tail.lines()[-1] == "line 999 ***"
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == LINES_LOGGED + 1
    assert told[-1] == f"backend: {1000 - LINES_LOGGED} lines more were left out"
    assert not any("hush" in text for text in told)


async def test_whoever_writes_without_end_is_held_up_until_it_is_gone() -> None:
    async with tailed() as (tail, pipe):
        taken = await written(pipe, b"x" * 4096)
        assert BYTES_READ <= taken < BYTES_READ + 600_000
        assert await written(pipe, b"x") == 0
        tail.hurry()
        assert await written(pipe, b"y" * 4096) > BYTES_READ


def test_the_gist_of_a_traceback_is_its_last_line() -> None:
    lines = ["starting", "Traceback (most recent call last):", '  File "a.py", line 1', "    import vtk", "NoGpu: none"]
    assert gist(lines) == "starting | NoGpu: none"


def test_the_gist_is_short_and_one_line() -> None:
    assert gist([]) == ""
    assert gist(["   indented only   "]) == "indented only"
    assert gist(list("abcdef")) == "d | e | f"
    assert len(gist(["x" * 400] * 12)) == 500
