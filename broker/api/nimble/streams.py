"""Streams: leave to connect to a session for a time, and the address that opens the web client with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode
from uuid import uuid4

from aiohttp import web

from broker.admission import AdmissionTokens
from broker.api.auth import principal_of
from broker.api.body import parsed
from broker.api.nimble.answers import answer
from broker.api.nimble.found import FoundSessions
from broker.api.nimble.models import CreateStream
from broker.api.nimble.paths import Operation
from broker.api.nimble.reading import client_token, read_object
from broker.api.nimble.representation import stream_json
from broker.api.nimble.sessions import SESSION
from broker.core.nimble import StreamState, stream_state, with_stream
from broker.core.nimble_ids import digest_id
from broker.core.principal import Principal, Role
from broker.core.session import Grant, Session
from broker.errors import NotFound
from broker.sessions import Sessions

STREAMS = SESSION + "/streams"
_USUAL_LENGTH_S = 120


class StreamOperations:
    """The operations on streams. `public_url` is where people reach the page; None: as the caller reaches the API."""

    def __init__(
        self, sessions: Sessions, tokens: AdmissionTokens, found: FoundSessions, *, public_url: str | None
    ) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._found = found
        self._public_url = public_url

    def operations(self) -> Sequence[Operation]:
        """Both of them."""
        return (Operation("POST", STREAMS, self.create), Operation("GET", STREAMS + "/{streamId}", self.get))

    async def create(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """CreateStreamingSessionStream: under way in this answer, ready in the next."""
        token, by = client_token(request), principal_of(request)
        wish = parsed(CreateStream, await read_object(request), "body")
        length_s = wish.expirationInSeconds or _USUAL_LENGTH_S
        session = await self._found.in_studio(names, by)
        stream_id = digest_id(session.id, by.name, str(uuid4()) if token is None else token)

        def grant(session: Session, now: float) -> Session:
            return with_stream(session, Grant(stream_id, now, by.name, math.floor(now) + length_s), now)

        async with self._found.changing(session, names["sessionId"], by):
            session = await self._sessions.update(
                session.id,
                by=by,
                change=grant,
                idempotency_key=None if token is None else f"nimble/stream/{token}",
                asked=f"stream {wish.expirationInSeconds}",
            )
        made = _stream_in(session, stream_id)
        return answer({"stream": stream_json(session, made, StreamState.CREATE_IN_PROGRESS, None)})

    async def get(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """GetStreamingSessionStream: with its address while that opens a connection."""
        session = await self._found.in_studio(names, principal_of(request))
        grant, now = _stream_in(session, names["streamId"]), await self._sessions.now()
        state = stream_state(session, grant, now)
        url = self._url(request, session, grant, now) if state is StreamState.READY else None
        return answer({"stream": stream_json(session, grant, state, url)})

    def _url(self, request: web.Request, session: Session, grant: Grant, now: float) -> str:
        """The token stands in the fragment, which browsers send to nobody."""
        owner = Principal(session.owner, Role.USER, session.share)
        token = self._tokens.mint(session, by=owner, ttl_s=math.ceil(grant.expires_at - now), link=grant.id)
        base = self._public_url or f"{request.scheme}://{request.host}"
        return f"{base}/#{urlencode({'session': session.id, 'token': token})}"


def _stream_in(session: Session, stream_id: str) -> Grant:
    grant = next((known for known in session.grants if known.id == stream_id), None)
    if grant is None:
        raise NotFound("stream", stream_id)
    return grant
