"""What answers look like on the wire, for the published documents; tests hold every answer to them.

Further fields may come with any release: clients are to ignore those that they do not know.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from broker.api.models import NO_DEFAULT, SESSION_ID_PATTERN
from broker.core.session import EndReason, Phase
from signaling.tokens import ViewerRole

SessionId = Annotated[str, Field(pattern=SESSION_ID_PATTERN)]
PortNumber = Annotated[int, Field(ge=1, le=65535)]


class PortEntry(BaseModel):
    """One port. Clients connect to `source_port` on the host that is the key above it."""

    description: Literal["signaling", "media"]
    destination_port: Annotated[PortNumber, Field(description="The port of the streaming backend.")]
    protocol: Literal["TCP", "UDP"]
    source_port: Annotated[PortNumber, Field(description="The port to connect to.")]


class NestedPorts(BaseModel):
    """The ports of one host, as the deployed service has them."""

    routes: list[PortEntry]


class Status(BaseModel):
    """Where a session is, in a word, in a sentence, and whether it can be connected to."""

    condition: Literal["pending", "ready", "failed"]
    message: str
    status: bool


class QueueReply(BaseModel):
    """Where a session stands that waits for a slot."""

    position: Annotated[int, Field(description="1: next.")]
    eta_s: Annotated[float | None, Field(description="Measured, not promised; null: nothing was measured yet.")]
    length: int


class ClocksReply(BaseModel):
    """The profile's bounds on a session's life, in seconds; null is no bound."""

    placement_s: float
    start_s: float
    first_connection_s: float
    reconnect_grace_s: float
    idle_s: float | None
    max_length_s: float | None
    max_stopped_s: float | None
    at_max_length: Literal["end", "stop"]
    warn_s: float | None
    extend_s: float | None
    extend_most_s: float | None


class StreamReply(BaseModel):
    """A streaming session."""

    id: SessionId
    routes: Annotated[
        dict[str, NestedPorts | list[PortEntry]],
        Field(
            default={},
            description="By host. Under `/streaming/stream` the ports stand in `routes` of the host, under `/stream` "
            "directly. While the session is being prepared it is empty there, and left out here.",
        ),
    ]
    status: Status
    application: str
    version: str
    profile: str
    owner: str
    phase: Annotated[Phase | None, Field(description="What a session that is being prepared waits for.")]
    created_at: AwareDatetime
    expires_at: Annotated[AwareDatetime | None, Field(description="When it ends at the latest.")]
    ends_at: Annotated[AwareDatetime | None, Field(description="When the next of its clocks runs out.")]
    ends_reason: Annotated[EndReason | None, Field(description="Which one that is.")]
    ends_by_stop: Annotated[bool, Field(description="It is stopped then, not ended.")]
    extended_s: Annotated[float, Field(description="By how much it was extended so far.")]
    clocks: ClocksReply
    queue: Annotated[QueueReply | SkipJsonSchema[None], NO_DEFAULT] = None
    token: Annotated[
        str | SkipJsonSchema[None], NO_DEFAULT, Field(description="What its viewer shows to the relay.")
    ] = None
    token_expires_at: Annotated[AwareDatetime | SkipJsonSchema[None], NO_DEFAULT] = None


class StreamPage(BaseModel):
    """A page of sessions."""

    offset: int
    limit: int
    count: Annotated[int, Field(description="Items in this answer.")]
    items: list[StreamReply]


class EndedReply(BaseModel):
    """A session that has ended, and why."""

    detail: str
    id: SessionId
    end_reason: EndReason | None
    ended_at: AwareDatetime | None
    status: Status


class DeletedReply(BaseModel):
    """OVC's answer to a delete; `satus` is spelled as its contract has it."""

    session_id: SessionId
    satus: Literal["deleted"]
    status: Literal["deleted"]


class ApplicationReply(BaseModel):
    """An application that can be streamed."""

    id: str
    name: str
    description: str
    tags: list[str]


class ApplicationPage(BaseModel):
    """A page of applications."""

    offset: int
    limit: int
    count: int
    items: list[ApplicationReply]


class VersionReply(BaseModel):
    """A version of an application."""

    version: str


class VersionPage(BaseModel):
    """A page of versions, the highest first."""

    offset: int
    limit: int
    count: int
    items: list[VersionReply]


class ProfileReply(BaseModel):
    """A profile: how backends are started and how long sessions may last."""

    id: str
    name: str
    description: str


class ProfilePage(BaseModel):
    """A page of profiles, the application's default one first."""

    offset: int
    limit: int
    count: int
    items: list[ProfileReply]


class CreatedApplication(BaseModel):
    """The application that was made."""

    id: str


class TokenReply(BaseModel):
    """What a viewer shows to the relay: as who it may connect, and until when."""

    token: str
    expires_at: AwareDatetime
    role: ViewerRole


class ErrorReply(BaseModel):
    """An error, told in a sentence."""

    detail: str


class ProblemReply(BaseModel):
    """One thing that is wrong with a request: where, in words, and its type."""

    loc: list[str | int]
    msg: str
    type: str


class InvalidReply(BaseModel):
    """Everything that is wrong with a request, up to twenty."""

    detail: list[ProblemReply]
