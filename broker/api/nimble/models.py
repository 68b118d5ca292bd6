"""What requests of the Nimble-compatible API hold: AWS's constraints, which its clients leave to the server."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST_TAGS = 50

Text = Annotated[str, Field(min_length=1, max_length=1024)]
ShortId = Annotated[str, Field(max_length=22, pattern=r"^[a-zA-Z0-9\-_]*$")]


def _tag_key(value: str) -> str:
    if value.lower().startswith("aws:"):
        raise ValueError("keys that begin with 'aws:' are AWS's own")
    return value


TagKey = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_tag_key)]
Tags = Annotated[
    dict[TagKey, Annotated[str, Field(max_length=256)]],
    Field(max_length=MOST_TAGS),
]


class _Body(BaseModel):
    """Unknown members are ignored, as AWS does; the types are as they are written, never guessed."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class CreateSession(_Body):
    """CreateStreamingSession."""

    launchProfileId: Text
    streamingImageId: ShortId | None = None
    ec2InstanceType: Text | None = None
    ownedBy: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None
    tags: Tags | None = None


class StartSession(_Body):
    """StartStreamingSession."""

    backupId: Text | None = None


class StopSession(_Body):
    """StopStreamingSession."""

    volumeRetentionMode: Literal["RETAIN", "DELETE"] | None = None


class CreateStream(_Body):
    """CreateStreamingSessionStream. Without a wish a stream expires after two minutes."""

    expirationInSeconds: Annotated[int, Field(ge=60, le=3600)] | None = None


class WriteTags(_Body):
    """TagResource."""

    tags: Tags | None = None


class MaxResults(_Body):
    """How many at most are to be on a page."""

    maxResults: Annotated[int, Field(ge=1, le=100, strict=False)] = 50


LaunchProfileState = Literal[
    "CREATE_IN_PROGRESS",
    "READY",
    "UPDATE_IN_PROGRESS",
    "DELETE_IN_PROGRESS",
    "DELETED",
    "DELETE_FAILED",
    "CREATE_FAILED",
    "UPDATE_FAILED",
]


class LaunchProfileStates(_Body):
    """Which launch profiles are meant."""

    states: list[LaunchProfileState]


AWS_INSTANCE_TYPES = (
    *(f"g4dn.{size}" for size in ("xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")),
    "g3.4xlarge",
    "g3s.xlarge",
    *(f"g5.{size}" for size in ("xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge")),
)
