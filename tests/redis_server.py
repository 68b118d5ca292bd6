"""A real redis-server of a test's own, on loopback and a Unix socket, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.absence import absent

_START_S = 10.0
_EPHEMERAL = {"save": "", "appendonly": "no"}


class RedisServer:
    """Start, stop, kill, pause and resume it; the port stays its own over restarts, and so does its folder.

    `options` are redis-server's own, as `appendonly="yes", appendfsync="always"` or `maxmemory="10mb"`; names with an
    underscore stand for those with a dash. Without any, nothing is written to disk.
    """

    def __init__(self, folder: Path, **options: str) -> None:
        binary = shutil.which("redis-server") or shutil.which("valkey-server")
        if binary is None:
            absent("redis-server")
        self.binary = binary
        self.folder = folder
        self.port = free_port()
        self.options: dict[str, str] = _EPHEMERAL | {name.replace("_", "-"): value for name, value in options.items()}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, over TCP."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        """Where it is, over a Unix socket."""
        return f"unix://{self._socket_path}"

    @property
    def pid(self) -> int:
        """The process; raises where it does not run."""
        assert self._process is not None
        return self._process.pid

    @property
    def command(self) -> list[str]:
        """What starts it."""
        command = [self.binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--unixsocket", self._socket_path, "--unixsocketperm", "700"]
        for name, value in self.options.items():
            command += [f"--{name}", *(value.split() if value else [""])]
        return command

    def start(self, **options: str) -> RedisServer:
        """Start, or start again with what is on disk; returns when it answers. `options` replace those from before."""
        self.stop()
        self.options |= {name.replace("_", "-"): value for name, value in options.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self.command, stdout=log, stderr=log)
        try:
            self.wait_until_it_answers()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """End it in order: what it keeps on disk is written. Idempotent."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9. Idempotent."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: it accepts connections (the kernel does) and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def forget(self) -> None:
        """Drop what lies on disk, so that the next start begins empty. It must not run."""
        assert self._process is None
        shutil.rmtree(self.folder)

    def ask(self, *command: str) -> bytes:
        """One command by a connection of its own; the first reply as it is on the wire."""
        parts = [part.encode() for part in command]
        packed = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(packed)
            return connection.recv(65536)

    @property
    def _socket_path(self) -> str:
        return str(self.folder / "s")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            # A paused process does not hear SIGTERM until it is resumed.
            process.send_signal(signal.SIGCONT)
            process.send_signal(how)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def wait_until_it_answers(self) -> None:
        """That it talks at all: it may ask for a password, or be loading for a moment."""
        deadline = time.monotonic() + _START_S
        while True:
            if self._process is not None and self._process.poll() is not None:
                raise RuntimeError(f"redis-server ended: {(self.folder / 'log').read_text()[-2000:]}")
            try:
                if self._answers().startswith((b"+PONG", b"-NOAUTH")):
                    return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise RuntimeError(f"redis-server does not answer: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.01)

    def _answers(self) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(self._socket_path)
            connection.sendall(b"PING\r\n")
            return connection.recv(64)


def free_port() -> int:
    """A TCP port that was free a moment ago; two servers of a moment get different ones."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def redis_server_apart() -> Iterator[RedisServer]:
    """One that is no child of this process, so that tests which look for what they left behind do not find it.

    It ends with this process at the latest: then the pipe closes that its keeper reads.
    """
    folder = Path(tempfile.mkdtemp(prefix="pf-redis-"))
    server = RedisServer(folder)
    reads, writes = os.pipe()
    keeper = f'"$@" & cat > {os.devnull}; kill $!; wait $!; rm -r "$0"'
    try:
        with (folder / "log").open("ab") as log:
            command = ["setsid", "--fork", "sh", "-c", keeper, str(folder), *server.command]
            subprocess.run(command, stdin=reads, stdout=log, stderr=log, check=True)
        server.wait_until_it_answers()
        yield server
    finally:
        os.close(reads)
        os.close(writes)


@contextmanager
def redis_server(**options: str) -> Iterator[RedisServer]:
    """One that runs, in a folder that goes with it. The folder's path is short, as a Unix socket's must be."""
    folder = Path(tempfile.mkdtemp(prefix="pf-redis-"))
    server = RedisServer(folder / "r", **options)
    try:
        yield server.start()
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
