"""What can go wrong in the relay and is the caller's to answer.

    RelayError
    ├── PortUnavailable     another process holds a port of the route, or the host refuses it
    ├── TableUnavailable    the route table cannot be reached; what is served is served on
    │   └── NameTaken       a relay elsewhere is announced under the same name
    ├── Deposed             another broker holds the lease by now: this one's write was refused
    └── TooManyViewers      the route serves as many viewers as it may

Bad bytes from the net are no errors: they are dropped and counted (`signaling.metrics`).
"""

from __future__ import annotations

from signaling.routes import RouteError


class RelayError(Exception):
    """Root of the relay's own errors."""


class PortUnavailable(RelayError):
    """A port of a route could not be bound; `error` is what the relay reports of the route."""

    def __init__(self, host: str, port: int, error: RouteError) -> None:
        super().__init__(host, port, error)
        self.host = host
        self.port = port
        self.error = error

    def __str__(self) -> str:
        if self.error is RouteError.PORT_TAKEN:
            return f"port {self.port} on {self.host} is taken by another process"
        return f"port {self.port} on {self.host} cannot be bound ({self.error})"


class TableUnavailable(RelayError):
    """The route table cannot be reached now; ask again later."""


class NameTaken(TableUnavailable):
    """A relay at `where` is announced as `relay_id`; one of the two needs another name, or has to end."""

    def __init__(self, relay_id: str, where: str) -> None:
        super().__init__(relay_id, where)
        self.relay_id = relay_id
        self.where = where

    def __str__(self) -> str:
        return f"another relay is announced as {self.relay_id}, at {self.where}: give each a name of its own (relay.id)"


class Deposed(RelayError):
    """The writer held the lease with a fence that is not the latest any more; nothing was written.

    Session store and route table raise it alike: whoever gets it stops converging.
    """


class TooManyViewers(RelayError):
    """A route has as many viewers as `limit` allows; one must leave first."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"the session already has {self.limit} viewers"
