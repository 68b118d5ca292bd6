"""Whether relays are there: by their announcements, and where those stop, by connects to their signaling ports.

A missing announcement alone proves nothing: the relay may be cut from the route table and serve its viewers all the
same. It is lost once its ports refuse connects, or once neither word nor answer came for long.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

REFUSALS = 3
"""So many refused connects in a row are proof: a relay that lives listens on the ports of its routes."""

PROBE_REFUSED_S = 0.25
PROBE_S = 1.0
"""How long after a probe the next one follows: soon after a refused one, to be sure soon."""


class Sight(StrEnum):
    """What is known of a relay. `SUSPECT`: not announced, and not yet known why. `ANSWERING`: it lives unannounced."""

    ANNOUNCED = "announced"
    SUSPECT = "suspect"
    ANSWERING = "answering"
    LOST = "lost"


class Answer(StrEnum):
    """What became of a connect. `SILENT`: neither accepted nor refused in time."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    SILENT = "silent"


@dataclass(slots=True)
class _Missing:
    since: float
    probe_at: float
    sight: Sight = Sight.SUSPECT
    refusals: int = 0


class RelayHealth:
    """The relays that sessions hold ports of, and how long each has been missing. Of others nothing is kept."""

    def __init__(self, *, silence_s: float) -> None:
        self._silence_s = silence_s
        self._missing: dict[str, _Missing] = {}

    def see(self, held: Collection[str], announced: Collection[str], now: float) -> None:
        """These relays are held ports of, and those are announced now."""
        gone = set(held).difference(announced)
        for relay_id in self._missing.keys() - gone:
            del self._missing[relay_id]
        for relay_id in gone:
            self._missing.setdefault(relay_id, _Missing(now, now))

    def due(self, now: float) -> list[str]:
        """Whom to probe now."""
        missing = self._missing.items()
        return [key for key, one in missing if one.sight is not Sight.LOST and now >= one.probe_at]

    def probed(self, relay_id: str, answer: Answer, now: float) -> None:
        """A probe of this relay has ended."""
        one = self._missing.get(relay_id)
        if one is None or one.sight is Sight.LOST:
            return
        one.probe_at = now + (PROBE_REFUSED_S if answer is Answer.REFUSED else PROBE_S)
        match answer:
            case Answer.ACCEPTED:
                one.sight, one.refusals, one.since = Sight.ANSWERING, 0, now
            case Answer.REFUSED:
                one.refusals += 1
                one.sight = Sight.LOST if one.refusals >= REFUSALS else Sight.SUSPECT
            case Answer.SILENT:
                one.refusals = 0
                one.sight = Sight.LOST if now >= one.since + self._silence_s else Sight.SUSPECT

    def sight(self, relay_id: str) -> Sight:
        """What is known of it."""
        one = self._missing.get(relay_id)
        return Sight.ANNOUNCED if one is None else one.sight

    def those_in(self, sight: Sight) -> frozenset[str]:
        """The missing relays that are seen so."""
        return frozenset(key for key, one in self._missing.items() if one.sight is sight)
