"""One command under its guard, in a session of its own: start, the last lines of its stderr, its sure end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from broker.providers import guard
from broker.providers.tail import Tail

logger = logging.getLogger(__name__)

_GUARD = str(Path(guard.__file__))
_GUARDS_OWN = ("LD_LIBRARY_PATH",)  # of the environment, in case Python itself needs it
_TAIL_WAIT_S = 0.2
_KILL_WAIT_S = 5.0


class Child:
    """A running command; its process is the guard. `end` is the one way out, also after it has exited by itself."""

    def __init__(self, process: asyncio.subprocess.Process, tail: Tail, tail_transport: asyncio.ReadTransport) -> None:
        self._process = process
        self._tail = tail
        self._tail_transport = tail_transport

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], environment: Mapping[str, str], *, secrets: Sequence[str]
    ) -> Child:
        """Run a command, never through a shell. It and all that it starts die with this process.

        What it writes to stderr goes to the log under `name`, without the `secrets`. Raises OSError, ValueError.
        """
        packed = guard.pack(environment)
        loop = asyncio.get_running_loop()
        tail = Tail(name, secrets)
        read_end, write_end = os.pipe()
        pipe = os.fdopen(read_end, "rb", buffering=0)
        try:
            transport, _ = await loop.connect_read_pipe(lambda: tail, pipe)
        except BaseException:
            pipe.close()
            os.close(write_end)
            raise
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", _GUARD, *command),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=write_end,
                env={name: environment[name] for name in _GUARDS_OWN if name in environment},
                start_new_session=True,
            )
        except BaseException:
            transport.close()
            raise
        finally:
            os.close(write_end)
        assert process.stdin is not None
        process.stdin.write(packed)
        return cls(process, tail, transport)

    @property
    def has_exited(self) -> bool:
        """Whether its exit was noticed."""
        return self._process.returncode is not None

    async def exited(self) -> int:
        """Wait for its exit and for its last words; a negative status is the signal that killed it."""
        status = await self._process.wait()
        self._tail.hurry()
        with suppress(TimeoutError):
            async with asyncio.timeout(_TAIL_WAIT_S):
                await self._tail.closed.wait()
        return status

    def last_lines(self) -> tuple[str, ...]:
        """The last lines of its stderr, secrets struck out."""
        return self._tail.lines()

    async def end(self, grace_s: float) -> None:
        """SIGTERM to its group, SIGKILL to all that it started after `grace_s`; a cancelled end kills at once."""
        try:
            if not self.has_exited:
                self._signal(signal.SIGTERM)
                with suppress(TimeoutError):
                    async with asyncio.timeout(grace_s):
                        await self._process.wait()
        finally:
            self._let_go()
            await self._gone()

    async def _gone(self) -> None:
        try:
            async with asyncio.timeout(_KILL_WAIT_S):
                await self._process.wait()
        except TimeoutError:
            logger.error("process group %d did not die of SIGKILL", self._process.pid)
        finally:
            self._signal(signal.SIGKILL)  # in case somebody killed the guard before its time

    def _let_go(self) -> None:
        """The guard, left alone, kills all that it guards."""
        assert self._process.stdin is not None
        life_line = self._process.stdin.transport
        if not life_line.is_closing():
            life_line.abort()
        self._tail_transport.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # nobody of the group is left
            os.killpg(self._process.pid, number)
