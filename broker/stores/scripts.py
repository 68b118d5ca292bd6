"""The Lua scripts of the Redis form. Each is one step to everybody else."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from signaling.redis_link import Script

_FOLDER = Path(__file__).with_name("lua")


class Scripts:
    """Read when they are first used."""

    @cached_property
    def write(self) -> Script:
        """Write a session with its claims, counts, events and its entry in the stream of changes."""
        return _script("write")

    @cached_property
    def append(self) -> Script:
        """Append events."""
        return _script("append")

    @cached_property
    def stamps(self) -> Script:
        """Tell the stamps of some sessions."""
        return _script("stamps")

    @cached_property
    def set_aside(self) -> Script:
        """Take a record that is none out of the way."""
        return _script("set_aside")

    @cached_property
    def mend_claims(self) -> Script:
        """Hold for some sessions what they hold."""
        return _script("mend_claims")

    @cached_property
    def free_claims(self) -> Script:
        """Free those of some claims that nobody holds."""
        return _script("free_claims")

    @cached_property
    def pools(self) -> Script:
        """Tell all counts as of one change."""
        return _script("pools")

    @cached_property
    def swap(self) -> Script:
        """Compare-and-set one text."""
        return _script("swap")


def _script(name: str) -> Script:
    return Script((_FOLDER / f"{name}.lua").read_text(encoding="utf-8"))
