"""Looks after several relay processes of one machine: starts them, restarts one that died, passes signals on."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress

logger = logging.getLogger(__name__)

EXIT_FAILED = 1
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0
_STEADY_S = 30.0
"""Who lived for so long is restarted at once when it dies."""


class Workers:
    """`command` makes the command line of a worker, counted from 1. Each holds the other end of its standard input.

    A worker that ends with status 0 though nobody told it to has handed its work over to another process: it is let go.
    """

    def __init__(self, command: Callable[[int], Sequence[str]], workers: int) -> None:
        self._command = command
        self._workers = workers
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Until every worker has ended because it was told to, or handed over; the exit status."""
        loop = asyncio.get_running_loop()
        for told in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(told, self._stop)
        statuses: list[int] = []

        async def keep(number: int) -> None:
            statuses.append(await self._keep(number))

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(1, self._workers + 1):
                    group.create_task(keep(number), name=f"worker {number}")
        finally:
            for process in self._running.values():
                with suppress(ProcessLookupError):
                    process.kill()
        return max(statuses)

    def pass_on(self, number: signal.Signals) -> None:
        """Send every worker this signal."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.send_signal(number)

    def _stop(self) -> None:
        """Each signal that stops is passed on: the first drains, the second ends."""
        self._stopping.set()
        self.pass_on(signal.SIGTERM)

    async def _keep(self, number: int) -> int:
        """Run one worker, again and again; its last exit status."""
        loop, pause_s = asyncio.get_running_loop(), _FIRST_PAUSE_S
        while True:
            began = loop.time()
            status = await self._run(number)
            if status == 0 or self._stopping.is_set():
                return status if status >= 0 else EXIT_FAILED
            pause_s = _FIRST_PAUSE_S if loop.time() - began > _STEADY_S else pause_s
            logger.warning("worker %d ended with status %d, it is started again in %g s", number, status, pause_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
                    return 0
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _run(self, number: int) -> int:
        """Run one worker once. It has a session of its own: what a terminal sends reaches it by us alone."""
        process = await asyncio.create_subprocess_exec(
            *self._command(number), stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        self._running[number] = process
        if self._stopping.is_set():
            process.terminate()
        try:
            return await process.wait()
        finally:
            del self._running[number]
            if process.stdin is not None:
                process.stdin.close()
