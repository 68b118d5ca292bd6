"""Streaming sessions: list, create, get, delete, under one mount, in the documented words and in OVC's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from aiohttp import web

from broker.admission import AdmissionTokens
from broker.api.answers import json_answer
from broker.api.auth import principal_of
from broker.api.body import headers_of, parsed, path_of, query_of, read_json, require_json
from broker.api.dialect import Dialects
from broker.api.models import (
    CreateHeaders,
    EndOvcStream,
    EndStream,
    SessionPath,
    StartOvcStream,
    StartStream,
    StreamQuery,
    WaitHeaders,
)
from broker.api.operation import Operation, Reply, described
from broker.api.prefer import preferred_wait_s
from broker.api.replies import DeletedReply, EndedReply, StreamPage, StreamReply
from broker.api.representation import ended_json, stream_json
from broker.api.token import token_fields
from broker.core.catalog import Catalog, Resolved
from broker.core.session import EndReason, Session, State
from broker.errors import Invalid, NotFound
from broker.sessions import Sessions

_POLL_AFTER_S = 1
_ASKED_LATER = {"Location": "Where to ask again.", "Retry-After": "Seconds to wait before."}
_NEXT = {"getStream": {"id": "$response.body#/id"}, "deleteStream": {"id": "$response.body#/id"}}
_ONE = {
    200: Reply("The session is ready.", StreamReply, links=_NEXT),
    202: Reply(
        "The session is being prepared, waits for a slot, or is stopped.", StreamReply, _ASKED_LATER, links=_NEXT
    ),
    410: Reply("The session has ended; `end_reason` says why.", EndedReply),
}


class StreamApi:
    """The streaming endpoints under `mount`. `wait_max_s` bounds `Prefer: wait`."""

    def __init__(
        self,
        sessions: Sessions,
        catalog: Callable[[], Catalog],
        dialects: Dialects,
        tokens: AdmissionTokens,
        *,
        mount: str,
        wait_max_s: float,
    ) -> None:
        self._sessions = sessions
        self._catalog = catalog
        self._dialects = dialects
        self._tokens = tokens
        self._mount = mount
        self._wait_max_s = wait_max_s

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """As aiohttp wants them."""
        one = self._mount + "/{id}"
        return (
            web.get(self._mount, self.list),
            web.post(self._mount, self.create),
            web.delete(self._mount, self.delete_named_in_body),
            web.get(one, self.get),
            web.delete(one, self.delete),
        )

    @described(
        Operation(
            "listStreams",
            "Return application streaming sessions",
            {200: Reply("A page of the sessions that have not ended.", StreamPage)},
            tag="Streams",
            errors=(422,),
            query=StreamQuery,
        )
    )
    async def list(self, request: web.Request) -> web.Response:
        """All sessions that have not ended, a page of them."""
        query = query_of(request, StreamQuery)
        found = [
            session for session in await self._sessions.list(by=principal_of(request)) if _is_meant(session, query)
        ]
        if query.sort_by == "username":
            found.sort(key=lambda session: session.owner)
        if query.order == "DESC":
            found.reverse()
        page = found[query.offset : query.offset + query.limit]
        dialect = self._dialects.of(request, self._mount)
        now = await self._sessions.now()
        pauses = self._sessions.pauses
        items = [
            stream_json(session, dialect, self._sessions.place_of(session, now), pauses=pauses) for session in page
        ]
        return json_answer({"offset": query.offset, "limit": query.limit, "count": len(items), "items": items})

    @described(
        Operation(
            "createStream",
            "Create a streaming session",
            _ONE,
            tag="Streams",
            errors=(404, 409, 422, 429),
            headers=CreateHeaders,
            body=(StartStream, StartOvcStream),
        )
    )
    async def create(self, request: web.Request) -> web.Response:
        """A new session; as it is then, or after `Prefer: wait=N` seconds at most."""
        require_json(request)
        headers = headers_of(request, CreateHeaders)
        resolved, arguments = self._asked_for(await read_json(request))
        wait_s = preferred_wait_s([headers.prefer or ""], self._wait_max_s)
        session = await self._sessions.create(
            resolved,
            arguments,
            by=principal_of(request),
            wait_s=wait_s or 0,
            idempotency_key=headers.idempotency_key or None,
        )
        return await self._answer(request, session, wait_s)

    @described(
        Operation(
            "getStream",
            "Retrieve details of a specific session",
            _ONE,
            tag="Streams",
            errors=(404, 422),
            path=SessionPath,
            headers=WaitHeaders,
        )
    )
    async def get(self, request: web.Request) -> web.Response:
        """One session; 404 for one that was deleted, 410 with the reason for one that ended otherwise."""
        session_id = path_of(request, SessionPath).id
        wait_s = preferred_wait_s([headers_of(request, WaitHeaders).prefer or ""], self._wait_max_s)
        session = await self._sessions.get(session_id, by=principal_of(request), wait_s=wait_s or 0)
        if session.end_reason is EndReason.DELETED:
            raise NotFound("session", session_id)
        return await self._answer(request, session, wait_s)

    @described(
        Operation(
            "deleteStream",
            "Terminate a streaming session",
            {204: Reply("The session has ended.")},
            tag="Streams",
            errors=(404, 422),
            path=SessionPath,
        )
    )
    async def delete(self, request: web.Request) -> web.Response:
        """End the session that the path names."""
        await self._sessions.end(path_of(request, SessionPath).id, by=principal_of(request))
        return web.Response(status=204)

    @described(
        Operation(
            "deleteStreamInBody",
            "Terminate the streaming session that the body names",
            {204: Reply("The session has ended."), 200: Reply("The same, to who asked in OVC's words.", DeletedReply)},
            tag="Streams",
            errors=(404, 422),
            body=(EndStream, EndOvcStream),
        )
    )
    async def delete_named_in_body(self, request: web.Request) -> web.Response:
        """End the session that the body names; OVC's answer has a body, misspelled as there."""
        body = await read_json(request)
        if not _speaks_ovc(body, "session_id"):
            await self._sessions.end(parsed(EndStream, body, "body").id, by=principal_of(request))
            return web.Response(status=204)
        session_id = parsed(EndOvcStream, body, "body").session_id
        await self._sessions.end(session_id, by=principal_of(request))
        return json_answer({"session_id": session_id, "satus": "deleted", "status": "deleted"})

    def _asked_for(self, body: object) -> tuple[Resolved, dict[str, str]]:
        """What a create's body stands for. Raises Invalid, NotFound."""
        if _speaks_ovc(body, "application"):
            ovc = parsed(StartOvcStream, body, "body")
            resolved = self._catalog().resolve(ovc.application, ovc.application_version, None)
            return resolved, _arguments(resolved, ovc.application_arguments, "application_arguments")
        start = parsed(StartStream, body, "body")
        resolved = self._catalog().resolve(start.id, start.version, start.profile)
        return resolved, _arguments(resolved, start.arguments, "arguments")

    async def _answer(self, request: web.Request, session: Session, wait_s: int | None) -> web.Response:
        dialect = self._dialects.of(request, self._mount)
        headers = {} if wait_s is None else {"Preference-Applied": f"wait={wait_s}"}
        if session.state is State.ENDED:
            return json_answer(ended_json(session), status=410, headers=headers)
        place = self._sessions.place_of(session, await self._sessions.now())
        stream = stream_json(session, dialect, place, pauses=self._sessions.pauses)
        stream |= token_fields(self._tokens, request, session)
        if session.state is State.READY:
            return json_answer(stream, headers=headers)
        headers |= {"Location": f"{dialect.base}/{session.id}", "Retry-After": str(_POLL_AFTER_S)}
        return json_answer(stream, status=202, headers=headers)


def _speaks_ovc(body: object, its_field: str) -> bool:
    """Dialects are told apart by field names; the documented one is meant where both are there."""
    return isinstance(body, dict) and its_field in body and "id" not in body


def _arguments(resolved: Resolved, given: dict[str, str | None] | None, field: str) -> dict[str, str]:
    try:
        return resolved.profile.check_arguments(given or {})
    except Invalid as error:
        problems = tuple(replace(problem, loc=("body", field, *problem.loc)) for problem in error.problems)
        raise Invalid(problems) from error


def _is_meant(session: Session, query: StreamQuery) -> bool:
    if query.username is not None and session.owner != query.username:
        return False
    if query.from_time is not None and session.created_at < query.from_time.timestamp():
        return False
    return query.to_time is None or session.created_at <= query.to_time.timestamp()
