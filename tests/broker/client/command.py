"""The command as a process of its own, beside a broker that runs in the test."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Done:
    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        value = json.loads(self.out)
        assert isinstance(value, dict), value
        return value


def _environment(url: str | None, extra: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIXELFERRY_")}
    return {**kept, **({} if url is None else {"PIXELFERRY_URL": url}), **extra}


async def begun(url: str | None, *arguments: str, **environment: str) -> Process:
    """The command, running."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "broker.cli",
        *arguments,
        env=_environment(url, environment),
        stdout=PIPE,
        stderr=PIPE,
        preexec_fn=_heed_interrupts,
    )


def _heed_interrupts() -> None:
    """Tests that run in a shell's background ignore SIGINT, and so would all that they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def ended(process: Process) -> Done:
    """What it has said once it has ended by itself."""
    try:
        async with asyncio.timeout(20):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


async def pixelferry(url: str | None, *arguments: str, **environment: str) -> Done:
    """The command, from its begin to its end."""
    return await ended(await begun(url, *arguments, **environment))
