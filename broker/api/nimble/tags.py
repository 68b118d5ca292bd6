"""Tags of resources: sessions keep theirs; what the catalog describes has none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from aiohttp import web

from broker.api.auth import principal_of
from broker.api.body import parsed
from broker.api.nimble.answers import answer, no_content
from broker.api.nimble.found import FoundSessions
from broker.api.nimble.models import MOST_TAGS, WriteTags
from broker.api.nimble.paths import Operation
from broker.api.nimble.query import Query
from broker.api.nimble.reading import read_object
from broker.api.nimble.representation import TAGS_LABEL, tags_of
from broker.api.nimble.studios import ROOT
from broker.core.session import Session
from broker.errors import Forbidden, Invalid, NotFound, Problem
from broker.sessions import Sessions

_TAGS = ROOT + "/tags/{resourceArn}"
_ARN = re.compile(r"arn:[a-z0-9-]+:nimble:[A-Za-z0-9_.-]*:[0-9]*:([a-z-]+)/([^/]+)", re.ASCII)
_SESSION = "streaming-session"
_OTHERS = ("launch-profile", "streaming-image", "studio", "studio-component", "streaming-session-backup")


class TagOperations:
    """The operations on tags."""

    def __init__(self, sessions: Sessions, found: FoundSessions) -> None:
        self._sessions = sessions
        self._found = found

    def operations(self) -> Sequence[Operation]:
        """All three."""
        return (
            Operation("GET", _TAGS, self.list),
            Operation("POST", _TAGS, self.tag),
            Operation("DELETE", _TAGS, self.untag),
        )

    async def list(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """ListTagsForResource."""
        short = _session_in(names["resourceArn"])
        if short is None:
            return answer({"tags": {}})
        return answer({"tags": tags_of(await self._found.get(short, principal_of(request)))})

    async def tag(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """TagResource: new tags are added, those of the same keys replaced."""
        added = parsed(WriteTags, await read_object(request), "body").tags or {}

        def change(tags: dict[str, str]) -> dict[str, str]:
            after = {**tags, **added}
            if len(after) > MOST_TAGS:
                raise Invalid((Problem(("body", "tags"), f"would be more than {MOST_TAGS}", "too_long"),))
            return after

        return await self._write(request, names["resourceArn"], change)

    async def untag(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """UntagResource: keys that are not there are gone already."""
        keys = Query(request).all("tagKeys")
        if not keys:
            raise Invalid((Problem(("query", "tagKeys"), "should name at least one", "missing"),))

        def change(tags: dict[str, str]) -> dict[str, str]:
            return {key: value for key, value in tags.items() if key not in keys}

        return await self._write(request, names["resourceArn"], change)

    async def _write(
        self, request: web.Request, arn: str, change: Callable[[dict[str, str]], dict[str, str]]
    ) -> web.Response:
        short, by = _session_in(arn), principal_of(request)
        if short is None:
            raise Forbidden("Only sessions can be tagged here: the catalog is not written by this API.")
        session = await self._found.get(short, by)

        def write(session: Session, now: float) -> Session:
            return replace(session, labels={**session.labels, TAGS_LABEL: json.dumps(change(tags_of(session)))})

        async with self._found.changing(session, short, by):
            await self._sessions.update(session.id, by=by, change=write)
        return no_content()


def _session_in(arn: str) -> str | None:
    """The session's id in its name; None for that of another resource. Raises Invalid, NotFound."""
    match = _ARN.fullmatch(arn)
    if match is None:
        text = "should be written arn:aws:nimble:<region>:<account>:<kind>/<id>"
        raise Invalid((Problem(("path", "resourceArn"), text, "string_pattern_mismatch"),))
    if match[1] not in (_SESSION, *_OTHERS):
        raise NotFound("resource", arn)
    return match[2] if match[1] == _SESSION else None
