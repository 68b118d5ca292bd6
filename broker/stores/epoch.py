"""Whether what is stored is whole: the promise about data that was lost, and its form in one process.

An epoch is one life of the data. Where none is there, the data is new or was lost; whoever finds that sets one that is
`REBUILDING`, writes the sessions that relays and brokers still know (`restore`), and sets it `READY`. Meanwhile the
store refuses every other write, and calls nothing missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from broker.core.session import Session


class EpochState(StrEnum):
    """Whether the sessions of this life of the data are all there."""

    REBUILDING = "rebuilding"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Epoch:
    """One life of the data. `id` is new for each."""

    id: str
    state: EpochState


class Epochs(Protocol):
    """What a store that can lose its data offers besides. Every method may raise `StoreUnavailable`."""

    async def epoch(self) -> Epoch | None:
        """The epoch as it is stored now; None where there is none, or none that can be read."""

    async def set_epoch(self, epoch: Epoch, *, instead_of: Epoch | None) -> bool:
        """Set it where the stored one is `instead_of`; returns whether it was."""

    async def restore(self, session: Session, *, epoch: Epoch) -> Session:
        """Write a session that was lost, with its claims, while this epoch is being rebuilt; returns it as written.

        Its revision counts on from the one that it has. Raises WriteRace where it is there already, or where one of
        its claims is another's, and where the stored epoch is not `epoch`. It tells no listener, and makes no event.
        """

    def remembered(self) -> Mapping[str, Session]:
        """The sessions that this broker knew last, of whatever epoch: what it can bring to a rebuilding."""
