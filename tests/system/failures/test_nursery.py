"""Children of the nursery are processes like others: they end by signals, say so, and never outlive it."""

import asyncio
import os
import signal
from pathlib import Path

import psutil

from tests.system.failures.members import false_clock_environment
from tests.system.failures.nursery import nursery

CHILDREN = "tests.system.failures.children"


async def said(log: Path, words: str, *, within_s: float = 5) -> None:
    log.touch()  # noqa: ASYNC240
    async with asyncio.timeout(within_s):
        while words not in log.read_text():  # noqa: ASYNC110, ASYNC240 - a small file, which raises no event
            await asyncio.sleep(0.01)


async def test_a_child_is_a_process_with_arguments_environment_and_log(tmp_path: Path) -> None:
    async with nursery([CHILDREN]) as born:
        child = await born.spawn(f"{CHILDREN}:sleeper", ["a", "b"], log=tmp_path / "log", environment={"WORD": "hush"})
        await said(child.log, "awake ['a', 'b'] hush")
        assert child.lives and psutil.pid_exists(child.pid) and "WORD" not in os.environ
        assert await child.end(signal.SIGKILL) == -signal.SIGKILL
        assert not child.lives
        child.send(signal.SIGKILL)


async def test_exit_statuses_and_errors_are_told(tmp_path: Path) -> None:
    async with nursery([CHILDREN]) as born:
        leaving = [await born.spawn(f"{CHILDREN}:leaver", [str(status)], log=tmp_path / "l") for status in (0, 3)]
        fallen = await born.spawn(f"{CHILDREN}:stumbler", [], log=tmp_path / "s")
        assert [await child.end(signal.SIGCONT) for child in (*leaving, fallen)] == [0, 3, 70]
        assert "RuntimeError: stumbled" in fallen.log.read_text()


async def test_no_child_outlives_the_nursery(tmp_path: Path) -> None:
    async with nursery([CHILDREN]) as born:
        child = await born.spawn(f"{CHILDREN}:sleeper", [], log=tmp_path / "log")
        await said(child.log, "awake")
    async with asyncio.timeout(5):
        while psutil.pid_exists(child.pid):  # noqa: ASYNC110 - it is not ours to wait for
            await asyncio.sleep(0.01)


async def test_each_child_may_have_a_false_clock_of_its_own(tmp_path: Path) -> None:
    async with nursery([CHILDREN], environment=false_clock_environment()) as born:
        logs = [tmp_path / offset for offset in ("+420", "-600", "+0")]
        for log in logs:
            clock = log.with_suffix(".clock")
            clock.write_text(log.name)
            environment = {"FAKETIME_TIMESTAMP_FILE": str(clock)}
            await born.spawn(f"{CHILDREN}:clockwork", [log.name], log=log, environment=environment)
        for log in logs:
            await said(log, "slept", within_s=15)
            _, _, off_by, _, waited, _, slept = log.read_text().split()
            assert abs(float(off_by)) < 30
            assert float(slept) <= float(waited) < float(slept) + 10
