"""Runs a command, and ends it with all that it started as soon as it ends itself or the guard's parent lets go.

A script for a fresh process in a group of its own: `python -I -S guard.py <command> [argument ...]`. Standard input
brings the command's environment (see `pack`) and is the life line: once it closes, since the parent let go of it or
is dead, everything is killed. On Linux that reaches processes which left the group as well: orphans below a guard
become its children. It imports nothing of ours, so that it starts in milliseconds.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Mapping

EXIT_CANNOT_RUN = 127
_LIFE_LINE = 0
_END_OF_ENVIRONMENT = b"\0\0"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_OUTLIVED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""They come to the whole group and are meant for the command."""


def pack(environment: Mapping[str, str]) -> bytes:
    """An environment as the guard reads it. Raises ValueError for what no environment can hold."""
    entries = [f"{name}={value}" for name, value in environment.items()]
    if any("\0" in entry for entry in entries) or any("=" in name or not name for name in environment):
        raise ValueError("an environment holds no NUL character, and no '=' in a name")
    return b"\0".join([*map(os.fsencode, entries), b"", b""]) if entries else _END_OF_ENVIRONMENT


def main(command: list[str]) -> None:
    """Guard the command, and exit as it did; say on stderr why it cannot be run."""
    environment = _read_environment()
    wakes, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGCHLD, *_OUTLIVED):
        signal.signal(number, lambda *_: None)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    guard = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(command, environment, guard)
    status = _wait_for(pid, wakes)
    _kill_the_rest()
    _exit_as(status)


def _read_environment() -> dict[bytes, bytes]:
    content = b""
    while not content.endswith(_END_OF_ENVIRONMENT):
        more = os.read(_LIFE_LINE, 65536)
        if not more:
            sys.exit(EXIT_CANNOT_RUN)
        content += more
    entries = (entry.partition(b"=") for entry in content.split(b"\0") if entry)
    return {name: value for name, _, value in entries}


def _become(command: list[str], environment: dict[bytes, bytes], guard: int) -> None:
    """Replace this process by the command."""
    try:
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and the command would inherit that
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == guard:  # else it died before the call above
            os.execvpe(command[0], command, environment)  # noqa: S606
    except OSError as error:
        os.write(2, f"cannot run {command[0]!r}: {error.strerror}\n".encode(errors="replace"))
    finally:
        os._exit(EXIT_CANNOT_RUN)


def _wait_for(pid: int, wakes: int) -> int:
    """The command's status when it ends; it is killed when the life line closes."""
    watched = [_LIFE_LINE, wakes]
    while True:
        readable, _, _ = select.select(watched, [], [])
        if _LIFE_LINE in readable and not os.read(_LIFE_LINE, 4096):
            watched.remove(_LIFE_LINE)
            _kill(pid)
        if wakes in readable:
            os.read(wakes, 4096)
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == pid:
                return ended[1]


def _kill(pid: int) -> None:
    """Kill a child; where no system finds the others for us, the whole group, and with it this process."""
    try:
        if sys.platform == "linux":
            os.kill(pid, signal.SIGKILL)
        else:
            os.killpg(0, signal.SIGKILL)
    except PermissionError:
        pass  # it has become another user's


def _kill_the_rest() -> None:
    """Kill what the command left, and what that leaves in turn."""
    try:
        while True:
            for pid in _children():
                _kill(pid)
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass  # nobody is left


def _children() -> list[int]:
    if sys.platform != "linux":
        return []
    own = os.getpid()
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent_of(pid) == own]


def _parent_of(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[1])
    except OSError:
        return None


def _exit_as(status: int) -> None:
    number = -os.waitstatus_to_exitcode(status)
    if number > 0:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(-number)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
