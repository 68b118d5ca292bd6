"""The catalog, to be read: applications, their versions and the profiles that serve them."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from broker.api.answers import json_answer
from broker.api.body import parsed, query_of
from broker.api.models import ApplicationPath, Page
from broker.core.catalog import Application, ApplicationVersion, Catalog, Profile, semver_key
from broker.errors import NotFound
from signaling.routes import Json

MOUNTS = ("/cfg/apps", "/applications/cfg/apps")


class ApplicationApi:
    """The reading endpoints under `mount`; whatever would edit is answered 405."""

    def __init__(self, catalog: Catalog, *, mount: str) -> None:
        self._catalog = catalog
        self._mount = mount

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """As aiohttp wants them."""
        one = self._mount + "/{id}"
        version = one + "/versions/{version}"
        return (
            web.get(self._mount, self.list),
            web.get(one, self.get),
            web.get(one + "/versions", self.versions),
            web.get(version, self.version),
            web.get(version + "/profiles", self.profiles),
            web.get(version + "/profiles/{profile}", self.profile),
        )

    async def list(self, request: web.Request) -> web.Response:
        """All applications, or those that carry every tag asked for."""
        wanted = set(request.query.getall("tags", []))
        found = [item for item in self._catalog.applications.values() if wanted <= set(item.tags)]
        return _page(request, [_application(item) for item in found])

    async def get(self, request: web.Request) -> web.Response:
        """One application."""
        return json_answer(_application(self._application(request)))

    async def versions(self, request: web.Request) -> web.Response:
        """Its versions, the highest first: clients offer the first one."""
        known = sorted(self._application(request).versions, key=semver_key, reverse=True)
        return _page(request, [{"version": version} for version in known])

    async def version(self, request: web.Request) -> web.Response:
        """One version."""
        return json_answer({"version": self._version(request)[1].version})

    async def profiles(self, request: web.Request) -> web.Response:
        """The profiles that serve it, the default one first."""
        application, version = self._version(request)
        return _page(request, [_profile(item) for item in self._catalog.profiles_of(application, version.version)])

    async def profile(self, request: web.Request) -> web.Response:
        """One profile."""
        path = parsed(ApplicationPath, dict(request.match_info), "path")
        return json_answer(_profile(self._catalog.resolve(path.id, path.version, path.profile).profile))

    def _application(self, request: web.Request) -> Application:
        return self._catalog.application(parsed(ApplicationPath, dict(request.match_info), "path").id)

    def _version(self, request: web.Request) -> tuple[Application, ApplicationVersion]:
        path = parsed(ApplicationPath, dict(request.match_info), "path")
        application = self._catalog.application(path.id)
        if not path.version:
            raise NotFound("version", "")
        return application, application.version(path.version)


def _page(request: web.Request, entries: Sequence[Json]) -> web.Response:
    """Versions and profiles come as pages too: the clients of the field read their `items`."""
    page = parsed(Page, query_of(request), "query")
    items = entries[page.offset : page.offset + page.limit]
    return json_answer({"offset": page.offset, "limit": page.limit, "count": len(items), "items": items})


def _application(application: Application) -> Json:
    return {
        "id": application.id,
        "name": application.name,
        "description": application.description,
        "tags": list(application.tags),
    }


def _profile(profile: Profile) -> Json:
    return {"id": profile.id, "name": profile.name, "description": profile.description}
