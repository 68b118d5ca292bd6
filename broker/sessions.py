"""Use-cases on sessions: create, get, list, end, stop, start, extend.

They write intent, and wait for it to come true up to a bound.
"""

from __future__ import annotations

import asyncio
import builtins
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from operator import attrgetter
from uuid import uuid4

from broker.core import intent
from broker.core.catalog import Catalog, Resolved
from broker.core.ledger import ALL_SESSIONS, lingering, queue_pool, share_pool
from broker.core.node import Fleet
from broker.core.pauses import Pause
from broker.core.placement import placed_or_waiting
from broker.core.principal import Principal
from broker.core.queue import Place
from broker.core.request import CreateRequest, Quotas, digest
from broker.core.session import EndReason, Handled, Session, State, ended, evolved
from broker.errors import Conflict, Forbidden, NoCapacity, NotFound, QuotaExceeded, StoreUnavailable
from broker.stores.base import PoolFull, Store, WriteRace
from broker.waiting_room import WaitingRoom
from signaling.routes import Admission
from signaling.table import RouteTable

logger = logging.getLogger(__name__)

_WRITE_ATTEMPTS = 32
_AGE = attrgetter("created_at", "id")

_Revision = Callable[[Session, float], Awaitable[tuple[Session, Mapping[str, int]]]]
"""From a session and the time to what it is to be, and the bounds under which that may be written."""


_UNBOUNDED = Quotas()


