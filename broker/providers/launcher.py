"""Becomes the command given after one's parent's process id, and sees to it that the command dies with that parent.

Run as a script in a fresh process: `python -I -S launcher.py <parent pid> <command> [argument ...]`. It imports nothing
of ours, so that it starts in milliseconds. Only Linux can bind a child's life to its parent's; elsewhere the broker's
own clean-up has to do.
"""

import os
import sys

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9
EXIT_CANNOT_RUN = 127


def _die_with_parent(parent_pid: int) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before the call above
        os._exit(1)


def main(argv: list[str]) -> None:
    """Replace this process by the command; say on stderr why that cannot be done."""
    parent_pid, command = int(argv[1]), argv[2:]
    if sys.platform == "linux":
        _die_with_parent(parent_pid)
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        print(f"cannot run {command[0]!r}: {error.strerror}", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_CANNOT_RUN)


if __name__ == "__main__":
    main(sys.argv)
