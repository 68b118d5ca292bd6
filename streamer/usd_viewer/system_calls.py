"""Takes system calls away from this process, by a seccomp filter (seccomp(2)): sockets, other programs, signals.

Landlock guards files and, on newer kernels, TCP alone; this also covers UDP, Unix sockets and what else is called a
network. Linux on x86-64 and 64-bit ARM; elsewhere nothing is taken away.
"""

import ctypes
import errno
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD_WORD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_OFFSET_NUMBER, _OFFSET_ARCHITECTURE = 0, 4
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_X32_BIT = 0x40000000
_EVERYWHERE = (424, 425)
"""pidfd_send_signal, io_uring_setup"""


@dataclass(frozen=True, slots=True)
class _Architecture:
    audit: int
    denied: tuple[int, ...]
    """socket, socketpair; execve, execveat; ptrace, process_vm_readv, process_vm_writev; kill, tkill, tgkill,
    rt_sigqueueinfo, rt_tgsigqueueinfo"""


_ARCHITECTURES: Mapping[str, _Architecture] = {
    "x86_64": _Architecture(0xC000003E, (41, 53, 59, 322, 101, 310, 311, 62, 200, 234, 129, 297)),
    "aarch64": _Architecture(0xC00000B7, (198, 199, 221, 281, 117, 270, 271, 129, 130, 131, 138, 240)),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def refuse_network_and_programs() -> bool:
    """From here on open no socket, start no program, signal nobody; False where that cannot be.

    It holds for the calling thread and those that it starts.
    """
    architecture = _ARCHITECTURES.get(platform.machine())
    prctl = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)
    if architecture is None or prctl is None or platform.system() != "Linux":
        return False
    code = _compile(architecture)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _compile(architecture: _Architecture) -> bytes:
    """The filter: calls of another architecture end the process, the denied ones fail, the rest pass."""
    denied = architecture.denied + _EVERYWHERE
    count = len(denied)
    lines = [
        (_LOAD_WORD, 0, 0, _OFFSET_ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD_WORD, 0, 0, _OFFSET_NUMBER),
        # The x32 calls of x86-64 are the same under other numbers.
        (_JUMP_AT_LEAST, count + 1, 0, _X32_BIT),
        *((_JUMP_EQUAL, count - place, 0, number) for place, number in enumerate(denied)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
