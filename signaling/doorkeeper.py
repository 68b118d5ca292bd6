"""Admits signaling by the keys that the route table holds now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from signaling.core.admission import Admitted, admit
from signaling.core.handshake import Head
from signaling.metrics import SignalingRefusal
from signaling.routes import Route
from signaling.tokens import AdmissionKey, AdmissionKeys


class Doorkeeper:
    """One for all routes of a relay. `clock` tells seconds since the epoch."""

    def __init__(self, keys: Iterable[AdmissionKey] = (), *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.rekey(keys)

    def rekey(self, keys: Iterable[AdmissionKey]) -> None:
        """Check with these keys from now on; who was admitted stays."""
        self.keys = tuple(keys)
        self._keys = AdmissionKeys(self.keys)

    def admit(self, head: Head, route: Route) -> Admitted | SignalingRefusal:
        """Whether a head may pass to this route's backend, or why not."""
        return admit(head, route, self._keys, now=self._clock())
