"""What requests look like on the wire: bodies (the documented ones and those of OVC 2.0.0), paths, queries, headers.

The same models validate and are published (`broker.api.openapi`), so their docstrings speak to the API's users.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from broker.core.catalog import SEMVER_PATTERN

SESSION_ID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DIGITS = re.compile(r"-?[0-9]{1,20}")

Id = Annotated[str, Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_-]*$", max_length=63)]
Version = Annotated[str, Field(max_length=128)]
SemVer = Annotated[str, Field(pattern=f"^{SEMVER_PATTERN}$", max_length=128)]
SessionId = Annotated[str, Field(pattern=SESSION_ID_PATTERN)]
Name = Annotated[str, Field(max_length=200)]
Description = Annotated[str, Field(max_length=4000)]
Reference = Annotated[str, Field(max_length=1000)]


def _once(tags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tags))


Tags = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], Field(max_length=50), AfterValidator(_once)
]


def _drop_default(schema: JsonDict) -> None:
    schema.pop("default", None)


NO_DEFAULT = Field(json_schema_extra=_drop_default)
"""For what is left as it is where nothing is said of it."""


def _without_empty_nucleus(value: object) -> object:
    """Clients of OVC send `nucleus_connection_config: []` with every request; a filled one is refused as no text."""
    if not isinstance(value, Mapping) or value.get("nucleus_connection_config", ...) not in ([], {}):
        return value
    return {name: item for name, item in value.items() if name != "nucleus_connection_config"}


Arguments = Annotated[dict[str, str | None], BeforeValidator(_without_empty_nucleus)]


class _Body(BaseModel):
    """Fields that are not known are ignored, as clients of the field expect."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def _in_other_words(schema: JsonDict) -> None:
    """A body with an `id` is in the documented words, whatever else it holds."""
    properties = schema["properties"]
    assert isinstance(properties, dict)
    properties["id"] = False


class StartStream(_Body):
    """The documented body of a create."""

    id: Id
    profile: Id
    version: Version | None = None
    arguments: Arguments | None = None


class StartOvcStream(_Body):
    """The same in OVC's words; it knows no profile."""

    model_config = ConfigDict(json_schema_extra=_in_other_words)

    application: Id
    application_version: Version | None = None
    application_arguments: Arguments | None = None


class EndStream(_Body):
    """The documented body of a delete."""

    id: SessionId


class EndOvcStream(_Body):
    """The same in OVC's words."""

    model_config = ConfigDict(json_schema_extra=_in_other_words)

    session_id: SessionId


class TokenRequest(_Body):
    """Which admission token is wanted."""

    role: Literal["controller", "viewer"] | None = None
    """May steer, or only watch. Default: as the token that is renewed; for a session's owner, controller."""


class SessionPath(_Body):
    """A session named in the path."""

    id: SessionId


class ApplicationPath(_Body):
    """An application named in the path."""

    id: Id


class AnyVersionPath(ApplicationPath):
    """A version beside it; "default" and "latest" are names of one, too."""

    version: Annotated[str, Field(min_length=1, max_length=128)]


class ProfilePath(AnyVersionPath):
    """A profile beside them."""

    profile: Id


class VersionPath(ApplicationPath):
    """One version by its own name."""

    version: SemVer


class CreateApplication(_Body):
    """A new application. Without a name its id is its name."""

    id: Id
    name: Name = ""
    description: Description = ""
    tags: Tags = ()


class ChangeApplication(_Body):
    """What is to be changed of an application; what is left out stays. Tags are replaced whole."""

    name: Annotated[Name, NO_DEFAULT] = ""
    description: Annotated[Description, NO_DEFAULT] = ""
    tags: Annotated[Tags, NO_DEFAULT] = ()


class DeleteApplication(_Body):
    """The application to delete."""

    id: Id


class CreateVersion(_Body):
    """A new version of an application, and where an engine of containers finds it."""

    version: SemVer
    container: Reference = ""
    container_version: Reference = ""
    helm_chart: Reference = ""
    helm_chart_version: Reference = ""


class DeleteVersion(_Body):
    """The version to delete."""

    version: SemVer


def _time(value: object) -> object:
    """RFC 3339 alone. A plus sign in a query means a blank unless it is escaped; clients forget that in time zones."""
    text = value.replace(" ", "+") if isinstance(value, str) else ""
    if _RFC3339.fullmatch(text) is None:
        raise ValueError("Value should be a time as RFC 3339 writes it, such as 2030-01-31T12:00:00Z")
    return text


def _digits(value: object) -> object:
    """Numbers in a query are written with digits and nothing else."""
    if isinstance(value, str) and _DIGITS.fullmatch(value) is None:
        raise ValueError("Value should be a whole number, written in digits")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_time)]
Limit = Annotated[int, Field(gt=0, le=2**53), BeforeValidator(_digits)]
Offset = Annotated[int, Field(ge=0, le=2**53), BeforeValidator(_digits)]


class Page(_Body):
    """Which part of a list."""

    limit: Limit = 50
    offset: Offset = 0


class ApplicationQuery(Page):
    """Which applications: those that carry every tag named."""

    tags: tuple[str, ...] = ()


class WaitHeaders(_Body):
    """How long to wait for a better answer."""

    prefer: Annotated[
        str | None, Field(alias="Prefer", description="`wait=N`: answer when ready or after N seconds (RFC 7240).")
    ] = None


class KeyHeaders(_Body):
    """The key under which a repeated request is known again."""

    idempotency_key: Annotated[
        str | None,
        Field(
            alias="Idempotency-Key",
            max_length=255,
            pattern="^[\\x20-\\x7e]*$",
            description="A second request with the key of a first changes nothing, and gets the same session.",
        ),
    ] = None


class CreateHeaders(WaitHeaders, KeyHeaders):
    """Both."""


EventId = Annotated[str, Field(pattern="^[0-9]{0,19}$")]


class EventsQuery(_Body):
    """Where a reader left off that cannot set headers."""

    after: Annotated[EventId | None, Field(description="As Last-Event-ID.")] = None


class EventsHeaders(_Body):
    """Where a reader left off."""

    last_event_id: Annotated[
        EventId | None, Field(alias="Last-Event-ID", description="The last event that was heard; those after it come.")
    ] = None


class StreamQuery(Page):
    """Which sessions, in which order."""

    sort_by: Annotated[Literal["created_time", "username"], Field(alias="sort-by")] = "created_time"
    order: Literal["ASC", "DESC"] = "ASC"
    username: str | None = None
    from_time: Time | None = None
    to_time: Time | None = None
