"""Editing the catalog by endpoint: applications and versions made, changed and deleted, by admins alone.

There is no endpoint for profiles: they say which programs run, so whoever administers the broker writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from aiohttp import web

from broker.api.answers import json_answer
from broker.api.applications import application_json
from broker.api.auth import require_admin
from broker.api.body import Model, parsed, read_json, require_json
from broker.api.models import (
    ApplicationPath,
    ChangeApplication,
    CreateApplication,
    CreateVersion,
    DeleteApplication,
    DeleteVersion,
    VersionPath,
)
from broker.api.operation import Operation, Reply, described
from broker.api.replies import ApplicationReply, CreatedApplication, VersionReply
from broker.core.catalog import ApplicationVersion
from broker.core.catalog_edits import changed, created, deleted, version_created, version_deleted
from broker.live_catalog import LiveCatalog


def _changing(operation_id: str) -> Operation:
    return Operation(
        operation_id,
        "Change an application",
        {200: Reply("The application as it is now.", ApplicationReply)},
        tag="Applications",
        errors=(404, 409, 422),
        path=ApplicationPath,
        body=(ChangeApplication,),
    )


class ApplicationEditApi:
    """The editing endpoints under `mount`. An application that was deleted, or a version, leaves running streams be."""

    def __init__(self, catalog: LiveCatalog, *, mount: str) -> None:
        self._catalog = catalog
        self._mount = mount

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """As aiohttp wants them."""
        one = self._mount + "/{id}"
        versions = one + "/versions"
        return (
            web.post(self._mount, self.create),
            web.delete(self._mount, self.delete_named_in_body),
            web.put(one, self.put),
            web.patch(one, self.patch),
            web.delete(one, self.delete),
            web.post(versions, self.create_version),
            web.delete(versions, self.delete_version_named_in_body),
            web.delete(versions + "/{version}", self.delete_version),
        )

    @described(
        Operation(
            "createApplication",
            "Make an application",
            {201: Reply("The application was made.", CreatedApplication)},
            tag="Applications",
            errors=(409, 422),
            body=(CreateApplication,),
        )
    )
    async def create(self, request: web.Request) -> web.Response:
        """Make an application; it can be streamed once it has a version."""
        body = await _asked(request, CreateApplication)
        name = body.name or body.id
        change = partial(created, application_id=body.id, name=name, description=body.description, tags=body.tags)
        await self._catalog.edit(change)
        return json_answer({"id": body.id}, status=201)

    @described(_changing("replaceApplication"))
    async def put(self, request: web.Request) -> web.Response:
        """Give an application another name, another description, or other tags in the place of all it has."""
        return await self._change(request)

    @described(_changing("changeApplication"))
    async def patch(self, request: web.Request) -> web.Response:
        """The same: what is left out stays as it is."""
        return await self._change(request)

    async def _change(self, request: web.Request) -> web.Response:
        require_admin(request)
        path = _path(request, ApplicationPath)
        body = await _asked(request, ChangeApplication)
        given = {name: getattr(body, name) for name in body.model_fields_set}
        catalog = await self._catalog.edit(partial(changed, application_id=path.id, **given))
        return json_answer(application_json(catalog.application(path.id)))

    @described(
        Operation(
            "deleteApplication",
            "Delete an application",
            {204: Reply("The application is gone.")},
            tag="Applications",
            errors=(404, 409, 422),
            path=ApplicationPath,
        )
    )
    async def delete(self, request: web.Request) -> web.Response:
        """Delete the application that the path names, with all its versions."""
        require_admin(request)
        await self._catalog.edit(partial(deleted, application_id=_path(request, ApplicationPath).id))
        return web.Response(status=204)

    @described(
        Operation(
            "deleteApplicationInBody",
            "Delete the application that the body names",
            {204: Reply("The application is gone.")},
            tag="Applications",
            errors=(404, 409, 422),
            body=(DeleteApplication,),
        )
    )
    async def delete_named_in_body(self, request: web.Request) -> web.Response:
        """Delete the application that the body names, with all its versions."""
        body = await _asked(request, DeleteApplication)
        await self._catalog.edit(partial(deleted, application_id=body.id))
        return web.Response(status=204)

    @described(
        Operation(
            "createVersion",
            "Make a version of an application",
            {201: Reply("The version was made.", VersionReply)},
            tag="Versions",
            errors=(404, 409, 422),
            path=ApplicationPath,
            body=(CreateVersion,),
        )
    )
    async def create_version(self, request: web.Request) -> web.Response:
        """Give an application one more version."""
        require_admin(request)
        path = _path(request, ApplicationPath)
        version = ApplicationVersion(**(await _asked(request, CreateVersion)).model_dump())
        await self._catalog.edit(partial(version_created, application_id=path.id, version=version))
        return json_answer({"version": version.version}, status=201)

    @described(
        Operation(
            "deleteVersion",
            "Delete a version of an application",
            {204: Reply("The version is gone.")},
            tag="Versions",
            errors=(404, 409, 422),
            path=VersionPath,
        )
    )
    async def delete_version(self, request: web.Request) -> web.Response:
        """Delete the version that the path names; streams of it that run go on."""
        require_admin(request)
        path = _path(request, VersionPath)
        await self._catalog.edit(partial(version_deleted, application_id=path.id, version=path.version))
        return web.Response(status=204)

    @described(
        Operation(
            "deleteVersionInBody",
            "Delete the version that the body names",
            {204: Reply("The version is gone.")},
            tag="Versions",
            errors=(404, 409, 422),
            path=ApplicationPath,
            body=(DeleteVersion,),
        )
    )
    async def delete_version_named_in_body(self, request: web.Request) -> web.Response:
        """Delete the version that the body names; streams of it that run go on."""
        require_admin(request)
        path = _path(request, ApplicationPath)
        body = await _asked(request, DeleteVersion)
        await self._catalog.edit(partial(version_deleted, application_id=path.id, version=body.version))
        return web.Response(status=204)


async def _asked(request: web.Request, model: type[Model]) -> Model:
    """The body, read only once the caller is known to be an admin."""
    require_admin(request)
    require_json(request)
    return parsed(model, await read_json(request), "body")


def _path(request: web.Request, model: type[Model]) -> Model:
    return parsed(model, dict(request.match_info), "path")
