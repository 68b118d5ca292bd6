"""What a process gives up before it reads a stage: memory, time, files outside some folders, TCP.

Limits hold everywhere on Unix. Landlock adds the rest where the kernel has it (Linux 5.13, see landlock(7)); where it
has not, the stage policy stands alone. `system_calls` takes away the whole network.
"""

import ctypes
import os
import resource
import signal
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_FILE_ACCESS = _EXECUTE | _READ_FILE
_ALL_ACCESS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
_NEWEST_ACCESS_BITS = 16
_NETWORK_VERSION, _NETWORK_BITS = 4, 0b11


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64), ("handled_access_net", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def limit_resources(*, memory_bytes: int, cpu_s: int, file_bytes: int) -> None:
    """Bound this process's address space, processor time and the size of files it writes; leave no core dumps."""
    limit_memory(memory_bytes)
    for kind, bound in ((resource.RLIMIT_CPU, cpu_s), (resource.RLIMIT_FSIZE, file_bytes), (resource.RLIMIT_CORE, 0)):
        _limit(kind, bound)


def limit_memory(memory_bytes: int) -> None:
    """Bound this process's address space; never above a bound that it has already."""
    _limit(resource.RLIMIT_AS, memory_bytes)


def address_space() -> int:
    """Bytes of address space that this process has taken; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * resource.getpagesize()


def _limit(kind: int, bound: int) -> None:
    hard = resource.getrlimit(kind)[1]
    wanted = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
    resource.setrlimit(kind, (wanted, wanted))


def die_with_parent(parent: int) -> None:
    """End this process when the thread that started it ends (Linux); at once where that was so already."""
    prctl = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def read_only(folders: Iterable[Path]) -> bool:
    """From here on open files under `folders` only, to read, and no TCP connections; False where that cannot be."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "prctl"):
        return False
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    if version < 1:
        return False
    handled = (1 << _ALL_ACCESS_BITS.get(version, _NEWEST_ACCESS_BITS)) - 1
    attributes = _RulesetAttributes(handled, _NETWORK_BITS if version >= _NETWORK_VERSION else 0)
    size = ctypes.sizeof(attributes) if version >= _NETWORK_VERSION else 8
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    try:
        for folder in folders:
            _allow(libc, ruleset, folder)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        access = _FILE_ACCESS | _READ_DIR if path.is_dir() else _FILE_ACCESS
        rule = _PathBeneath(access, opened)
        libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(opened)
