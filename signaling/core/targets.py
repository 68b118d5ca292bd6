"""Which transports of the backend one viewer's client may mean (a backend may have several, and change them)."""

from __future__ import annotations

from signaling.core.media_path import TransportAddress
from signaling.core.snapshots import Targets, is_text


class BackendTargets:
    """Media addresses that the backend named for one viewer, newest last, the oldest beyond `limit` forgotten.

    `known` is what a predecessor had learned.
    """

    def __init__(self, fallback: TransportAddress, known: Targets = (), *, limit: int = 32) -> None:
        self._fallback = fallback
        self._limit = limit
        self._known: dict[tuple[TransportAddress, str | None], None] = {}
        for address, ufrag in known:
            self.learn(address, ufrag)

    def learn(self, address: TransportAddress, ufrag: str | None) -> None:
        """Add a candidate; `ufrag` is that of the transport it belongs to, where signaling told."""
        self._known.pop((address, ufrag), None)
        self._known[address, ufrag] = None
        if len(self._known) > self._limit:
            del self._known[next(iter(self._known))]

    @property
    def known(self) -> Targets:
        """What was learned, so that another can learn it in the same order."""
        return tuple((address, ufrag) for address, ufrag in self._known if is_text(ufrag))

    @property
    def hosts(self) -> frozenset[str]:
        """Where the transports that were named stand."""
        return frozenset(address.host for address, _ in self._known)

    def asked_for(self, ufrag: str | None) -> tuple[TransportAddress, ...]:
        """The transports to ask on behalf of a client that named `ufrag`, each once.

        Those that are known to be that ufrag's; else those whose ufrag nobody told; else all; else the port that the
        backend was started with.
        """
        untold = None
        for wanted in (ufrag, untold):
            found = self._of(wanted)
            if found:
                return found
        return tuple(dict.fromkeys(address for address, _ in self._known)) or (self._fallback,)

    def contradicts(self, address: TransportAddress, ufrag: str | None) -> bool:
        """Whether `ufrag` is known to be of other transports than `address`."""
        found = self._of(ufrag) if ufrag is not None else ()
        return bool(found) and address not in found

    def _of(self, ufrag: str | None) -> tuple[TransportAddress, ...]:
        return tuple(address for address, told in self._known if told == ufrag)
