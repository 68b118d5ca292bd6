"""The catalog, to be read: applications, their versions and the profiles that serve them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web

from broker.api.answers import json_answer
from broker.api.body import path_of, query_of
from broker.api.models import AnyVersionPath, ApplicationPath, ApplicationQuery, Page, ProfilePath
from broker.api.operation import Operation, Reply, described
from broker.api.replies import (
    ApplicationPage,
    ApplicationReply,
    ProfilePage,
    ProfileReply,
    VersionPage,
    VersionReply,
)
from broker.core.catalog import Application, Catalog, Profile, semver_key
from signaling.routes import Json

MOUNTS = ("/cfg/apps", "/applications/cfg/apps")


class ApplicationApi:
    """The reading endpoints under `mount`. `catalog` returns the catalog of this moment."""

    def __init__(self, catalog: Callable[[], Catalog], *, mount: str) -> None:
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

    @described(
        Operation(
            "listApplications",
            "Return applications",
            {200: Reply("A page of the applications.", ApplicationPage)},
            tag="Applications",
            errors=(422,),
            query=ApplicationQuery,
        )
    )
    async def list(self, request: web.Request) -> web.Response:
        """All applications, or those that carry every tag asked for."""
        query = query_of(request, ApplicationQuery)
        wanted = set(query.tags)
        found = [item for item in self._catalog().applications.values() if wanted <= set(item.tags)]
        return _page(query, [application_json(item) for item in found])

    @described(
        Operation(
            "getApplication",
            "Return an application",
            {200: Reply("The application.", ApplicationReply)},
            tag="Applications",
            errors=(404, 422),
            path=ApplicationPath,
        )
    )
    async def get(self, request: web.Request) -> web.Response:
        """One application."""
        return json_answer(application_json(self._catalog().application(path_of(request, ApplicationPath).id)))

    @described(
        Operation(
            "listVersions",
            "Return the versions of an application",
            {200: Reply("A page of its versions.", VersionPage)},
            tag="Versions",
            errors=(404, 422),
            path=ApplicationPath,
            query=Page,
        )
    )
    async def versions(self, request: web.Request) -> web.Response:
        """Its versions, the highest first: clients offer the first one."""
        query = query_of(request, Page)
        application = self._catalog().application(path_of(request, ApplicationPath).id)
        known = sorted(application.versions, key=semver_key, reverse=True)
        return _page(query, [{"version": version} for version in known])

    @described(
        Operation(
            "getVersion",
            "Return a version of an application",
            {200: Reply("The version.", VersionReply)},
            tag="Versions",
            errors=(404, 422),
            path=AnyVersionPath,
        )
    )
    async def version(self, request: web.Request) -> web.Response:
        """One version."""
        path = path_of(request, AnyVersionPath)
        return json_answer({"version": self._catalog().application(path.id).version(path.version).version})

    @described(
        Operation(
            "listProfiles",
            "Return the profiles that serve a version",
            {200: Reply("A page of the profiles.", ProfilePage)},
            tag="Profiles",
            errors=(404, 422),
            path=AnyVersionPath,
            query=Page,
        )
    )
    async def profiles(self, request: web.Request) -> web.Response:
        """The profiles that serve it, the default one first."""
        query, path, catalog = query_of(request, Page), path_of(request, AnyVersionPath), self._catalog()
        application = catalog.application(path.id)
        found = catalog.profiles_of(application, application.version(path.version).version)
        return _page(query, [_profile(item) for item in found])

    @described(
        Operation(
            "getProfile",
            "Return a profile that serves a version",
            {200: Reply("The profile.", ProfileReply)},
            tag="Profiles",
            errors=(404, 422),
            path=ProfilePath,
        )
    )
    async def profile(self, request: web.Request) -> web.Response:
        """One profile."""
        path = path_of(request, ProfilePath)
        return json_answer(_profile(self._catalog().resolve(path.id, path.version, path.profile).profile))


def application_json(application: Application) -> Json:
    """An application as the contract has it."""
    return {
        "id": application.id,
        "name": application.name,
        "description": application.description,
        "tags": list(application.tags),
    }


def _page(query: Page, entries: Sequence[Json]) -> web.Response:
    """Versions and profiles come as pages too: the clients of the field read their `items`."""
    items = entries[query.offset : query.offset + query.limit]
    return json_answer({"offset": query.offset, "limit": query.limit, "count": len(items), "items": items})


def _profile(profile: Profile) -> Json:
    return {"id": profile.id, "name": profile.name, "description": profile.description}
