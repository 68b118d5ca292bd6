"""Starts processes by forking one that has everything imported, and tells when they end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_START_S = 60.0
_END_S = 10.0
MODULES = ("broker.cli", "broker.broker_command", "broker.relay_command")
"""What brokers and relays need; what is not here is imported by the child itself."""


class Child:
    """A process of the nursery's."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid = pid
        self.log = log
        self.ended = asyncio.Event()
        self.status: int | None = None

    @property
    def lives(self) -> bool:
        """Whether nothing was heard of its end."""
        return self.status is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing where it has ended."""
        if self.lives:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def end(self, number: signal.Signals, *, within_s: float = _END_S) -> int:
        """Send a signal and wait for its end; the exit status, negative for a signal. Raises TimeoutError."""
        self.send(number)
        async with asyncio.timeout(within_s):
            await self.ended.wait()
        assert self.status is not None
        return self.status


class Nursery:
    """Made by `nursery()`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._born: dict[int, asyncio.Future[int]] = {}
        self._children: dict[int, Child] = {}
        self._orders = 0

    async def spawn(
        self, target: str, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
    ) -> Child:
        """Call `target` ("module:function") with these arguments in a process of its own."""
        self._orders += 1
        order = {
            "id": self._orders,
            "target": target,
            "arguments": list(arguments),
            "environment": dict(environment or {}),
            "log": str(log),
        }
        assert self._process.stdin is not None
        born = self._born[self._orders] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(_END_S):
            pid = await born
        child = self._children[pid] = Child(pid, log)
        return child

    async def listen(self) -> None:
        """Hear what the process says until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            if "id" in said:
                self._born.pop(said["id"]).set_result(said["pid"])
                # The one who waits registers the child before anything else is heard of it.
                await asyncio.sleep(0)
            elif "status" in said:
                child = self._children.pop(said["pid"])
                child.status = said["status"]
                child.ended.set()


@asynccontextmanager
async def nursery(
    modules: Sequence[str] = MODULES, *, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Nursery]:
    """A nursery that has these modules imported; its children end with it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.system.failures.nursery_process",
        *modules,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None
    listening: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(_START_S):
            await process.stdout.readline()
        found = Nursery(process)
        listening = asyncio.create_task(found.listen(), name="nursery")
        yield found
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(_END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if listening is not None:
            await listening
