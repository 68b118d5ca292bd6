"""Use-cases on sessions: create, get, list, end. They write intent, and wait for it to come true up to a bound."""

from __future__ import annotations

from collections.abc import Mapping

from broker.core.catalog import Resolved
from broker.core.session import Session
from broker.stores.base import Store
from signaling.table import RouteTable


class Sessions:
    """What the API calls. `owner` is the principal in whose name a session is made."""

    def __init__(self, store: Store, routes: RouteTable) -> None:
        self._store = store
        self._routes = routes

    async def create(
        self,
        resolved: Resolved,
        arguments: Mapping[str, str],
        *,
        owner: str,
        wait_s: float = 0,
        idempotency_key: str | None = None,
    ) -> Session:
        """Make a session, and return it ready or ended, or as it is after `wait_s`.

        A second call with the key of a first returns that one's session. Raises NoCapacity (nothing was allocated),
        Conflict (the key was used for another request), StoreUnavailable.
        """
        raise NotImplementedError

    async def get(self, session_id: str, *, wait_s: float = 0) -> Session:
        """The session, ended ones included for an hour; with `wait_s` once it is ready or ended, or after that time.

        Raises NotFound.
        """
        raise NotImplementedError

    async def list(self) -> list[Session]:
        """All sessions that have not ended, oldest first."""
        raise NotImplementedError

    async def end(self, session_id: str) -> None:
        """End a session, pending ones too. Raises NotFound when it is unknown or has ended already."""
        raise NotImplementedError
