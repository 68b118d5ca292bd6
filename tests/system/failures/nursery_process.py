"""The process of `nursery`: has everything imported, and forks a child for each command that it is told.

A broker then starts in a tenth of a second instead of two, and hundreds of deaths cost little. The child is what
`pixelferry` would be: it calls the same `main` with the same words. One JSON object a line, both ways:
{"id", "target", "arguments", "environment", "log"} is answered {"id", "pid"}; {"pid", "status"} tells of an end.
Children end with this process, and it ends with its standard input.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import sys
import traceback
from contextlib import suppress
from typing import TextIO


def main(modules: list[str]) -> None:
    """Import these modules, then serve until standard input ends."""
    for module in modules:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    children: set[int] = set()
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(waker)
    _say({"ready": True})
    try:
        _serve(sys.stdin, woken, children)
    finally:
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _serve(commands: TextIO, woken: int, children: set[int]) -> None:
    buffered = b""
    while True:
        readable, _, _ = select.select([commands.fileno(), woken], [], [])
        if woken in readable:
            with suppress(BlockingIOError):
                os.read(woken, 4096)
            _reap(children)
        if commands.fileno() in readable:
            data = os.read(commands.fileno(), 65536)
            if not data:
                return
            *lines, buffered = (buffered + data).split(b"\n")
            for line in lines:
                order = json.loads(line)
                pid = _fork(order)
                children.add(pid)
                _say({"id": order["id"], "pid": pid})


def _fork(order: dict[str, object]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        _become(str(order["log"]), dict(order["environment"]))  # type: ignore[call-overload]
        module, _, name = str(order["target"]).partition(":")
        status = getattr(sys.modules[module], name)(order["arguments"]) or 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _become(log: str, environment: dict[str, str]) -> None:
    """Make the fork a process of its own: signals, files and environment as a fresh one has them."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.setsid()
    with open(os.devnull) as nothing, open(log, "a") as output:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.closerange(3, 64)
    os.environ.update(environment)


def _reap(children: set[int]) -> None:
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            children.discard(pid)
            _say({"pid": pid, "status": os.waitstatus_to_exitcode(status)})


def _say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
