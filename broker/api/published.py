"""The two published APIs: what each document says of itself, and which endpoints it is of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from broker.api.openapi import Api, Endpoint

STREAMING = "/streaming"
APPLICATIONS = "/applications"

_STREAMING_TEXT = """\
Start, find and end application streams. `POST` writes what is wanted and answers 200 when the session is ready or 202 \
while it is being prepared: ask again at `Location` after `Retry-After` seconds, or send `Prefer: wait=N`.
"""
_APPLICATIONS_TEXT = """\
Which applications, versions and profiles can be streamed. Editing endpoints are there where the setting \
`edit_applications` is on, for admins alone.
"""


@dataclass(frozen=True, slots=True)
class Published:
    """An API, and what is served below its base (`served`) and at the root (`plain`)."""

    api: Api
    served: str
    plain: str


def published(endpoints: Iterable[Endpoint], version: str, *, identity: bool) -> dict[str, Published]:
    """Both, by base. An endpoint that stands at the root alone belongs to the streaming one."""
    endpoints = list(endpoints)
    paths = {endpoint.path for endpoint in endpoints}
    applications = [endpoint for endpoint in endpoints if endpoint.path.startswith(APPLICATIONS + "/")]
    streaming = [
        endpoint
        for endpoint in endpoints
        if endpoint not in applications and not {STREAMING + endpoint.path, APPLICATIONS + endpoint.path} & paths
    ]
    return {
        STREAMING: Published(
            Api("Application Streaming API", _STREAMING_TEXT, version, STREAMING, streaming, identity),
            "As the deployed service has it: ports stand in `routes` of their host.",
            "As documented: ports stand directly below their host.",
        ),
        APPLICATIONS: Published(
            Api("Application & Profile API", _APPLICATIONS_TEXT, version, APPLICATIONS, applications, identity),
            "As the deployed service has it.",
            "The same at the root.",
        ),
    }
