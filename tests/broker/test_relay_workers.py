from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.relay_workers import Workers

WORKER = """
import os, signal, sys, time
path = sys.argv[1]
def stop(number, frame):
    open(path + ".stopped", "a").write("x")
    if len(open(path + ".stopped").read()) >= int(sys.argv[2]): os._exit(0)
signal.signal(signal.SIGTERM, stop)
open(path, "a").write(f"{os.getpid()}\\n")
if len(sys.argv) > 3: sys.exit(int(sys.argv[3]))
sys.stdin.read()
os._exit(7)
"""


def workers(folder: Path, *arguments: str, number: int = 2) -> Workers:
    return Workers(lambda place: (sys.executable, "-c", WORKER, str(folder / f"w{place}"), *arguments), number)


def starts(folder: Path, place: int) -> list[int]:
    path = folder / f"w{place}"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def until(is_so: Callable[[], object]) -> None:
    for _ in range(1000):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never was so")


async def test_one_that_died_is_started_again_and_signals_are_passed_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = asyncio.create_task(workers(tmp_path, "2").run())
    await until(lambda: starts(tmp_path, 1) and starts(tmp_path, 2))
    os.kill(starts(tmp_path, 1)[0], signal.SIGKILL)
    await until(lambda: len(starts(tmp_path, 1)) == 2)
    assert "worker 1 ended with status -9" in caplog.text
    os.kill(os.getpid(), signal.SIGTERM)
    await until(lambda: all((tmp_path / f"w{place}.stopped").exists() for place in (1, 2)))
    assert not running.done(), "they drain"
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(10):
        assert await running == 0
    assert [len(starts(tmp_path, place)) for place in (1, 2)] == [2, 1]


async def test_one_that_hands_over_is_not_started_again(tmp_path: Path) -> None:
    async with asyncio.timeout(10):
        assert await workers(tmp_path, "1", "0").run() == 0
    assert [len(starts(tmp_path, place)) for place in (1, 2)] == [1, 1]


async def test_one_that_fails_again_and_again_is_started_ever_more_seldom(tmp_path: Path) -> None:
    began = asyncio.get_running_loop().time()
    running = asyncio.create_task(workers(tmp_path, "1", "3", number=1).run())
    await until(lambda: len(starts(tmp_path, 1)) == 3)
    assert asyncio.get_running_loop().time() - began > 0.3, "0.1 and 0.2 s"
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(10):
        await running


async def test_workers_learn_that_nobody_looks_after_them(tmp_path: Path) -> None:
    running = asyncio.create_task(workers(tmp_path, "1", number=1).run())
    await until(lambda: starts(tmp_path, 1))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    (pid,) = starts(tmp_path, 1)
    await until(lambda: not Path(f"/proc/{pid}").exists() or "zombie" in Path(f"/proc/{pid}/status").read_text())
