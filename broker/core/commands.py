"""What a step of a session wants done, by providers and on the route table. Pure data; all may be done again."""

from __future__ import annotations

from dataclasses import dataclass

from broker.core.session import Alarm
from broker.core.slot import SlotRef
from signaling.routes import Route


@dataclass(frozen=True, slots=True)
class Launch:
    """Start the backend of this slot."""

    slot: SlotRef


@dataclass(frozen=True, slots=True)
class Activate:
    """Give this slot's backend its session."""

    slot: SlotRef


@dataclass(frozen=True, slots=True)
class Publish:
    """Want this route."""

    route: Route


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Want no route for this session."""

    session_id: str


@dataclass(frozen=True, slots=True)
class Release:
    """End the backend of this slot."""

    slot: SlotRef


@dataclass(frozen=True, slots=True)
class Warn:
    """Have this slot's backend tell its viewers of the alarm, unless they were told of this warning."""

    slot: SlotRef
    alarm: Alarm


Command = Launch | Activate | Publish | Withdraw | Release | Warn
