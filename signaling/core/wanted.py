"""What a relay knows to be wanted of it, held through outages of the table and through the loss of its data. Pure.

Silence is never an empty set: a route goes when a change says so, or when a set of the same data does not hold it.
Where the table lost its data, or may have, the routes of before are handed in to it, and each is served on until a
broker has dealt with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from signaling.routes import Route


@dataclass(frozen=True, slots=True)
class Look:
    """The whole set as the table had it at one moment; `routes` is None where it is the one that is known.

    `epoch` tells one life of the table's data from the next; None: they have none, so they were lost and nobody began
    to restore them. `origin` tells the server and its starts apart, None where it does not tell. `count` is the number
    of the last change, `position` where to follow from. Of the sessions asked for, `handed_in` are those whose routes
    of before wait for a broker. `unreadable` are those whose entry makes no sense.
    """

    epoch: str | None
    origin: str | None
    count: int
    position: str
    routes: Mapping[str, Route] | None
    handed_in: frozenset[str] = frozenset()
    unreadable: frozenset[str] = frozenset()


class Wanted:
    """The set, look by look and change by change. `before` is the one of an earlier follower of the same relay."""

    def __init__(self, before: Wanted | None = None) -> None:
        self.count = -1
        self.position = "0-0"
        self.version = 0
        self._seen: tuple[str | None, str | None] = before._seen if before is not None else ("", None)
        self._routes: dict[str, Route] = dict(before._routes) if before is not None else {}
        self._kept: dict[str, Route] = dict(before._kept) if before is not None else {}

    @property
    def kept(self) -> frozenset[str]:
        """Sessions that are served though the table does not have their routes."""
        return frozenset(self._kept)

    def whole(self) -> dict[str, Route]:
        """Every route that is to be served, by session."""
        return {**self._kept, **self._routes}

    def is_known(self, look: Look) -> bool:
        """Whether the table's data are sure to be those of before."""
        epoch, origin = self._seen
        return look.epoch == epoch and (origin is None or look.origin is None or origin == look.origin)

    def missing(self, look: Look) -> dict[str, Route]:
        """What has to be handed in before this look may be taken. It must have asked for every session."""
        if look.epoch is not None and self.is_known(look):
            return {}
        there = self._routes.keys() if look.routes is None else look.routes.keys() | look.unreadable
        return {key: route for key, route in self.whole().items() if key not in there and key not in look.handed_in}

    def take(self, look: Look) -> None:
        """Believe a look. What was handed in and is not in there any more was dealt with."""
        before = self.whole()
        if look.routes is not None:
            self._routes = {**{key: before[key] for key in look.unreadable & before.keys()}, **look.routes}
        self._kept = {key: before[key] for key in look.handed_in & before.keys() - self._routes.keys()}
        self._seen = look.epoch, look.origin or self._seen[1]
        self.count, self.position = look.count, look.position
        after = self.whole()
        self.version += before.keys() != after.keys() or not all(_is_same(before[key], after[key]) for key in after)

    def change(self, count: int, position: str, session_id: str, route: Route | None) -> bool:
        """Believe one change, None: the route is not wanted any more; False where some before it were missed."""
        if count != self.count + 1:
            return False
        self.count, self.position = count, position
        kept, before = self._kept.pop(session_id, None), self._routes.pop(session_id, None)
        if route is not None:
            self._routes[session_id] = route
        self.version += not _is_same(before or kept, route)
        return True


def _is_same(before: Route | None, after: Route | None) -> bool:
    """Whether both are the same, their records too."""
    return before == after and (before is None or after is None or before.record == after.record)
