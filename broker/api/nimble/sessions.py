"""Streaming sessions: create, get, list, start, stop, delete."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from broker.api.auth import principal_of
from broker.api.body import parsed
from broker.api.nimble.answers import answer
from broker.api.nimble.credentials import region_of
from broker.api.nimble.found import FoundSessions
from broker.api.nimble.models import AWS_INSTANCE_TYPES, CreateSession, StartSession, StopSession
from broker.api.nimble.paging import page
from broker.api.nimble.paths import Operation
from broker.api.nimble.query import Query
from broker.api.nimble.reading import client_token, read_object
from broker.api.nimble.representation import INSTANCE_TYPE_LABEL, TAGS_LABEL, session_json
from broker.api.nimble.studios import STUDIO, STUDIO_LABEL, Studios
from broker.core.catalog import Catalog, Resolved
from broker.core.nimble import FAILED_STATES, SessionState, session_status, with_failure_deleted
from broker.core.nimble_catalog import launch_profile, streaming_image
from broker.core.nimble_ids import digest_id, short_id
from broker.core.session import Session
from broker.errors import Conflict, Forbidden, Invalid, NotFound, Problem
from broker.sessions import Sessions
from signaling.routes import Admission, Json

SESSIONS = STUDIO + "/streaming-sessions"
SESSION = SESSIONS + "/{sessionId}"
_REQUEST_LABEL = "nimble.request"
_MOST_IDS = 100


class SessionOperations:
    """The operations on sessions. `instance_types` may be asked for beside AWS's own."""

    def __init__(
        self,
        sessions: Sessions,
        catalog: Callable[[], Catalog],
        studios: Studios,
        found: FoundSessions,
        *,
        instance_types: Sequence[str],
    ) -> None:
        self._sessions = sessions
        self._catalog = catalog
        self._studios = studios
        self._found = found
        self._instance_types = frozenset((*AWS_INSTANCE_TYPES, *instance_types))

    def operations(self) -> Sequence[Operation]:
        """All of them."""
        return (
            Operation("GET", SESSIONS, self.list),
            Operation("POST", SESSIONS, self.create),
            Operation("GET", SESSION, self.get),
            Operation("DELETE", SESSION, self.delete),
            Operation("POST", SESSION + "/start", self.start),
            Operation("POST", SESSION + "/stop", self.stop),
        )

    async def create(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """CreateStreamingSession."""
        studio, token = self._studios.named(names), client_token(request)
        wish = parsed(CreateSession, await read_object(request), "body")
        labels = {
            STUDIO_LABEL: studio,
            TAGS_LABEL: json.dumps(wish.tags or {}),
            _REQUEST_LABEL: digest_id(wish.model_dump_json()),
        }
        if wish.ec2InstanceType is not None:
            labels[INSTANCE_TYPE_LABEL] = self._instance_type(wish.ec2InstanceType)
        session = await self._sessions.create(
            self._resolved(wish),
            {},
            by=principal_of(request),
            owner=wish.ownedBy,
            labels=labels,
            admission=Admission.TOKEN,
            idempotency_key=None if token is None else f"nimble/{studio}/{token}",
        )
        if session.labels.get(_REQUEST_LABEL) != labels[_REQUEST_LABEL]:
            raise Conflict("This client token was used for another request. Take a new one.")
        return _one(request, session)

    async def get(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """GetStreamingSession: deleted ones too, for an hour."""
        return _one(request, await self._found.in_studio(names, principal_of(request)))

    async def list(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """ListStreamingSessions. Deleted ones are among them where they are asked for by id."""
        studio, by, query = self._studios.named(names), principal_of(request), Query(request)
        creator, owner, ids = query.one("createdBy"), query.one("ownedBy"), _ids_in(query)
        if owner is not None and not by.may_touch(owner):
            raise Forbidden
        meant = [
            session
            for session in await self._sessions.list(by=by, ended_too=True)
            if self._studios.has(studio, session)
            and creator in (None, session.created_by or session.owner)
            and owner in (None, session.owner)
            and (short_id(session.id) in ids if ids else not _is_deleted(session))
        ]
        asked = json.dumps(["sessions", studio, creator, owner, sorted(ids)])
        found, token = page(meant, lambda item: (item.created_at, item.id), of=asked, token=query.one("nextToken"))
        more: dict[str, Json] = {} if token is None else {"nextToken": token}
        region = region_of(request)
        return answer({"sessions": [session_json(item, session_status(item), region=region) for item in found], **more})

    async def start(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """StartStreamingSession."""
        token, by = client_token(request), principal_of(request)
        wish = parsed(StartSession, await read_object(request), "body")
        session = await self._found.in_studio(names, by)
        if wish.backupId is not None:
            raise NotFound("streaming session backup", wish.backupId)
        async with self._found.changing(session, names["sessionId"], by):
            session = await self._sessions.start(
                session.id, by=by, idempotency_key=_key("start", token), only_settled=True
            )
        return _one(request, session)

    async def stop(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """StopStreamingSession. There are no volumes, so what becomes of them is all one."""
        token, by = client_token(request), principal_of(request)
        wish = parsed(StopSession, await read_object(request), "body")
        session = await self._found.in_studio(names, by)
        async with self._found.changing(session, names["sessionId"], by):
            session = await self._sessions.stop(
                session.id,
                by=by,
                idempotency_key=_key("stop", token),
                asked=wish.model_dump_json(),
                only_settled=True,
            )
        return _one(request, session, changed=True)

    async def delete(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """DeleteStreamingSession: one that failed, too."""
        token, by = client_token(request), principal_of(request)
        session = await self._found.in_studio(names, by)
        key = _key("delete", token)
        async with self._found.changing(session, names["sessionId"], by):
            if session_status(session).state in FAILED_STATES:
                session = await self._sessions.update(
                    session.id, by=by, change=with_failure_deleted, idempotency_key=key, asked="end", ended_too=True
                )
            else:
                session = await self._sessions.end(session.id, by=by, idempotency_key=key, only_settled=True)
        return _one(request, session, changed=True)

    def _resolved(self, wish: CreateSession) -> Resolved:
        catalog = self._catalog()
        profile = launch_profile(catalog, wish.launchProfileId)
        resolved = profile.resolve(wish.streamingImageId or None)
        if resolved is None:
            streaming_image(catalog, wish.streamingImageId or "")
            text = f"Launch profile {profile.id!r} has no such streaming image"
            raise Invalid((Problem(("body", "streamingImageId"), text, "value_error"),))
        return resolved

    def _instance_type(self, wanted: str) -> str:
        if wanted not in self._instance_types:
            text = f"should be one of {', '.join(sorted(self._instance_types))}"
            raise Invalid((Problem(("body", "ec2InstanceType"), text, "enum"),))
        return wanted


def _key(operation: str, token: str | None) -> str | None:
    return None if token is None else f"nimble/{operation}/{token}"


def _one(request: web.Request, session: Session, *, changed: bool = False) -> web.Response:
    status = session_status(session)
    return answer(
        {"session": session_json(session, status.under_way if changed else status, region=region_of(request))}
    )


def _is_deleted(session: Session) -> bool:
    return session_status(session).state is SessionState.DELETED


def _ids_in(query: Query) -> frozenset[str]:
    """`sessionIds` is one text in the model: one id, several with commas, or the parameter repeated."""
    ids = frozenset(part.strip() for value in query.all("sessionIds") for part in value.split(",") if part.strip())
    if len(ids) > _MOST_IDS:
        raise Invalid((Problem(("query", "sessionIds"), f"should be at most {_MOST_IDS} ids", "too_long"),))
    return ids