class Sessions:
    """What the API calls. `by` is who asks; a session is its owner's and the admins' alone to see and to touch.

    `catalog` and `fleet` return those of this moment. `room` is the one that the reconciler serves from.
    `allowed_origins` are those whose pages may open the signaling of the sessions made here, as `Route` has them.
    """

    def __init__(
        self,
        store: Store,
        routes: RouteTable,
        *,
        catalog: Callable[[], Catalog] = lambda: Catalog({}, {}),
        room: WaitingRoom | None = None,
        quotas: Quotas = _UNBOUNDED,
        allowed_origins: tuple[str, ...] = ("*",),
        fleet: Callable[[], Fleet] = Fleet,
        pauses: Callable[[], Sequence[Pause]] = tuple,
        new_secret: Callable[[], str] | None = None,
    ) -> None:
        self._store = store
        self._routes = routes
        self._catalog = catalog
        self._room = room or WaitingRoom()
        self._quotas = quotas
        self._allowed_origins = allowed_origins
        self._fleet = fleet
        self._pauses = pauses
        self._new_secret = new_secret or (lambda: secrets.token_urlsafe(24))

    async def create(
        self,
        resolved: Resolved,
        arguments: Mapping[str, str],
        *,
        by: Principal,
        owner: str | None = None,
        labels: Mapping[str, str] | None = None,
        admission: Admission | None = None,
        wait_s: float = 0,
        idempotency_key: str | None = None,
    ) -> Session:
        """Make a session, and return it ready or ended, or as it is after `wait_s`.

        Only admins may make one for another `owner`. `admission` stands in for the profile's own. A second call with
        the key of a first returns that one's session.
        Raises NoCapacity, QuotaExceeded (nothing was allocated), Forbidden, Conflict (the key was used for another
        request), StoreUnavailable.
        """
        owner = by.name if owner is None else owner
        if owner != by.name and not by.is_admin:
            raise Forbidden
        request = CreateRequest(resolved, dict(arguments), by, owner, idempotency_key, dict(labels or {}), admission)
        for _ in range(_WRITE_ATTEMPTS):
            session = await self._made_before(request)
            if session is None:
                now = await self._store.now()
                draft, bounds = await self._draft(request, now)
                try:
                    session = await self._write(draft, bounds, now)
                except WriteRace:
                    continue
                logger.info("session %s begins for %s", session.id, session.application, extra={"session": session.id})
            return await self._settled(session, wait_s)
        raise StoreUnavailable

    async def get(self, session_id: str, *, by: Principal, wait_s: float = 0) -> Session:
        """The session, ended ones included for an hour; with `wait_s` once it is ready or ended, or after that time.

        Raises NotFound, Forbidden.
        """
        return await self._settled(await self._touched(session_id, by), wait_s)

    async def list(self, *, by: Principal, ended_too: bool = False) -> builtins.list[Session]:
        """The sessions that this principal may see, oldest first; those that have not ended, unless asked for."""
        found = [*(await self._store.sessions()).values()]
        if not ended_too:
            found = [session for session in found if session.state is not State.ENDED]
        if not by.is_admin:
            found = [session for session in found if by.may_touch(session.owner)]
        return sorted(found, key=_AGE)

    async def end(
        self, session_id: str, *, by: Principal, idempotency_key: str | None = None, only_settled: bool = False
    ) -> Session:
        """End a session, pending ones too. Raises Forbidden, and NotFound when it is unknown or has ended already.

        With `only_settled`, Conflict is raised for all that is neither ready nor stopped.
        """

        def end(session: Session, now: float) -> Session:
            if only_settled and not session.is_settled:
                raise Conflict(intent.BUSY)
            return ended(session, EndReason.DELETED, "Session was deleted", now)

        session = await self.update(session_id, by=by, change=end, idempotency_key=idempotency_key, asked="end")
        logger.info("session %s ended (deleted)", session_id, extra={"session": session_id})
        return session

    async def stop(
        self,
        session_id: str,
        *,
        by: Principal,
        idempotency_key: str | None = None,
        asked: str = "",
        only_settled: bool = False,
    ) -> Session:
        """Give back a session's backend, slot, ports and route; it keeps its id and can be started again.

        What is stopped already stays. With `only_settled`, Conflict is raised for all that is not ready.
        Raises NotFound, Forbidden, Conflict where the profile lets nothing stop.
        """
        return await self.update(
            session_id,
            by=by,
            change=lambda session, now: intent.stop(session, by.name, now, only_settled=only_settled),
            idempotency_key=idempotency_key,
            asked=f"stop {asked}",
        )

    async def start(
        self, session_id: str, *, by: Principal, idempotency_key: str | None = None, only_settled: bool = False
    ) -> Session:
        """Place a stopped session anew, under the same id, or have it wait for a slot. What runs already stays.

        With `only_settled`, Conflict is raised for all that is not stopped. Raises NotFound (its profile, too),
        Forbidden, NoCapacity (it stays stopped), Conflict while it is still being stopped.
        """
        secret = self._new_secret()

        async def start(session: Session, now: float) -> tuple[Session, Mapping[str, int]]:
            after = intent.start(session, by.name, now, secret=secret, only_settled=only_settled)
            if after is session:
                return session, {}
            profile = self._catalog().profiles.get(session.profile)
            if profile is None:
                raise NotFound("profile", session.profile)
            relays, ledger = await self._routes.relays(), await self._store.ledger()
            return placed_or_waiting(after, profile, relays, ledger, now, fleet=self._fleet())

        return await self._revise(session_id, by, start, idempotency_key, "start")

    async def extend(
        self, session_id: str, *, by: Principal, seconds: float | None = None, idempotency_key: str | None = None
    ) -> Session:
        """Put off the end that its clocks have set, by these seconds or by a step of its profile's, if those are fewer.

        Raises NotFound, Forbidden (its profile allows none, or no more), Conflict (no clock runs).
        """
        return await self.update(
            session_id,
            by=by,
            change=lambda session, now: intent.extend(session, seconds, now),
            idempotency_key=idempotency_key,
            asked=f"extend {seconds}",
        )

    async def update(
        self,
        session_id: str,
        *,
        by: Principal,
        change: Callable[[Session, float], Session],
        idempotency_key: str | None = None,
        asked: str = "",
        ended_too: bool = False,
    ) -> Session:
        """Write what `change` makes of the session now; it may be called several times and may raise to refuse.

        With the key of an earlier call, that one's outcome stays and the session is returned as it is; `asked` tells
        requests apart that share a key. What states, claims and clocks follow from is for the use-cases above: an API
        changes `labels` and `grants` alone. Raises Forbidden, NotFound (for ended ones, unless `ended_too`), Conflict.
        """

        async def revise(session: Session, now: float) -> tuple[Session, Mapping[str, int]]:
            return change(session, now), {}

        return await self._revise(session_id, by, revise, idempotency_key, asked, ended_too=ended_too)

    @property
    def pauses(self) -> Sequence[Pause]:
        """When no clock ran, oldest first."""
        return self._pauses()

    def place_of(self, session: Session, now: float) -> Place | None:
        """Where a session stands in its queue; None where it does not wait for a slot."""
        return self._room.place_of(session, now)

    async def now(self) -> float:
        """The time on the clock of all sessions."""
        return await self._store.now()

    async def _revise(
        self,
        session_id: str,
        by: Principal,
        revise: _Revision,
        idempotency_key: str | None,
        asked: str,
        *,
        ended_too: bool = False,
    ) -> Session:
        request = None if idempotency_key is None else Handled(digest(by.name, idempotency_key), asked)
        for _ in range(_WRITE_ATTEMPTS):
            session = await self._touched(session_id, by)
            if request is not None and intent.was_handled(session, request):
                return session
            if session.state is State.ENDED and not ended_too:
                raise NotFound("session", session_id)
            now = await self._store.now()
            after, bounds = await revise(session, now)
            if request is not None:
                after = intent.with_handled(after, request)
            if after == session:
                return session
            after = evolved(after, updated_at=now, updated_by=by.name)
            with suppress(WriteRace):
                return await self._write(after, bounds, now, linger=lingering(session, after, now))
        raise StoreUnavailable

    async def _write(
        self, session: Session, bounds: Mapping[str, int], now: float, *, linger: Mapping[str, float] | None = None
    ) -> Session:
        """Raises WriteRace, also where others came to wait meanwhile; QuotaExceeded; NoCapacity for a full queue."""
        try:
            return await self._store.write(session, linger=linger, bounds=bounds)
        except PoolFull as full:
            if full.pool == ALL_SESSIONS:
                raise QuotaExceeded(None, bounds[full.pool]) from None
            if full.pool == share_pool(session.share):
                raise QuotaExceeded(session.owner, bounds[full.pool]) from None
            if full.pool == queue_pool(session.profile) and session.slot is None:
                retry_after_s = self._room.retry_after_s(session.profile, now)
                raise NoCapacity(
                    f"slot for profile {session.profile!r}, nor room in its queue", retry_after_s
                ) from None
            raise WriteRace(f"{full.pool} filled up") from None

    async def _touched(self, session_id: str, by: Principal) -> Session:
        session = await self._store.read(session_id)
        if session is None:
            raise NotFound("session", session_id)
        if not by.may_touch(session.owner):
            raise Forbidden
        return session

    async def _made_before(self, request: CreateRequest) -> Session | None:
        claim = request.claim
        if claim is None:
            return None
        maker = (await self._store.ledger()).owner(claim)
        session = await self._store.read(maker) if maker is not None else None
        if session is not None and not request.asks_for(session):
            raise Conflict("This idempotency key or client token was used for another request. Take a new one.")
        return session

    async def _draft(self, request: CreateRequest, now: float) -> tuple[Session, dict[str, int]]:
        """A session with slot and ports, or one that waits for them, and the bounds under which it may be made."""
        draft = request.draft(str(uuid4()), self._new_secret(), self._allowed_origins, now)
        relays, ledger = await self._routes.relays(), await self._store.ledger()
        session, bounds = placed_or_waiting(draft, request.resolved.profile, relays, ledger, now, fleet=self._fleet())
        return session, self._quotas.bounds(session.share, by=request.by) | bounds

    async def _settled(self, session: Session, wait_s: float) -> Session:
        """The session once it is not pending any more, or as it is after `wait_s`."""
        if wait_s <= 0 or session.state is not State.PENDING:
            return session
        # What was asked for is done, or was found: a store that goes away meanwhile takes nothing back.
        with suppress(TimeoutError, StoreUnavailable):
            async with asyncio.timeout(wait_s), aclosing(self._store.changes(session.id)) as changes:
                async for _ in changes:
                    session = await self._store.read(session.id, fresh=False) or session
                    if session.state is not State.PENDING:
                        break
        return session
