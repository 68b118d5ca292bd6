"""What starts and ends streaming backends: the provider protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from broker.core.catalog import Profile
from broker.core.slot import Backend, SlotRef


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """Which backend to start. `arguments` reach backends with `protocol = "plain"` only, by environment."""

    profile: Profile
    application: str
    version: str
    arguments: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Activation:
    """What a backend learns of the session that it serves."""

    session_id: str
    arguments: Mapping[str, str]
    backend_secret: str = field(repr=False)


class Provider(Protocol):
    """Backends by slot. Every call is idempotent and keyed by the slot's id; what becomes of it shows in `observe`."""

    async def run(self) -> None:
        """Serve until cancelled; then end every backend that dies with this broker."""

    async def launch(self, slot: SlotRef, order: LaunchOrder) -> None:
        """Begin to start a backend in this slot. Does not wait for it."""

    async def adopt(self, slot: SlotRef, order: LaunchOrder, activation: Activation, *, was_ready: bool) -> bool:
        """Take up the backend that another broker launched in this slot, if it still is there.

        Returns whether backends of this kind outlive their broker: then `observe` tells what was found, soon, and where
        the session `was_ready` none is started in its place. Else there is nothing to take up. Does not wait for it.
        """

    async def activate(self, slot: SlotRef, activation: Activation) -> None:
        """Give the backend its session as soon as it is idle. Does not wait for it."""

    async def notify(self, slot: SlotRef, warning: str) -> None:
        """Have the backend tell its viewers, where it can. Does not wait for it."""

    async def release(self, slot: SlotRef) -> None:
        """End the backend and free all that it held; returns when that is done. A slot not known is free already."""

    def observe(self) -> AsyncGenerator[Mapping[str, Backend], None]:
        """Yield all backends by slot id: at once, then after each change. A failed one stays until released."""
