"""Reads a catalog from TOML; a fault is told by file, key and mend. Every key is explained in docs/profiles.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from broker.configuration import ConfigurationError, dotted, first_problem, read_toml
from broker.core.catalog import (
    ANY,
    DEFAULT_PROFILE,
    UNNAMED_VERSIONS,
    Application,
    ApplicationPattern,
    ApplicationVersion,
    Catalog,
    Clocks,
    Profile,
    is_semver,
)
from broker.node_file import Labels, Zone
from signaling.routes import Admission, SignalingKind

SHIPPED = Path(__file__).with_name("catalog.toml")
"""The catalog that is used where none is named."""

_CLOCKS = Clocks()
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}", re.ASCII)
_MADE_BY_PROVIDER = re.compile(r"PIXELFERRY_(BACKEND_HOST|(SIGNALING|MEDIA|CONTROL)_PORT|CONTROL_TOKEN|ARG_.*)")


def _id(value: str) -> str:
    if _ID.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no id: write a letter, then up to 62 letters, digits, '-' or '_'")
    return value


def _id_or_any(value: str) -> str:
    return value if value == ANY else _id(value)


def _version(value: str) -> str:
    if not is_semver(value):
        raise ValueError(f"{value!r} is no version: write it as SemVer has it, such as 1.0.0")
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression ({error})") from None
    return value


def _variable(value: str) -> str:
    if _VARIABLE.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no name of an environment variable: write letters, digits and '_'")
    if _MADE_BY_PROVIDER.fullmatch(value):
        raise ValueError(f"{value} is set by Pixelferry itself: take another name")
    return value


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("must hold no NUL character")
    return value


Id = Annotated[str, AfterValidator(_id)]
Text = Annotated[str, AfterValidator(_text)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
SecondsOrZero = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Version(_Table):
    container: str = ""
    container_version: str = ""
    helm_chart: str = ""
    helm_chart_version: str = ""


class _Application(_Table):
    name: str = ""
    description: str = ""
    tags: list[str] = []
    default_version: str | None = None
    default_profile: Id = DEFAULT_PROFILE
    versions: Annotated[dict[Annotated[str, AfterValidator(_version)], _Version], Field(min_length=1)]


class _Pattern(_Table):
    id: Annotated[str, AfterValidator(_id_or_any)] = ANY
    versions: Annotated[list[str], Field(min_length=1)] = [ANY]


class _Clocks(_Table):
    placement_s: Seconds = _CLOCKS.placement_s
    start_s: Seconds = _CLOCKS.start_s
    first_connection_s: Seconds = _CLOCKS.first_connection_s
    reconnect_grace_s: Seconds = _CLOCKS.reconnect_grace_s
    idle_s: Seconds | None = _CLOCKS.idle_s
    max_length_s: Seconds | None = _CLOCKS.max_length_s
    max_stopped_s: SecondsOrZero | None = _CLOCKS.max_stopped_s
    at_max_length: Literal["end", "stop"] = _CLOCKS.at_max_length
    warn_s: SecondsOrZero | None = _CLOCKS.warn_s
    extend_s: Seconds | None = _CLOCKS.extend_s
    extend_most_s: Seconds | None = _CLOCKS.extend_most_s


class _Profile(_Table):
    name: str = ""
    description: str = ""
    applications: Annotated[list[_Pattern], Field(min_length=1)]
    provider: Literal["process", "static"] = "process"
    command: Annotated[list[Annotated[Text, Field(min_length=1)]], Field(min_length=1)] | None = None
    environment: dict[Annotated[str, AfterValidator(_variable)], Text] = {}
    arguments: dict[Id, Annotated[str, AfterValidator(_pattern)]] = {}
    protocol: Literal["pixelferry", "plain"] = "pixelferry"
    signaling: Literal["readable", "opaque"] = "readable"
    admission: Literal["token", "session-id", "address"] | None = None
    slots: Annotated[int, Field(ge=1, le=10_000)] | None = None
    queue: Annotated[int, Field(ge=0, le=100_000)] = 100
    ready_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    labels: Labels = {}
    zones: list[Zone] = []
    clocks: _Clocks = _Clocks()


class _File(_Table):
    applications: Annotated[dict[Id, _Application], Field(min_length=1)]
    profiles: Annotated[dict[Id, _Profile], Field(min_length=1)]


def load_catalog(path: Path = SHIPPED, *, admission: Admission = Admission.SESSION_ID) -> Catalog:
    """The catalog in this file; `admission` is that of profiles which name none. Raises ConfigurationError."""
    try:
        file = _File.model_validate(read_toml(path))
    except ValidationError as error:
        loc, reason = first_problem(error, _File)
        raise ConfigurationError(str(path), dotted([part for part in loc if part != "[key]"]), reason) from error
    muddled = next((end for key, table in file.profiles.items() for end in _misplaced(key, table)), None)
    if muddled is not None:
        raise ConfigurationError(str(path), *muddled)
    catalog = Catalog(
        {key: _application(key, table) for key, table in file.applications.items()},
        {key: _profile(key, table, admission) for key, table in file.profiles.items()},
    )
    loose = next((end for find in (_loose_defaults, _loose_patterns, _muddles) for end in find(catalog)), None)
    if loose is not None:
        raise ConfigurationError(str(path), *loose)
    return catalog


def _application(key: str, table: _Application) -> Application:
    versions = {
        version: ApplicationVersion(version, **fields.model_dump()) for version, fields in table.versions.items()
    }
    default = None if table.default_version in UNNAMED_VERSIONS else table.default_version
    return Application(
        key, table.name or key, table.description, tuple(table.tags), default, versions, table.default_profile
    )


def _profile(key: str, table: _Profile, admission: Admission) -> Profile:
    return Profile(
        id=key,
        name=table.name or key,
        description=table.description,
        applications=tuple(ApplicationPattern(item.id, tuple(item.versions)) for item in table.applications),
        provider=table.provider,
        command=tuple(table.command or ()),
        environment=table.environment,
        arguments=table.arguments,
        protocol=table.protocol,
        signaling=SignalingKind(table.signaling),
        admission=admission if table.admission is None else Admission(table.admission),
        clocks=Clocks(**table.clocks.model_dump()),
        slots=table.slots or 1,
        queue=table.queue,
        ready_url=table.ready_url,
        labels=table.labels,
        zones=tuple(table.zones),
    )


def _misplaced(key: str, table: _Profile) -> Iterator[tuple[str, str]]:
    """What the profile's provider lacks or cannot heed, as (key, reason)."""
    if table.provider == "process":
        if table.command is None:
            yield f"profiles.{key}.command", "is missing: add it"
        for name in ("labels", "zones"):
            if getattr(table, name):
                yield f"profiles.{key}.{name}", "is for backends on nodes: set provider = 'static', or leave it out"
        return
    for name in ("command", "environment", "slots", "ready_url"):
        if getattr(table, name):
            yield f"profiles.{key}.{name}", "means nothing on nodes, which start their backends: leave it out"
    if table.protocol == "plain":
        reason = "must be 'pixelferry' on nodes: a backend of another kind cannot be given a session, nor taken one"
        yield f"profiles.{key}.protocol", reason


