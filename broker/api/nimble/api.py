"""The Nimble-compatible API put together: one route takes all below its prefix, and finds the operation itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from broker.admission import AdmissionTokens
from broker.api.auth import Authenticator, Facade
from broker.api.nimble.answers import always, tell, tell_http
from broker.api.nimble.catalog import CatalogOperations
from broker.api.nimble.credentials import SignedCallers
from broker.api.nimble.found import FoundSessions
from broker.api.nimble.paths import Operations
from broker.api.nimble.sessions import SessionOperations
from broker.api.nimble.streams import StreamOperations
from broker.api.nimble.studios import ROOT, Studios
from broker.api.nimble.tags import TagOperations
from broker.core.catalog import Catalog
from broker.identity.access_keys import AccessKey
from broker.nimble_settings import NimbleSettings
from broker.sessions import Sessions


class NimbleApi:
    """The endpoints. `everybody` stands behind the key `local`; None: it is not accepted."""

    def __init__(
        self,
        settings: NimbleSettings,
        sessions: Sessions,
        catalog: Callable[[], Catalog],
        tokens: AdmissionTokens,
        *,
        keys: Mapping[str, AccessKey],
        everybody: Authenticator | None,
        public_url: str | None,
    ) -> None:
        studios, types = Studios(settings.studios), settings.instance_types
        found = FoundSessions(sessions, studios)
        self._callers = SignedCallers(keys, everybody=everybody)
        self._operations = Operations(
            (
                *SessionOperations(sessions, catalog, studios, found, instance_types=types).operations(),
                *StreamOperations(sessions, tokens, found, public_url=public_url).operations(),
                *CatalogOperations(catalog, studios, instance_types=types).operations(),
                *TagOperations(sessions, found).operations(),
                *studios.operations(),
            )
        )

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """As aiohttp wants them."""
        return (web.route("*", ROOT + "{path:.*}", self._answer),)

    def facade(self) -> Facade:
        """What the gate has to know."""
        return Facade(ROOT, tell, tell_http, self._callers, always)

    async def _answer(self, request: web.Request) -> web.Response:
        handler, names = self._operations.find(request.method, request.raw_path.partition("?")[0])
        return await handler(request, names)
