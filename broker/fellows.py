"""The other brokers of the same store: known to live, and seen to share the secret that admission tokens need.

Brokers with different secrets would each publish keys of their own, and relays would refuse what the other has signed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol
from uuid import uuid4

from broker.configuration import ConfigurationError
from broker.errors import StoreUnavailable

logger = logging.getLogger(__name__)

TTL_S = 4.0
"""So long a broker that is silent counts as living: one that was killed must not keep its successor from starting."""

_EVERY_S = 1.0
_TRY_S = 0.25
_LONGEST_WORD = 16


class BrokerList(Protocol):
    """Where brokers say that they live. Both methods may raise `StoreUnavailable`."""

    async def say(self, broker_id: str, word: str, *, ttl_s: float) -> Mapping[str, str]:
        """Say that this broker lives; what the others say of themselves, by id."""

    async def leave(self, broker_id: str) -> None:
        """Be listed no more."""


class Fellows:
    """This broker among the others. `fingerprints` tell its secrets apart, the one that signs first.

    `patience_s`: so long one that contradicts may turn out to be dead.
    """

    def __init__(
        self,
        brokers: BrokerList,
        fingerprints: Sequence[str],
        *,
        ttl_s: float = TTL_S,
        patience_s: float = TTL_S + _EVERY_S,
    ) -> None:
        self._brokers = brokers
        self._word = " ".join(fingerprints[:_LONGEST_WORD])
        self._ttl_s = ttl_s
        self._patience_s = patience_s
        self._id = uuid4().hex
        self._count = 0

    @property
    def count(self) -> int:
        """How many others lived when last looked."""
        return self._count

    async def join(self) -> None:
        """Take a place among the others, once none contradicts. While the store is away, none does.

        Raises ConfigurationError where one that lives has other secrets.
        """
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while not await self._agrees():
            if asyncio.get_running_loop().time() > deadline:
                with suppress(StoreUnavailable):
                    await self._brokers.leave(self._id)
                raise ConfigurationError(
                    "settings",
                    "admission.secret_file",
                    "another broker on this Redis signs admission tokens with another secret, or one of the two has "
                    "none: name a file with the same secrets for each broker, or another redis.prefix",
                )
            await asyncio.sleep(_TRY_S)

    async def run(self) -> None:
        """Say that this broker lives until cancelled; then say goodbye."""
        agreed = True
        try:
            while True:
                agreed_before, agreed = agreed, await self._agrees()
                if agreed_before and not agreed:
                    logger.warning("a broker with another secret for admission tokens tries to join")
                await asyncio.sleep(_EVERY_S)
        finally:
            with suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(_EVERY_S):
                    await self._brokers.leave(self._id)

    async def _agrees(self) -> bool:
        try:
            others = await self._brokers.say(self._id, self._word, ttl_s=self._ttl_s)
        except StoreUnavailable:
            return True
        self._count = len(others)
        return all(_agree(self._word.split(" "), word.split(" ")) for word in others.values())


def _agree(mine: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether each accepts what the other signs. In the midst of a change of secrets the lists differ and still do."""
    return mine[0] in theirs and theirs[0] in mine
