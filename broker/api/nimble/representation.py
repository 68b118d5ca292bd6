"""How sessions, streams and the catalog look on the wire: members that say nothing are left out, never null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from broker.core.nimble import SessionStatus, StreamState, stop_and_terminate_at
from broker.core.nimble_catalog import MOST_IMAGES, LaunchProfile, StreamingImage
from broker.core.nimble_ids import launch_profile_id, short_id, streaming_image_id
from broker.core.session import Grant, Session
from signaling.routes import Json

TAGS_LABEL = "nimble.tags"
INSTANCE_TYPE_LABEL = "nimble.instance_type"

_ACCOUNT = "000000000000"
_LONGEST_MINUTES = 43200
_LONGEST_STOPPED_MINUTES = 5760


def arn(region: str, kind: str, name: str) -> str:
    """The name of a resource. There are no accounts: their place is held by zeros."""
    return f"arn:aws:nimble:{region}:{_ACCOUNT}:{kind}/{name}"


def tags_of(session: Session) -> dict[str, str]:
    """Its tags."""
    tags: dict[str, str] = json.loads(session.labels.get(TAGS_LABEL, "{}"))
    return tags


def session_json(session: Session, status: SessionStatus, *, region: str) -> Json:
    """StreamingSession."""
    short = short_id(session.id)
    stop_at, terminate_at = stop_and_terminate_at(session)
    return _said(
        {
            "arn": arn(region, "streaming-session", short),
            "automaticTerminationMode": _termination_mode(session.clocks.max_stopped_s),
            "backupMode": "DEACTIVATED",
            "createdAt": timestamp(session.created_at),
            "createdBy": session.created_by or session.owner,
            "ec2InstanceType": session.labels.get(INSTANCE_TYPE_LABEL),
            "launchProfileId": launch_profile_id(session.application, session.profile),
            "maxBackupsToRetain": 0,
            "ownedBy": session.owner,
            "sessionId": short,
            "sessionPersistenceMode": "DEACTIVATED",
            "startedAt": timestamp(session.started_at),
            "startedBy": session.started_by,
            "state": status.state.value,
            "statusCode": status.code,
            "statusMessage": session.message,
            "stopAt": timestamp(stop_at),
            "stoppedAt": timestamp(session.stopped_at),
            "stoppedBy": session.stopped_by,
            "streamingImageId": streaming_image_id(session.application, session.version),
            "tags": tags_of(session),
            "terminateAt": timestamp(terminate_at),
            "updatedAt": timestamp(session.updated_at),
            "updatedBy": session.updated_by or session.created_by or session.owner,
        }
    )


def stream_json(session: Session, grant: Grant, state: StreamState, url: str | None) -> Json:
    """StreamingSessionStream."""
    return _said(
        {
            "createdAt": timestamp(grant.created_at),
            "createdBy": grant.created_by,
            "expiresAt": timestamp(grant.expires_at),
            "ownedBy": session.owner,
            "state": state.value,
            "statusCode": f"STREAM_{state}",
            "streamId": grant.id,
            "url": url,
        }
    )


def launch_profile_json(profile: LaunchProfile, *, region: str, instance_types: Sequence[str]) -> Json:
    """LaunchProfile."""
    clocks = profile.profile.clocks
    length, stopped = clocks.max_length_s, clocks.max_stopped_s
    configuration: dict[str, Json] = {
        "automaticTerminationMode": _termination_mode(stopped),
        "clipboardMode": "DISABLED",
        "ec2InstanceTypes": list(instance_types),
        "maxSessionLengthInMinutes": None if length is None else min(max(_minutes(length), 1), _LONGEST_MINUTES),
        "maxStoppedSessionLengthInMinutes": min(
            _LONGEST_STOPPED_MINUTES if stopped is None else _minutes(stopped), _LONGEST_STOPPED_MINUTES
        ),
        "sessionBackup": {"maxBackupsToRetain": 0, "mode": "DEACTIVATED"},
        "sessionPersistenceMode": "DEACTIVATED",
        "streamingImageIds": [image.id for image in profile.images[:MOST_IMAGES]],
    }
    return _said(
        {
            "arn": arn(region, "launch-profile", profile.id),
            "description": profile.profile.description or profile.application.description or None,
            "launchProfileId": profile.id,
            "launchProfileProtocolVersions": ["2021-03-31"],
            "name": profile.name,
            "state": "READY",
            "statusCode": "LAUNCH_PROFILE_CREATED",
            "streamConfiguration": _said(configuration),
            "studioComponentIds": [],
            "tags": {},
        }
    )


def streaming_image_json(image: StreamingImage, *, region: str, studio: str) -> Json:
    """StreamingImage."""
    return _said(
        {
            "arn": arn(region, "streaming-image", image.id),
            "description": image.application.description or None,
            "eulaIds": [],
            "name": f"{image.application.name} {image.version}",
            "owner": studio,
            "platform": "LINUX",
            "state": "READY",
            "statusCode": "STREAMING_IMAGE_READY",
            "streamingImageId": image.id,
            "tags": {},
        }
    )


def timestamp(at: float | None) -> str | None:
    """A time in whole seconds; None where there is none."""
    return None if at is None else datetime.fromtimestamp(math.floor(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _termination_mode(max_stopped_s: float | None) -> str:
    return "DEACTIVATED" if max_stopped_s is None else "ACTIVATED"


def _minutes(seconds: float) -> int:
    return math.ceil(seconds / 60)


def _said(members: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in members.items() if value is not None}
