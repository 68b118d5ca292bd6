"""Follows a session by its events; where there are none, by asking for it from time to time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from broker.client.answers import JsonObject, Session
from broker.client.api import Api, Heard, NoEvents
from broker.client.errors import Missing, Refused

_POLL_S = 2.0
_TRIES = 5
_PAUSE_MOST_S = 8.0


async def follow(api: Api, session_id: str | None) -> AsyncGenerator[Heard, None]:
    """What happens to one session until its end, or to all of them for ever. To be closed after use.

    What a broken stream held back is asked for again; where events cannot be had, states are. Raises ClientError.
    """
    after, failed, began = None, 0, False
    while failed < _TRIES:
        try:
            async with aclosing(api.events(session_id, after=after)) as events:
                async for heard in events:
                    failed, began = 0, True
                    after = heard.id or after
                    yield heard
                    if heard.name == "ended" and session_id is not None:
                        return
        except NoEvents as error:
            failed += 1
            if not began:
                await _states(api, session_id)  # raises what keeps us from more than the events
                if isinstance(error.__cause__, Missing | Refused):
                    break
        await asyncio.sleep(min(2.0**failed / 2, _PAUSE_MOST_S))
    async with aclosing(_asked(api, session_id)) as found:
        async for heard in found:
            yield heard


async def _states(api: Api, session_id: str | None) -> list[Session]:
    return await api.sessions() if session_id is None else [await api.session(session_id)]


async def _asked(api: Api, session_id: str | None) -> AsyncGenerator[Heard, None]:
    known: dict[str, JsonObject] = {}
    while True:
        sessions = await _states(api, session_id)
        for session in sessions:
            told = _told(session)
            if known.get(session.id) != told.data:
                known[session.id] = told.data
                yield told
            if session_id is not None and told.name == "ended":
                return
        for gone in known.keys() - {session.id for session in sessions}:
            del known[gone]
            yield Heard("ended", {"session_id": gone, "end_reason": "unknown", "message": "it is gone"}, None)
        await asyncio.sleep(_POLL_S)


def _told(session: Session) -> Heard:
    data: dict[str, object] = {"session_id": session.id, "message": session.message}
    if session.state == "ended":
        return Heard("ended", data | {"end_reason": session.text("end_reason")}, None)
    state = {"state": session.state, "phase": session.phase or None, "queue": session.raw.get("queue")}
    return Heard("state", data | state, None)
