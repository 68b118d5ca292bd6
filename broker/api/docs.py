"""Live documentation: the published documents and Swagger UI over them, all assets from this very server."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

from aiohttp import web

from broker.api.answers import json_answer
from broker.api.catalog_schemas import fit_to_anybody, fit_to_catalog
from broker.api.dialect import Dialects
from broker.api.openapi import JsonObject, document_of, endpoints_of, placed
from broker.api.published import APPLICATIONS, STREAMING, Published, published
from broker.core.catalog import Catalog
from broker.errors import NotFound

_ASSETS = Path(__file__).with_name("swagger")
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".png": "image/png"}
_PAGE = "page.html"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class DocsApi:
    """`<base>/docs` and `<base>/openapi.json` for each API; both at the root where a proxy took the base off.

    `identity`: whether callers have to say who they are.
    """

    def __init__(self, dialects: Dialects, catalog: Callable[[], Catalog], *, identity: bool) -> None:
        self._dialects = dialects
        self._catalog = catalog
        self._identity = identity
        self._published: Mapping[str, Published] = {}
        self._documents: dict[str, JsonObject] = {}
        self._page = (_ASSETS / _PAGE).read_text()
        self._files = {file.name: file for file in sorted(_ASSETS.iterdir()) if file.suffix in _TYPES}

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """As aiohttp wants them."""
        return tuple(
            route
            for base in (STREAMING, APPLICATIONS, "")
            for route in (
                web.get(base + "/openapi.json", partial(self.document, base)),
                web.get(base + "/docs", partial(self.page, base)),
                web.get(base + "/docs/{asset}", partial(self.asset, base)),
            )
        )

    def publish(self, routes: Iterable[web.AbstractRoute]) -> None:
        """Take over the described ones of these routes: to be called once they are all there."""
        self._published = published(endpoints_of(routes), version("pixelferry"), identity=self._identity)

    async def document(self, base: str, request: web.Request) -> web.Response:
        """The OpenAPI document, its paths as the caller reaches them."""
        prefix = self._dialects.prefix_of(request)
        meant = base or self._base_taken_off(request, prefix)
        told = self._published[meant]
        bases = [(base, told.served), ("", told.plain)] if base else [("", told.served)]
        document = placed(self._document_of(meant), prefix, bases=bases)
        if meant == STREAMING and self._identity:  # the document is open to everyone, and the catalog is not
            fit_to_anybody(document)
        elif meant == STREAMING:
            fit_to_catalog(document, self._catalog())
        return json_answer(document)

    async def page(self, base: str, request: web.Request) -> web.Response:
        """Swagger UI; its links are relative, so that they hold behind any proxy."""
        taken = base or self._base_taken_off(request, self._dialects.prefix_of(request))
        text = self._page.replace("{title}", html.escape(self._published[taken].api.title))
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def asset(self, base: str, request: web.Request) -> web.StreamResponse:
        """One of the files that the page needs."""
        if not base:
            self._base_taken_off(request, self._dialects.prefix_of(request))
        file = self._files.get(request.match_info["asset"])
        if file is None:
            raise web.HTTPNotFound
        return web.FileResponse(file, headers={"Content-Type": _TYPES[file.suffix], "Cache-Control": "no-cache"})

    def _document_of(self, base: str) -> JsonObject:
        """Made when it is first asked for: most processes never are."""
        if base not in self._documents:
            self._documents[base] = document_of(self._published[base].api)
        return self._documents[base]

    def _base_taken_off(self, request: web.Request, prefix: str) -> str:
        """Which API is meant at the root: that one whose base a proxy took off the path. Raises NotFound."""
        for base in self._published:
            if prefix.endswith(base):
                return base
        raise NotFound("page", request.path)
