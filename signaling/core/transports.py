"""Which transport of a peer connection a trickled candidate belongs to, by what signaling told of its m-lines."""

from __future__ import annotations

from dataclasses import dataclass, field

from signaling.core.snapshots import TransportsSnapshot, is_text

MAX_REMEMBERED = 256
"""Entries of one kind that are remembered of one side."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the objects around a trickled candidate say of it."""

    ufrag: str | None = None
    mid: str | None = None
    index: int | None = None


@dataclass(slots=True)
class Transports:
    """What one side has told: the ufrag of each m-line, and for which of them a candidate was passed on."""

    by_mid: dict[str, str] = field(default_factory=dict)
    by_index: dict[int, str] = field(default_factory=dict)
    latest: str | None = None
    told: set[tuple[str | None, str | int | None]] = field(default_factory=set)

    def learn(self, mid: str | None, index: int | None, ufrag: str) -> None:
        """A description gives this m-line these credentials; new ones begin anew."""
        if ufrag not in self.by_index.values() and ufrag != self.latest:
            self.told.clear()
        if mid is not None and (mid in self.by_mid or len(self.by_mid) < MAX_REMEMBERED):
            self.by_mid[mid] = ufrag
        if index is not None and index < MAX_REMEMBERED:
            self.by_index[index] = ufrag
        self.latest = ufrag

    def ufrag(self, place: Place) -> str | None:
        """Of the transport that a candidate at this place belongs to; None where that is open."""
        if place.ufrag is not None:
            return place.ufrag
        if place.mid is not None and place.mid in self.by_mid:
            return self.by_mid[place.mid]
        if place.index is not None and place.index in self.by_index:
            return self.by_index[place.index]
        known = {*self.by_mid.values(), *self.by_index.values()}
        return self.latest if len(known) <= 1 else None

    def tell(self, place: Place) -> bool:
        """Note that a candidate of this m-line was passed on; False when one was already."""
        key = (self.ufrag(place), place.index if place.mid is None else place.mid)
        if key in self.told:
            return False
        if len(self.told) < MAX_REMEMBERED:
            self.told.add(key)
        return True

    def has_told(self, ufrag: str | None) -> bool:
        """Whether any candidate of this transport was passed on."""
        return any(of == ufrag for of, _ in self.told)

    def snapshot(self) -> TransportsSnapshot:
        """All of it, as plain values."""
        return TransportsSnapshot(
            tuple(pair for pair in self.by_mid.items() if is_text(*pair)),
            tuple(pair for pair in self.by_index.items() if is_text(*pair)),
            self.latest if is_text(self.latest) else None,
            tuple(key for key in self.told if is_text(*key)),
        )

    def restore(self, snapshot: TransportsSnapshot) -> None:
        """Know what a predecessor knew."""
        self.by_mid.update(snapshot.by_mid)
        self.by_index.update(snapshot.by_index)
        self.latest = snapshot.latest
        self.told.update(snapshot.told)
