"""What arrives of a snapshot: through JSON and back, as a hand-over does it."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel

from signaling.handover_state import RelaySnapshot

Told = TypeVar("Told")


class _Letter(BaseModel, Generic[Told]):
    model_config = RelaySnapshot.model_config

    told: Told


def told(kind: type[Told], snapshot: Told) -> Told:
    """What a successor reads of this snapshot."""
    letter = _Letter[kind]  # type: ignore[valid-type]
    return letter.model_validate_json(letter(told=snapshot).model_dump_json()).told
