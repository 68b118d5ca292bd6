"""One backend process: started in a group of its own, its last words kept, ended with its whole group."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_LINES = 3
_LINE_MOST_CHARS = 300
_WORDS_WAIT_S = 0.2


class Child:
    """A running backend. `end` is the one way out, also after it has exited by itself."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, secret: str) -> None:
        self._name = name
        self._process = process
        self._secret = secret
        self._words: deque[str] = deque(maxlen=_LINES)
        self._reading = asyncio.create_task(self._read(), name=f"words of {name}")

    @classmethod
    async def start(cls, name: str, command: Sequence[str], environment: Mapping[str, str], *, secret: str) -> Child:
        """Run a command, never through a shell; on Linux it dies with this process. Raises OSError, ValueError."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
            preexec_fn=_DiesWithParent(os.getpid()),
        )
        return cls(name, process, secret)

    async def exited(self) -> str:
        """Wait for its exit; how it went and what it said last."""
        status = await self._process.wait()
        await asyncio.wait((self._reading,), timeout=_WORDS_WAIT_S)
        words = " | ".join(self._words)
        return _how_it_went(status) + (f". Its last words: {words}" if words else "")

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.returncode

    async def end(self, grace_s: float) -> None:
        """SIGTERM to its group, SIGKILL after `grace_s` or when this is cancelled."""
        try:
            if self._process.returncode is None:
                self._signal(signal.SIGTERM)
                with suppress(TimeoutError):
                    async with asyncio.timeout(grace_s):
                        await self._process.wait()
        finally:
            self._signal(signal.SIGKILL)
            self._reading.cancel()
            await asyncio.wait((self._reading,))
            await self._process.wait()

    async def _read(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        while True:
            try:
                line = await stderr.readline()
            except ValueError:  # longer than the stream's bound; the rest comes next
                continue
            if not line:
                return
            text = "".join(c if c.isprintable() else " " for c in line.decode(errors="replace"))
            text = text.replace(self._secret, "***").rstrip()[:_LINE_MOST_CHARS]
            if text:
                self._words.append(text)
                logger.info("%s: %s", self._name, text)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # nobody of the group is left
            os.killpg(self._process.pid, number)


class _DiesWithParent:
    """Runs in the child before its program does: it is to be killed when its parent is."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def __call__(self) -> None:
        if self._libc is not None:
            self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != self._parent:
                os._exit(1)


def _how_it_went(status: int) -> str:
    if status >= 0:
        return f"The streaming backend exited with status {status}"
    try:
        return f"The streaming backend was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"The streaming backend was killed by signal {-status}"
