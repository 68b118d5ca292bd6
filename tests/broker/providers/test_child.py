import asyncio
import os
import sys

import psutil
import pytest

from broker.providers.child import Child
from tests.broker.waiting import eventually


async def start(script: str, *, secrets: tuple[str, ...] = ()) -> Child:
    return await Child.start("test", [sys.executable, "-S", "-c", script], dict(os.environ), secrets=secrets)


async def last_lines(script: str, *, secrets: tuple[str, ...] = ()) -> tuple[str, ...]:
    child = await start(script, secrets=secrets)
    try:
        async with asyncio.timeout(10):
            await child.exited()
        return child.last_lines()
    finally:
        await child.end(1)


async def test_only_the_last_lines_are_kept_and_each_is_bounded() -> None:
    script = (
        "import sys\nfor n in range(1000): print(f'line {n}', file=sys.stderr)\nprint('x' * 10**6, file=sys.stderr)"
    )
    lines = await last_lines(script)
    assert len(lines) <= 20
    assert lines[-2] == "line 999"
    assert set(lines[-1]) == {"x"} and len(lines[-1]) <= 500


async def test_a_last_line_without_end_is_kept_and_what_cannot_be_printed_is_not() -> None:
    script = r"import os; os.write(2, b'\x1b[31mred\x00 \xff no newline')"
    (words,) = await last_lines(script)
    assert words.endswith("no newline")
    assert "\x1b" not in words and "\x00" not in words


async def test_a_secret_at_the_end_of_a_long_line_is_struck_out() -> None:
    secret = "s3cr3t" * 8
    script = f"import sys; print('y' * 390 + '{secret}', file=sys.stderr)"
    (words,) = await last_lines(script, secrets=(secret,))
    assert "s3cr3t" not in words and "yyy" in words


async def test_a_command_that_exits_takes_what_it_started_with_it() -> None:
    grandchild = "subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)']).pid"
    child = await start(f"import subprocess, sys; print({grandchild}, file=sys.stderr)")
    async with asyncio.timeout(10):
        assert await child.exited() == 0
    assert not psutil.pid_exists(int(*child.last_lines()))
    await child.end(1)


async def test_a_cancelled_end_kills_at_once() -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', file=sys.stderr, flush=True)"
    child = await start(f"import signal, sys, time; {deaf}; time.sleep(600)")
    await eventually(lambda: child.last_lines() == ("deaf",))
    ending = asyncio.create_task(child.end(600))
    await asyncio.sleep(0)
    ending.cancel()
    await asyncio.wait((ending,), timeout=10)
    assert ending.cancelled() and child.has_exited
    assert await child.exited() == -9


async def test_a_command_that_no_system_takes_leaves_no_descriptor() -> None:
    before = psutil.Process().num_fds()
    with pytest.raises(ValueError):
        await Child.start("test", ["echo", "a\0b"], dict(os.environ), secrets=())
    await asyncio.sleep(0.01)
    assert psutil.Process().num_fds() == before


async def test_a_child_has_no_terminal_no_standard_input_and_a_group_of_its_own() -> None:
    script = f"import os, sys; sys.stderr.write(f'{{os.getpgrp() != {os.getpgrp()}}} {{sys.stdin.read()!r}}')"
    assert await last_lines(script) == ("True ''",)
