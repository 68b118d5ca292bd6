"""Use-cases on sessions: create, get, list, end, stop, start, extend.

They write intent, and wait for it to come true up to a bound.
"""

from __future__ import annotations

import asyncio
import builtins
import hashlib
import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from uuid import uuid4

from broker.core import intent
from broker.core.catalog import Resolved
from broker.core.ledger import Ledger, lingering
from broker.core.placement import choose_ports, choose_slot
from broker.core.principal import Principal
from broker.core.session import EndReason, Handled, Session, State, ended
from broker.errors import Conflict, Forbidden, NoCapacity, NotFound, StoreUnavailable
from broker.stores.base import Store, WriteRace
from signaling.table import RouteTable

logger = logging.getLogger(__name__)

_WRITE_ATTEMPTS = 32
_RELEASE_WAIT_S = 5.0
"""A create waits so long for a slot whose last session has ended but whose backend has not yet."""


class Sessions:
    """What the API calls. `by` is who asks; a session is its owner's and the admins' alone to see and to touch.

    `allowed_origins` are those whose pages may open the signaling of the sessions made here, as `Route` has them.
    """

    def __init__(
        self,
        store: Store,
        routes: RouteTable,
        *,
        allowed_origins: tuple[str, ...] = ("*",),
        new_secret: Callable[[], str] | None = None,
    ) -> None:
        self._store = store
        self._routes = routes
        self._allowed_origins = allowed_origins
        self._new_secret = new_secret or (lambda: secrets.token_urlsafe(24))

    async def create(
        self,
        resolved: Resolved,
        arguments: Mapping[str, str],
        *,
        by: Principal,
        owner: str | None = None,
        labels: Mapping[str, str] | None = None,
        wait_s: float = 0,
        idempotency_key: str | None = None,
    ) -> Session:
        """Make a session, and return it ready or ended, or as it is after `wait_s`.

        Only admins may make one for another `owner`. A second call with the key of a first returns that one's session.
        Raises NoCapacity, QuotaExceeded (nothing was allocated), Forbidden, Conflict (the key was used for another
        request), StoreUnavailable.
        """
        owner = by.name if owner is None else owner
        if owner != by.name and not by.is_admin:
            raise Forbidden
        key = None if idempotency_key is None else _idempotency_claim(by.name, idempotency_key)
        request = _Request(resolved, dict(arguments), by, owner, key, dict(labels or {}))
        for _ in range(_WRITE_ATTEMPTS):
            session = await self._made_before(request)
            if session is None:
                try:
                    session = await self._store.write(await self._draft_when_free(request))
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

    async def list(self, *, by: Principal) -> builtins.list[Session]:
        """The sessions that have not ended and that this principal may see, oldest first."""
        stored = (await self._store.sessions()).values()
        live = [session for session in stored if session.state is not State.ENDED and by.may_touch(session.owner)]
        return sorted(live, key=lambda session: (session.created_at, session.id))

    async def end(self, session_id: str, *, by: Principal) -> Session:
        """End a session, pending ones too. Raises Forbidden, and NotFound when it is unknown or has ended already."""

        def end(session: Session, now: float) -> Session:
            return replace(ended(session, EndReason.DELETED, "Session was deleted", now), updated_by=by.name)

        session = await self.update(session_id, by=by, change=end)
        logger.info("session %s ended (deleted)", session_id, extra={"session": session_id})
        return session

    async def stop(
        self, session_id: str, *, by: Principal, idempotency_key: str | None = None, only_settled: bool = False
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
            asked="stop",
        )

    async def start(
        self, session_id: str, *, by: Principal, idempotency_key: str | None = None, only_settled: bool = False
    ) -> Session:
        """Place a stopped session anew, under the same id. What runs already stays.

        With `only_settled`, Conflict is raised for all that is not stopped. Raises NotFound, Forbidden, NoCapacity (it
        stays stopped), Conflict while it is still being stopped.
        """
        secret = self._new_secret()
        return await self.update(
            session_id,
            by=by,
            change=lambda session, now: intent.start(session, by.name, now, secret=secret, only_settled=only_settled),
            idempotency_key=idempotency_key,
            asked="start",
        )

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
    ) -> Session:
        """Write what `change` makes of the session now; it may be called several times and may raise to refuse.

        With the key of an earlier call, that one's outcome stays and the session is returned as it is; `asked` tells
        requests apart that share a key. What states, claims and clocks follow from is for the use-cases above: an API
        changes `labels` and `grants` alone. Raises Forbidden, NotFound (ended ones too), Conflict.
        """
        request = None if idempotency_key is None else Handled(_digest(by.name, idempotency_key), asked)
        for _ in range(_WRITE_ATTEMPTS):
            session = await self._touched(session_id, by)
            if request is not None and intent.was_handled(session, request):
                return session
            if session.state is State.ENDED:
                raise NotFound("session", session_id)
            now = await self._store.now()
            after = change(session, now)
            if request is not None:
                after = intent.with_handled(after, request)
            if after == session:
                return session
            after = replace(after, updated_at=now, updated_by=by.name)
            with suppress(WriteRace):
                return await self._store.write(after, linger=lingering(session, after, now))
        raise StoreUnavailable

    async def _touched(self, session_id: str, by: Principal) -> Session:
        session = await self._store.read(session_id)
        if session is None:
            raise NotFound("session", session_id)
        if not by.may_touch(session.owner):
            raise Forbidden
        return session

    async def _made_before(self, request: _Request) -> Session | None:
        if request.idempotency is None:
            return None
        claim = (await self._store.claims()).get(request.idempotency)
        session = await self._store.read(claim.owner) if claim is not None and claim.owner is not None else None
        if session is not None and not request.asks_for(session):
            raise Conflict("This Idempotency-Key was used for another request. Take a new one.")
        return session

    async def _draft_when_free(self, request: _Request) -> Session:
        """A session with a slot and, where a relay is announced, ports; waits for those just being given back."""
        try:
            return await self._draft(request)
        except NoCapacity as error:
            shortage = error
        with suppress(TimeoutError):
            async with asyncio.timeout(_RELEASE_WAIT_S), aclosing(self._store.changes()) as changes:
                async for _ in changes:
                    with suppress(NoCapacity):
                        return await self._draft(request)
                    if not await self._slot_is_being_freed(request.resolved.profile.id):
                        break
        raise shortage

    async def _slot_is_being_freed(self, profile_id: str) -> bool:
        return any(
            session.state is State.ENDED and session.slot is not None and session.slot.profile == profile_id
            for session in (await self._store.sessions()).values()
        )

    async def _draft(self, request: _Request) -> Session:
        profile = request.resolved.profile
        session_id = str(uuid4())
        ledger = Ledger(await self._store.claims())
        slot = choose_slot(profile, session_id, ledger)
        if slot is None:
            raise NoCapacity(f"slot for profile {profile.id!r}")
        relays = await self._routes.relays()
        ports = choose_ports(relays, ledger, session_id)
        if relays and ports is None:
            raise NoCapacity("pair of ports on any relay")
        now = await self._store.now()
        return Session(
            id=session_id,
            application=request.resolved.application.id,
            version=request.resolved.version.version,
            profile=profile.id,
            arguments=request.arguments,
            owner=request.owner,
            share=request.share,
            created_by=request.by.name,
            updated_by=request.by.name,
            labels=request.labels,
            created_at=now,
            updated_at=now,
            pending_since=now,
            placed_at=None if ports is None else now,
            clocks=profile.clocks,
            slot=slot,
            ports=ports,
            backend_secret=self._new_secret(),
            signaling=profile.signaling,
            admission=profile.admission,
            allowed_origins=self._allowed_origins,
            idempotency=request.idempotency,
        )

    async def _settled(self, session: Session, wait_s: float) -> Session:
        """The session once it is not pending any more, or as it is after `wait_s`."""
        if wait_s <= 0 or session.state is not State.PENDING:
            return session
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s), aclosing(self._store.changes(session.id)) as changes:
                async for _ in changes:
                    session = await self._store.read(session.id) or session
                    if session.state is not State.PENDING:
                        break
        return session


@dataclass(frozen=True, slots=True)
class _Request:
    resolved: Resolved
    arguments: dict[str, str]
    by: Principal
    owner: str
    idempotency: str | None
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def share(self) -> str:
        """What fairness and quotas count the session under: what is made for another counts for that one."""
        return self.by.share if self.owner == self.by.name else self.owner

    def asks_for(self, session: Session) -> bool:
        """Whether this request is the one that made the session."""
        names = (self.resolved.application.id, self.resolved.version.version, self.resolved.profile.id, self.owner)
        made = (session.application, session.version, session.profile, session.owner)
        return (*names, self.arguments) == (*made, dict(session.arguments))


def _idempotency_claim(caller: str, key: str) -> str:
    """Scoped by principal and operation."""
    return f"idempotency/create/{_digest(caller, key)}"


def _digest(caller: str, key: str) -> str:
    """Hashed, so that a caller's text of any length and form is one short key."""
    return hashlib.sha256(f"{len(caller)}/{caller}/{key}".encode()).hexdigest()
