"""Studios: the tenants that sessions are kept apart by. Without configured ones, every id means the same studio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from broker.api.nimble.answers import answer
from broker.api.nimble.credentials import region_of
from broker.api.nimble.paging import page
from broker.api.nimble.paths import Operation
from broker.api.nimble.query import Query
from broker.api.nimble.representation import arn
from broker.core.session import Session
from broker.errors import NotFound
from signaling.routes import Json

ROOT = "/2020-08-01"
STUDIO = ROOT + "/studios/{studioId}"
STUDIO_LABEL = "nimble.studio"
_USUAL = "pixelferry"


class Studios:
    """The configured ones, by id."""

    def __init__(self, configured: Sequence[str]) -> None:
        self._configured = tuple(configured)

    def operations(self) -> Sequence[Operation]:
        """ListStudios, GetStudio."""
        return (Operation("GET", ROOT + "/studios", self.list), Operation("GET", STUDIO, self.get))

    def named(self, names: Mapping[str, str]) -> str:
        """The studio that the path names, by the id that it is kept under. Raises NotFound."""
        wanted = names["studioId"]
        if not self._configured:
            return _USUAL
        if wanted not in self._configured:
            raise NotFound("studio", wanted)
        return wanted

    def has(self, studio: str, session: Session) -> bool:
        """Whether a session is of this studio; what no studio made is of the first one."""
        if not self._configured:
            return True
        return session.labels.get(STUDIO_LABEL, self._configured[0]) == studio

    async def list(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """ListStudios."""
        known = sorted(self._configured or (_USUAL,))
        studios, token = page(known, lambda studio: (studio,), of="studios", token=Query(request).one("nextToken"))
        more: dict[str, Json] = {} if token is None else {"nextToken": token}
        return answer({"studios": [_studio(request, studio) for studio in studios], **more})

    async def get(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """GetStudio."""
        self.named(names)
        return answer({"studio": _studio(request, names["studioId"])})


def _studio(request: web.Request, studio: str) -> Json:
    region = region_of(request)
    return {
        "arn": arn(region, "studio", studio),
        "displayName": studio,
        "homeRegion": region,
        "state": "READY",
        "statusCode": "STUDIO_CREATED",
        "studioId": studio,
        "studioName": studio,
        "tags": {},
    }
