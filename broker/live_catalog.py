"""The catalog as it is now: the file's, with the edits that the store keeps; and the one way to edit it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import replace

from broker.core.catalog import Catalog
from broker.core.catalog_edits import CatalogEdits, merged
from broker.errors import StoreUnavailable
from broker.stores.base import WriteRace
from broker.stores.catalog import CatalogStore

logger = logging.getLogger(__name__)

_WRITE_ATTEMPTS = 32
_RETRY_S = 1.0


class LiveCatalog:
    """Called, it returns the catalog of this moment: whoever needs it over time keeps this, and no catalog."""

    def __init__(self, file: Catalog, store: CatalogStore) -> None:
        self._file = file
        self._store = store
        self._edits = CatalogEdits()
        self._current = file

    def __call__(self) -> Catalog:
        return self._current

    async def run(self) -> None:
        """Take over what others edit, until cancelled. While the store is away the last known catalog is served."""
        while True:
            try:
                async with aclosing(self._store.changes()) as changes:
                    async for _ in changes:
                        await self._take_over(await self._store.read())
            except StoreUnavailable:
                logger.warning("edits of the catalog are not heard of for now")
            await asyncio.sleep(_RETRY_S)

    async def edit(self, change: Callable[[Catalog, CatalogEdits], CatalogEdits]) -> Catalog:
        """Make a change, given the file's catalog and its edits; returns the catalog after it, which all see at once.

        Raises what `change` raises, and StoreUnavailable.
        """
        for _ in range(_WRITE_ATTEMPTS):
            try:
                await self._take_over(await self._store.read())
                self._take(await self._store.write(change(self._file, self._edits)))
            except WriteRace:
                continue
            return self._current
        raise StoreUnavailable

    async def _take_over(self, edits: CatalogEdits) -> None:
        """Take what is stored; where the store lost all of it, store what is known here instead."""
        if edits.revision == 0 < self._edits.revision:
            logger.warning("the store lost the edits of the catalog: they are written anew")
            with suppress(WriteRace):
                edits = await self._store.write(replace(self._edits, revision=0))
        self._take(edits)

    def _take(self, edits: CatalogEdits) -> None:
        if 0 < edits.revision != self._edits.revision:
            self._edits, self._current = edits, merged(self._file, edits)