def _loose_defaults(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Defaults of applications that lead nowhere, as (key, reason)."""
    for application in catalog.applications.values():
        at = f"applications.{application.id}"
        if application.default_version is not None and application.default_version not in application.versions:
            known = ", ".join(application.versions)
            yield f"{at}.default_version", f"there is no version {application.default_version!r}; name one of {known}"
        profile = catalog.profiles.get(application.default_profile)
        served = profile is not None and any(profile.serves(application.id, known) for known in application.versions)
        if application.default_profile != DEFAULT_PROFILE and not served:
            reason = f"no profile {application.default_profile!r} serves this application; name one that does"
            yield f"{at}.default_profile", reason


def _loose_patterns(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Applications that profiles name and nobody declares."""
    for profile in catalog.profiles.values():
        for number, pattern in enumerate(profile.applications):
            if pattern.id != ANY and pattern.id not in catalog.applications:
                known = ", ".join(catalog.applications)
                reason = f"there is no application {pattern.id!r}; name one of {known}, or '*' for all"
                yield f"profiles.{profile.id}.applications.{number}.id", reason
            elif unknown := _unknown_version(catalog, pattern):
                reason = f"no such application has a version {unknown!r}; name one that it has, or '*' for all"
                yield f"profiles.{profile.id}.applications.{number}.versions", reason


def _unknown_version(catalog: Catalog, pattern: ApplicationPattern) -> str | None:
    meant = catalog.applications.values() if pattern.id == ANY else [catalog.applications[pattern.id]]
    known = {ANY, *(version for application in meant for version in application.versions)}
    return next((version for version in pattern.versions if version not in known), None)


def _muddles(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """What a profile says and cannot mean."""
    for profile in catalog.profiles.values():
        if profile.ready_url is not None and profile.protocol != "plain":
            reason = "is for backends with protocol 'plain' only: leave it out, or set protocol"
            yield f"profiles.{profile.id}.ready_url", reason
        clocks = profile.clocks
        if clocks.at_max_length == "stop" and clocks.max_stopped_s == 0:
            reason = "cannot be 'stop' where max_stopped_s = 0 lets nothing be stopped: change one of the two"
            yield f"profiles.{profile.id}.clocks.at_max_length", reason
        if clocks.extend_most_s is not None and clocks.extend_s is None:
            reason = "bounds extensions where there are none: set extend_s too, or leave it out"
            yield f"profiles.{profile.id}.clocks.extend_most_s", reason
        variables = [name.upper().replace("-", "_") for name in profile.arguments]
        for name, variable in zip(profile.arguments, variables, strict=True):
            if variables.count(variable) > 1:
                yield (
                    f"profiles.{profile.id}.arguments.{name}",
                    f"shares its variable (PIXELFERRY_ARG_{variable}) with another one: rename it",
                )
