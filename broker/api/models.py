"""What requests look like on the wire: the documented bodies, those of OVC 2.0.0, and the list's query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

SESSION_ID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"

Id = Annotated[str, Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_-]*$", max_length=63)]
Version = Annotated[str, Field(max_length=128)]
SessionId = Annotated[str, Field(pattern=SESSION_ID_PATTERN)]


def _without_empty_nucleus(value: object) -> object:
    """Clients of OVC send `nucleus_connection_config: []` with every request; a filled one is refused as no text."""
    if not isinstance(value, Mapping) or value.get("nucleus_connection_config", ...) not in ([], {}):
        return value
    return {name: item for name, item in value.items() if name != "nucleus_connection_config"}


Arguments = Annotated[dict[str, str | None], BeforeValidator(_without_empty_nucleus)]


class _Body(BaseModel):
    """Fields that are not known are ignored, as clients of the field expect."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class StartStream(_Body):
    """The documented body of a create."""

    id: Id
    profile: Id
    version: Version | None = None
    arguments: Arguments | None = None


class StartOvcStream(_Body):
    """The same in OVC's words; it knows no profile."""

    application: Id
    application_version: Version | None = None
    application_arguments: Arguments | None = None


class EndStream(_Body):
    """The documented body of a delete."""

    id: SessionId


class EndOvcStream(_Body):
    """The same in OVC's words."""

    session_id: SessionId


class SessionPath(_Body):
    """A session named in the path."""

    id: SessionId


class ApplicationPath(_Body):
    """An application, its version and its profile named in the path, as far as they are."""

    id: Id
    version: Version | None = None
    profile: Id | None = None


def _with_plus(value: object) -> object:
    """A plus sign in a query means a blank unless it is escaped; clients forget that in time zones."""
    return value.replace(" ", "+") if isinstance(value, str) else value


Time = Annotated[AwareDatetime, BeforeValidator(_with_plus)]


class Page(_Body):
    """Which part of a list."""

    limit: Annotated[int, Field(gt=0, le=2**53)] = 50
    offset: Annotated[int, Field(ge=0, le=2**53)] = 0


class StreamQuery(Page):
    """Which sessions, in which order."""

    sort_by: Annotated[Literal["created_time", "username"], Field(alias="sort-by")] = "created_time"
    order: Literal["ASC", "DESC"] = "ASC"
    username: str | None = None
    from_time: Time | None = None
    to_time: Time | None = None
