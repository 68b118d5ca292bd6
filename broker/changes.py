"""Wakes those who follow something that changes; what happens between two steps of a follower is not missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable


class ChangeFeed:
    """Tells followers which keys changed, several changes as one."""

    def __init__(self) -> None:
        self._followers: dict[str | None, set[_Follower]] = {}

    def fire(self, key: str) -> None:
        """Tell those who follow this key, and those who follow all."""
        for followed in (key, None):
            for follower in self._followers.get(followed, ()):
                follower.keys.add(key)
                follower.event.set()

    async def follow(self, key: str | None, first: Iterable[str]) -> AsyncGenerator[frozenset[str], None]:
        """Yield `first` at once, then the keys changed, of all keys or of the one given. To be closed after use."""
        follower = _Follower()
        followers = self._followers.setdefault(key, set())
        followers.add(follower)
        try:
            yield frozenset(first)
            while True:
                await follower.event.wait()
                yield follower.take()
        finally:
            followers.discard(follower)
            if not followers and self._followers.get(key) is followers:
                del self._followers[key]


class _Follower:
    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.event = asyncio.Event()

    def take(self) -> frozenset[str]:
        keys = frozenset(self.keys)
        self.keys.clear()
        self.event.clear()
        return keys
