"""Where edits of the catalog are kept: the promise, and the form of one process.

One document under one revision: each form needs nothing but a compare-and-set of a value, and news of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Protocol

from broker.core.catalog_edits import CatalogEdits
from broker.stores.base import WriteRace
from signaling.table import ChangeSignal


class CatalogStore(Protocol):
    """The edits of the catalog. Every method may raise `StoreUnavailable`."""

    async def read(self) -> CatalogEdits:
        """The edits as they are now; none at revision 0 before the first write."""

    async def write(self, edits: CatalogEdits) -> CatalogEdits:
        """Keep these instead; returns them as written. `revision` must be the stored one's; raises WriteRace else."""

    def changes(self) -> AsyncGenerator[None, None]:
        """Yield at once, then after each write; several may come as one. To be closed after use."""


class MemoryCatalogStore:
    """Edits that last as long as the process."""

    def __init__(self) -> None:
        self._edits = CatalogEdits()
        self._changed = ChangeSignal()

    async def read(self) -> CatalogEdits:
        return self._edits

    async def write(self, edits: CatalogEdits) -> CatalogEdits:
        if edits.revision != self._edits.revision:
            raise WriteRace("the catalog was edited by someone else")
        self._edits = replace(edits, revision=edits.revision + 1)
        self._changed.fire()
        return self._edits

    def changes(self) -> AsyncGenerator[None, None]:
        return self._changed.follow()
