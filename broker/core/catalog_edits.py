"""What was edited of the catalog by endpoint: an overlay over the catalog of the file, kept apart from it.

Pure: the overlay's values, its merge with the file's catalog, and each edit as a function from overlay to overlay.
Profiles are never edited: they say which programs run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from broker.core.catalog import Application, ApplicationVersion, Catalog
from broker.errors import Conflict, NotFound

MOST_APPLICATIONS = 1000
"""Applications that the overlay speaks of, at most; what may grow by requests is bounded."""

MOST_VERSIONS = 200
"""The same for the versions of one application."""


class Origin(StrEnum):
    """Where an edited application comes from. `DELETED`: from the file, and not to be seen any more."""

    FILE = "file"
    MADE = "made"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class ApplicationEdit:
    """What was edited of one application; None is as the file has it. `versions` maps to None what was deleted."""

    origin: Origin
    name: str | None = None
    description: str | None = None
    tags: tuple[str, ...] | None = None
    versions: Mapping[str, ApplicationVersion | None] = field(default_factory=dict)

    def over(self, application: Application) -> Application:
        """The application with this edit made to it. A default version that was deleted is no default any more."""
        versions = {
            key: version for key, version in {**application.versions, **self.versions}.items() if version is not None
        }
        default = application.default_version
        return replace(
            application,
            name=application.name if self.name is None else self.name,
            description=application.description if self.description is None else self.description,
            tags=application.tags if self.tags is None else self.tags,
            default_version=default if default in versions else None,
            versions=versions,
        )


@dataclass(frozen=True, slots=True)
class CatalogEdits:
    """All edits by application id. `revision` counts up with every write to the store."""

    applications: Mapping[str, ApplicationEdit] = field(default_factory=dict)
    revision: int = 0

    def with_application(self, application_id: str, edit: ApplicationEdit | None) -> CatalogEdits:
        """The same with this edit in the place of the application's; None: as the file has it."""
        others = {key: one for key, one in self.applications.items() if key != application_id}
        if edit is None:
            return replace(self, applications=others)
        if len(others) >= MOST_APPLICATIONS:
            raise Conflict(f"{MOST_APPLICATIONS} applications are edited, as many as are kept. Delete one first.")
        return replace(self, applications={**others, application_id: edit})


def merged(file: Catalog, edits: CatalogEdits) -> Catalog:
    """The catalog that is served: the file's, edited. An edit of what the file no longer has is without effect."""
    applications = dict(file.applications)
    for key, edit in edits.applications.items():
        if edit.origin is Origin.MADE:
            applications[key] = edit.over(Application(key, key, "", (), None, {}))
        elif key in applications:
            applications[key] = edit.over(applications[key])
        if edit.origin is Origin.DELETED:
            applications.pop(key, None)
    return replace(file, applications=applications)


def created(
    file: Catalog, edits: CatalogEdits, application_id: str, *, name: str, description: str, tags: tuple[str, ...]
) -> CatalogEdits:
    """A new application, without versions. Raises Conflict."""
    if application_id in merged(file, edits).applications:
        raise Conflict(f"There is an application {application_id!r} already.")
    return edits.with_application(application_id, ApplicationEdit(Origin.MADE, name, description, tags))


def changed(
    file: Catalog,
    edits: CatalogEdits,
    application_id: str,
    *,
    name: str | None = None,
    description: str | None = None,
    tags: tuple[str, ...] | None = None,
) -> CatalogEdits:
    """Other texts or tags (replaced whole) for an application; None leaves them. Raises NotFound, Conflict."""
    edit = _edit_of(file, edits, application_id)
    edit = replace(
        edit,
        name=edit.name if name is None else name,
        description=edit.description if description is None else description,
        tags=edit.tags if tags is None else tags,
    )
    return edits.with_application(application_id, edit)


def deleted(file: Catalog, edits: CatalogEdits, application_id: str) -> CatalogEdits:
    """The application gone, with all its versions. Raises NotFound, Conflict."""
    _edit_of(file, edits, application_id)
    hidden = ApplicationEdit(Origin.DELETED) if application_id in file.applications else None
    return edits.with_application(application_id, hidden)


def version_created(
    file: Catalog, edits: CatalogEdits, application_id: str, version: ApplicationVersion
) -> CatalogEdits:
    """One more version. Raises NotFound, Conflict."""
    edit = _edit_of(file, edits, application_id)
    versions = merged(file, edits).application(application_id).versions
    if version.version in versions:
        raise Conflict(f"Application {application_id!r} has a version {version.version!r} already.")
    if len({**versions, **edit.versions}) >= MOST_VERSIONS:
        raise Conflict(f"Application {application_id!r} has {MOST_VERSIONS} versions, as many as are kept.")
    edit = replace(edit, versions={**edit.versions, version.version: version})
    return edits.with_application(application_id, edit)


def version_deleted(file: Catalog, edits: CatalogEdits, application_id: str, version: str) -> CatalogEdits:
    """One version gone; what was started of it goes on. Raises NotFound, Conflict."""
    edit = _edit_of(file, edits, application_id)
    if version not in merged(file, edits).application(application_id).versions:
        raise NotFound(f"version of application {application_id!r} named", version)
    versions = {key: one for key, one in edit.versions.items() if key != version}
    below = file.applications.get(application_id) if edit.origin is Origin.FILE else None
    if below is not None and version in below.versions:
        versions[version] = None
    return edits.with_application(application_id, replace(edit, versions=versions))


def _edit_of(file: Catalog, edits: CatalogEdits, application_id: str) -> ApplicationEdit:
    """What is edited of an application that is served. Raises NotFound."""
    merged(file, edits).application(application_id)
    return edits.applications.get(application_id, ApplicationEdit(Origin.FILE))
