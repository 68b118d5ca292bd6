"""Sessions by the ids of this API, which errors name them by as well."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from broker.api.nimble.studios import Studios
from broker.core.nimble import session_status
from broker.core.nimble_ids import session_id_of
from broker.core.principal import Principal
from broker.core.session import Session
from broker.errors import Conflict, NotFound
from broker.sessions import Sessions


class FoundSessions:
    """Looks sessions up."""

    def __init__(self, sessions: Sessions, studios: Studios) -> None:
        self._sessions = sessions
        self._studios = studios

    async def in_studio(self, names: Mapping[str, str], by: Principal) -> Session:
        """The session that a path names, in the studio that it names. Raises NotFound, Forbidden."""
        studio, short = self._studios.named(names), names["sessionId"]
        session = await self.get(short, by)
        if not self._studios.has(studio, session):
            raise NotFound("session", short)
        return session

    async def get(self, short: str, by: Principal) -> Session:
        """The session of this id. Raises NotFound, Forbidden."""
        session_id = session_id_of(short)
        if session_id is None:
            raise NotFound("session", short)
        async with _told_by(short, session_id):
            return await self._sessions.get(session_id, by=by)

    @asynccontextmanager
    async def changing(self, session: Session, short: str, by: Principal) -> AsyncIterator[None]:
        """What has ended cannot be changed, but is there to be seen: a conflict."""
        async with _told_by(short, session.id):
            try:
                yield
            except NotFound as error:
                if error.name != session.id:
                    raise
                session = await self._sessions.get(session.id, by=by)
                raise Conflict(f"Session is {session_status(session).state}: {session.message}") from error


@asynccontextmanager
async def _told_by(short: str, session_id: str) -> AsyncIterator[None]:
    try:
        yield
    except NotFound as error:
        if error.name != session_id:
            raise
        raise NotFound("session", short) from error
