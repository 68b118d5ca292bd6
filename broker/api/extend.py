"""Extending a session over HTTP: the clocks that would end it are put off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from broker.api.answers import json_answer
from broker.api.auth import principal_of
from broker.api.body import headers_of, parsed, path_of, read_json
from broker.api.dialect import Dialects
from broker.api.models import KeyHeaders, SessionPath
from broker.api.operation import Operation, Reply, described
from broker.api.replies import StreamReply
from broker.api.representation import stream_json
from broker.sessions import Sessions

_LONGEST_S = 31_536_000


class ExtendStream(BaseModel):
    """How much longer the session is to last; without it, one step of its profile's."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    seconds: Annotated[float, Field(gt=0, le=_LONGEST_S, allow_inf_nan=False, strict=True)] | None = None


class ExtendApi:
    """`POST {mount}/{id}/extend`."""

    def __init__(self, sessions: Sessions, dialects: Dialects, *, mount: str) -> None:
        self._sessions = sessions
        self._dialects = dialects
        self._mount = mount

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """As aiohttp wants them."""
        return (web.post(self._mount + "/{id}/extend", self.extend),)

    @described(
        Operation(
            "extendStream",
            "Extend a streaming session",
            {200: Reply("The session as it is then.", StreamReply)},
            tag="Streams",
            errors=(404, 409, 422),
            path=SessionPath,
            headers=KeyHeaders,
            body=(ExtendStream,),
            body_required=False,
        )
    )
    async def extend(self, request: web.Request) -> web.Response:
        """The session as it is then: `ends_at` is when it ends now.

        At most one step of its profile's is granted at a time. 403 where the profile grants none, or no more; 409 where
        no clock runs that would end the session.
        """
        session_id, key = path_of(request, SessionPath).id, headers_of(request, KeyHeaders).idempotency_key or None
        asked = parsed(ExtendStream, await read_json(request, empty={}), "body")
        session = await self._sessions.extend(
            session_id, by=principal_of(request), seconds=asked.seconds, idempotency_key=key
        )
        dialect = self._dialects.of(request, self._mount)
        return json_answer(stream_json(session, dialect, pauses=self._sessions.pauses))
