"""One child process in a session of its own: its start, the last lines of its stderr, its sure end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

_LAUNCHER = str(Path(__file__).with_name("launcher.py"))
_LINES_KEPT = 12
_LINE_MOST_CHARS = 400
_PARTIAL_MOST_BYTES = 4096
_TAIL_WAIT_S = 0.2
_KILL_WAIT_S = 5.0


class Child:
    """A running command. `end` is the one way out, also after it has exited by itself."""

    def __init__(self, process: asyncio.subprocess.Process, tail: _Tail, tail_transport: asyncio.ReadTransport) -> None:
        self._process = process
        self._tail = tail
        self._tail_transport = tail_transport

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], environment: Mapping[str, str], *, secrets: Sequence[str]
    ) -> Child:
        """Run a command, never through a shell. It dies with this process where the system can promise that.

        What it writes to stderr goes to the log under `name`, without the `secrets`. Raises OSError, ValueError.
        """
        loop = asyncio.get_running_loop()
        tail = _Tail(name, secrets)
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
                *(sys.executable, "-I", "-S", _LAUNCHER, str(os.getpid()), *command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=write_end,
                env=dict(environment),
                start_new_session=True,
            )
        except BaseException:
            transport.close()
            raise
        finally:
            os.close(write_end)
        return cls(process, tail, transport)

    @property
    def pid(self) -> int:
        """Of the process, and of its process group."""
        return self._process.pid

    @property
    def has_exited(self) -> bool:
        """Whether its exit was noticed."""
        return self._process.returncode is not None

    async def exited(self) -> int:
        """Wait for its exit and for its last words; a negative status is the signal that killed it."""
        status = await self._process.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(_TAIL_WAIT_S):
                await self._tail.closed.wait()
        return status

    def last_lines(self) -> str:
        """The last lines of its stderr, secrets struck out."""
        return self._tail.text()

    async def end(self, grace_s: float) -> None:
        """SIGTERM to its group, SIGKILL to what is left of it after `grace_s`; a cancelled end kills at once."""
        try:
            if not self.has_exited:
                self._signal(signal.SIGTERM)
                with suppress(TimeoutError):
                    async with asyncio.timeout(grace_s):
                        await self._process.wait()
        finally:
            self._signal(signal.SIGKILL)
            self._tail_transport.close()
        try:
            async with asyncio.timeout(_KILL_WAIT_S):
                await self._process.wait()
        except TimeoutError:
            logger.error("process %d did not die of SIGKILL", self.pid)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # nobody of the group is left
            os.killpg(self.pid, number)


class _Tail(asyncio.Protocol):
    """Keeps the last lines read and logs each."""

    def __init__(self, name: str, secrets: Sequence[str]) -> None:
        self.closed = asyncio.Event()
        self._name = name
        self._secrets = secrets
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._partial = b""

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._partial + data).split(b"\n")
        for line in lines:
            self._keep(line)
        self._partial = rest[:_PARTIAL_MOST_BYTES]

    def connection_lost(self, exc: Exception | None) -> None:
        self._keep(self._partial)
        self._partial = b""
        self.closed.set()

    def text(self) -> str:
        return "\n".join(self._lines)

    def _keep(self, line: bytes) -> None:
        text = "".join(c if c.isprintable() else " " for c in line.decode(errors="replace")).rstrip()
        for secret in self._secrets:
            text = text.replace(secret, "***")
        if text.strip():
            self._lines.append(text[:_LINE_MOST_CHARS])
            logger.info("%s: %s", self._name, text[:_LINE_MOST_CHARS])
