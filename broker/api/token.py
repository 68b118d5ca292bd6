"""Admission tokens over HTTP: with a session's answers, and renewed for who holds one or owns the session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from broker.admission import AdmissionTokens, Issued
from broker.api.answers import json_answer
from broker.api.auth import Audience, principal_of
from broker.api.authentication import holder_of
from broker.api.body import parsed, path_of, read_json
from broker.api.models import SessionPath, TokenRequest
from broker.api.operation import Operation, Reply, described
from broker.api.replies import EndedReply, TokenReply
from broker.api.representation import ended_json, rfc3339
from broker.core.session import EndReason, Session, State
from broker.errors import Conflict, Forbidden, NotFound
from broker.sessions import Sessions
from signaling.routes import Admission, Json
from signaling.tokens import ViewerRole


class TokenApi:
    """`POST {mount}/{id}/token`."""

    def __init__(self, sessions: Sessions, tokens: AdmissionTokens, *, mount: str) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._mount = mount

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """As aiohttp wants them."""
        return (web.post(self._mount + "/{id}/token", self.renew),)

    def audiences(self) -> Mapping[tuple[str, str], Audience]:
        """The endpoints of a session that its viewers need, and may use by their admission token."""
        one = self._mount + "/{id}"
        endpoints = (("GET", one), ("GET", one + "/events"), ("POST", one + "/token"))
        return dict.fromkeys(endpoints, Audience.HOLDERS)

    @described(
        Operation(
            "renewToken",
            "Renew the admission token of a session",
            {200: Reply("A fresh token.", TokenReply), 410: Reply("The session has ended.", EndedReply)},
            tag="Streams",
            errors=(404, 409, 422),
            path=SessionPath,
            body=(TokenRequest,),
            body_required=False,
        )
    )
    async def renew(self, request: web.Request) -> web.Response:
        """A fresh token: the same again for who holds one, one in the role asked for for the owner."""
        asked = parsed(TokenRequest, await read_json(request, empty={}), "body").role
        principal, holder = principal_of(request), holder_of(request)
        session = await self._sessions.get(path_of(request, SessionPath).id, by=principal)
        if session.end_reason is EndReason.DELETED:
            raise NotFound("session", session.id)
        if session.state is State.ENDED:
            return json_answer(ended_json(session), status=410)
        if holder is None:
            issued = self._tokens.issue(session, by=principal, role=asked or ViewerRole.CONTROLLER)
        elif holder.link is not None and not session.viewer_present:
            raise Conflict("A link is renewed for a viewer who is connected. Open it first.")
        elif asked in (None, holder.role):
            issued = self._tokens.renewed(holder)
        else:
            raise Forbidden
        return json_answer({**_fields(issued), "role": issued.claims.role.value})


def token_fields(tokens: AdmissionTokens, request: web.Request, session: Session) -> dict[str, Json]:
    """`token` and its end, for an answer to a session's owner; nothing where none is needed, or one is held already."""
    if session.admission is not Admission.TOKEN or holder_of(request) is not None or session.state is State.ENDED:
        return {}
    issued = _fields(tokens.issue(session, by=principal_of(request)))
    return {"token": issued["token"], "token_expires_at": issued["expires_at"]}


def _fields(issued: Issued) -> dict[str, Json]:
    return {"token": issued.token, "expires_at": rfc3339(issued.claims.expires_at)}
