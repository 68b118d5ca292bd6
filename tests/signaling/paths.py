"""A viewer's media path that notes what it is told; stands for the media side, which has tests of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from signaling.core.media_path import IceCredentials, Side, TransportAddress
from signaling.errors import TooManyViewers

CLIENT_FACING = TransportAddress("127.0.0.1", 31001)
BACKEND_FACING = TransportAddress("127.0.0.1", 40001)


@dataclass
class NotedPath:
    """Accepts media addresses on `own_hosts` only."""

    client_facing: TransportAddress = CLIENT_FACING
    backend_facing: TransportAddress = BACKEND_FACING
    own_hosts: frozenset[str] = frozenset({"192.0.2.2"})
    credentials: list[tuple[Side, IceCredentials]] = field(default_factory=list)
    candidates: list[tuple[TransportAddress, str | None]] = field(default_factory=list)
    refused: list[TransportAddress] = field(default_factory=list)
    silent_s: float | None = None
    inputs: int = 0
    closed: bool = False

    def learn_credentials(self, side: Side, credentials: IceCredentials) -> None:
        if (side, credentials) not in self.credentials:
            self.credentials.append((side, credentials))

    def note_input(self) -> None:
        self.inputs += 1

    def learn_backend_candidate(self, address: TransportAddress, *, ufrag: str | None) -> bool:
        if address.host not in self.own_hosts:
            self.refused.append(address)
            return False
        self.candidates.append((address, ufrag))
        return True

    def close(self) -> None:
        self.closed = True


@dataclass
class NotedMedia:
    """Opens at most `limit` paths at once."""

    limit: int = 8
    own_hosts: frozenset[str] = frozenset({"127.0.0.1", "127.0.0.2"})
    paths: dict[str, NotedPath] = field(default_factory=dict)
    hosts: list[str] = field(default_factory=list)

    def open_viewer(self, viewer_id: str, client_host: str) -> NotedPath:
        if sum(not path.closed for path in self.paths.values()) >= self.limit:
            raise TooManyViewers(self.limit)
        self.hosts.append(client_host)
        self.paths[viewer_id] = NotedPath(own_hosts=self.own_hosts)
        return self.paths[viewer_id]
