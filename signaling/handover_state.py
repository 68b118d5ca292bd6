"""What a relay tells its successor: one JSON document. A socket is named by its number among those that go along.

`VERSION` changes with anything that a relay of the version before would misread. A successor that reads another is
refused, and the relay serves on.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from signaling.core.address import Sockaddr
from signaling.core.media_path import TransportAddress
from signaling.core.snapshots import EditorSnapshot, FlowTableSnapshot, Targets
from signaling.routes import Route
from signaling.tokens import AdmissionKey, ViewerRole

VERSION = 1

OWN_LISTENER = "handover"
"""Among a relay's listeners: the one at which it waits for its successor."""


@dataclass(frozen=True, slots=True)
class UpstreamSnapshot:
    """A flow's way to the backend. `locked` is what its socket is connected to."""

    sock: int
    viewer: str
    locked: TransportAddress | None
    trusted: bool
    flow: int | None
    client: Sockaddr | None
    confirmed: bool
    said_bytes: int
    ufrag: str | None


@dataclass(frozen=True, slots=True)
class PathSnapshot:
    """A viewer's media path. `bound`: which of the port's upstreams was bound for it beforehand."""

    viewer: str
    bound: int
    targets: Targets


@dataclass(frozen=True, slots=True)
class TrafficSnapshot:
    """Totals of a media port: packets and bytes each way, times since the epoch."""

    to_backend: tuple[int, int]
    to_client: tuple[int, int]
    first_packet_at: float | None
    last_client_packet_at: float | None
    last_client_input_at: float | None


@dataclass(frozen=True, slots=True)
class MediaSnapshot:
    """A media port."""

    sock: int
    upstream_host: str
    upstreams: tuple[UpstreamSnapshot, ...]
    paths: tuple[PathSnapshot, ...]
    table: FlowTableSnapshot
    traffic: TrafficSnapshot


@dataclass(frozen=True, slots=True)
class DeflateSnapshot:
    """permessage-deflate as a hop negotiated it; no context outlives a message."""

    remote_window_bits: int
    local_window_bits: int


@dataclass(frozen=True, slots=True)
class HopSnapshot:
    """One hop of a relayed WebSocket. `unfinished`: bytes of the message that is not whole yet."""

    sock: int
    deflate: DeflateSnapshot | None
    unfinished: bytes


@dataclass(frozen=True, slots=True)
class BridgeSnapshot:
    """A viewer's relayed WebSocket."""

    viewer: str
    role: ViewerRole
    client: HopSnapshot
    backend: HopSnapshot
    editor: EditorSnapshot


@dataclass(frozen=True, slots=True)
class SpliceSnapshot:
    """A viewer's opaque signaling."""

    viewer: str
    role: ViewerRole
    client: int
    backend: int


@dataclass(frozen=True, slots=True)
class ReaderSnapshot:
    """A connection whose head is not answered yet, with its bytes so far."""

    sock: int
    data: bytes


@dataclass(frozen=True, slots=True)
class HttpViewerSnapshot:
    """A viewer that signals over HTTP."""

    id: str
    key: str
    client_host: str
    silent_s: float
    resource: str | None
    editor: EditorSnapshot


@dataclass(frozen=True, slots=True)
class SignalingSnapshot:
    """A signaling port."""

    listener: int
    bridges: tuple[BridgeSnapshot, ...]
    splices: tuple[SpliceSnapshot, ...]
    readers: tuple[ReaderSnapshot, ...]
    http_viewers: tuple[HttpViewerSnapshot, ...]


@dataclass(frozen=True, slots=True)
class ForwarderSnapshot:
    """A route as it is served."""

    route: Route
    media: MediaSnapshot
    signaling: SignalingSnapshot


class RelaySnapshot(BaseModel):
    """A relay. `listeners`: sockets of the process besides those of its routes, by what they are for."""

    model_config = ConfigDict(strict=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")

    relay: str
    wanted: tuple[Route, ...]
    keys: tuple[AdmissionKey, ...]
    served: tuple[ForwarderSnapshot, ...]
    counters: dict[str, dict[str, int]]
    listeners: dict[str, int] = {}

    def to_json(self) -> bytes:
        """The document."""
        return self.model_dump_json().encode()

    @classmethod
    def from_json(cls, document: bytes) -> RelaySnapshot:
        """Read `to_json`'s; raises ValueError, which names the field and nothing of what it holds."""
        try:
            return cls.model_validate_json(document)
        except ValidationError as exc:
            wrong = exc.errors(include_input=False, include_url=False, include_context=False)[0]
            raise ValueError(f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from None
