"""The epoch in Redis: one small text, compared and set as a whole."""

from __future__ import annotations

import json

from broker.stores.epoch import Epoch, EpochState
from broker.stores.scripts import Scripts
from signaling.redis_link import RedisLink, Reply
from signaling.redis_replies import text


class EpochKey:
    """Knows the epoch as it was read last. Every method that asks Redis raises RedisUnavailable."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._key = link.key("epoch")
        self._scripts = Scripts()
        self.known = ""
        """The text that was read last; empty for none."""
        self._is_ready = False

    @property
    def ready(self) -> str:
        """The text that a script has to find there while the data is whole; empty as long as it is not known to be."""
        return self.known if self._is_ready else ""

    def know(self, reply: Reply) -> Epoch | None:
        """Know what a read of the key answered."""
        stored = text(reply)
        epoch = _parsed(stored)
        self.known, self._is_ready = stored, epoch is not None and epoch.state is EpochState.READY
        return epoch

    async def read(self) -> Epoch | None:
        """The epoch; None where there is none, or something else than one."""
        return self.know(await self._link.call("GET", self._key))

    async def set(self, epoch: Epoch, *, instead_of: Epoch | None) -> bool:
        """Set it in the place of that one; returns whether it was. What is no epoch counts as none."""
        stored = text(await self._link.call("GET", self._key))
        if _parsed(stored) != instead_of:
            return False
        try:
            return await self._link.script(self._scripts.swap, [self._key], [stored, written(epoch)]) == 1
        finally:
            self.know(None)


def written(epoch: Epoch) -> str:
    """As it lies in Redis, the same for the same epoch."""
    return json.dumps({"id": epoch.id, "state": epoch.state.value})


def _parsed(stored: str) -> Epoch | None:
    try:
        match json.loads(stored):
            case {"id": str(epoch_id), "state": str(state)}:
                return Epoch(epoch_id, EpochState(state))
    except ValueError:
        pass
    return None
