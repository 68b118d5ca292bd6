"""The catalog's edits in Redis: one text under one revision. What others edit is found by looking every second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import cache

from pydantic import TypeAdapter

from broker.core.catalog_edits import CatalogEdits
from broker.errors import StoreUnavailable
from broker.stores.base import WriteRace
from broker.stores.scripts import Scripts
from signaling.redis_link import RedisLink, RedisUnavailable
from signaling.redis_replies import text

_LOOK_EVERY_S = 1.0


class RedisCatalogStore:
    """Edits that all brokers of one store share. The link stays its maker's to close."""

    def __init__(self, link: RedisLink, *, look_every_s: float = _LOOK_EVERY_S) -> None:
        self._link = link
        self._key = link.key("catalog")
        self._look_every_s = look_every_s
        self._scripts = Scripts()
        self._stored = ""
        self._edits = CatalogEdits()
        self._written = asyncio.Event()

    async def read(self) -> CatalogEdits:
        """As `CatalogStore` has it; what lies there and is not ours makes it unavailable, for an edit would lose it."""
        try:
            stored = text(await self._link.call("GET", self._key))
        except RedisUnavailable as error:
            raise StoreUnavailable(reason=str(error)) from error
        if stored != self._stored:
            self._edits, self._stored = self._parsed(stored), stored
        return self._edits

    async def write(self, edits: CatalogEdits) -> CatalogEdits:
        """As `CatalogStore` has it."""
        if edits.revision != (await self.read()).revision:
            raise WriteRace("the catalog was edited by someone else")
        before, after = self._stored, replace(edits, revision=edits.revision + 1)
        stored = _edits().dump_json(after, exclude_defaults=True).decode()
        try:
            swapped = await self._link.script(self._scripts.swap, [self._key], [before, stored])
        except RedisUnavailable as error:
            raise StoreUnavailable(reason=str(error)) from error
        if swapped != 1:
            raise WriteRace("the catalog was edited by someone else")
        # Wakes those who follow now; who comes later looks for itself.
        self._written.set()
        self._written = asyncio.Event()
        return after

    async def changes(self) -> AsyncGenerator[None, None]:
        """As `CatalogStore` has it; raises StoreUnavailable."""
        seen = (await self.read()).revision
        yield
        while True:
            written = self._written
            if (now := (await self.read()).revision) == seen:
                try:
                    async with asyncio.timeout(self._look_every_s):
                        await written.wait()
                except TimeoutError:
                    continue
                now = (await self.read()).revision
            if now != seen:
                seen = now
                yield

    def _parsed(self, stored: str) -> CatalogEdits:
        if not stored:
            return CatalogEdits()
        try:
            return _edits().validate_json(stored)
        except ValueError as error:
            reason = f"the key {self._key} holds no edits of a catalog: delete it, or set another redis.prefix"
            raise StoreUnavailable(reason=reason) from error


@cache
def _edits() -> TypeAdapter[CatalogEdits]:
    return TypeAdapter(CatalogEdits)
