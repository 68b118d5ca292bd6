"""One viewer's way through a media port, as its signaling sees it."""

from __future__ import annotations

from typing import Protocol

from signaling.core.address import canonical_host
from signaling.core.media_path import IceCredentials, Side, TransportAddress
from signaling.core.targets import BackendTargets
from signaling.sockets import is_loopback
from signaling.upstream import Upstream


class PathOwner(Protocol):
    """The media port that a path belongs to."""

    def learn_credentials(self, viewer_id: str, side: Side, credentials: IceCredentials) -> None:
        """Register ICE credentials for a viewer that is there."""

    def silent_s(self, viewer_id: str) -> float | None:
        """Seconds since media of a viewer that is there was heard; None where it never was."""

    def note_input(self) -> None:
        """A viewer said by signaling more than a keep-alive."""

    def accepts_candidate(self, address: TransportAddress) -> bool:
        """Whether media may go to this address; a refusal is counted."""

    def leave_loopback(self, viewer_id: str, host: str) -> None:
        """Have the viewer's upstreams on loopback stand at `host`."""

    def close_viewer(self, viewer_id: str, bound: Upstream) -> None:
        """Forget a viewer with its flows and sockets. Idempotent."""


class UdpViewerPath:
    """One viewer's way through a media port."""

    def __init__(
        self,
        port: PathOwner,
        viewer_id: str,
        client_facing: TransportAddress,
        bound: Upstream,
        targets: BackendTargets,
    ) -> None:
        self._port = port
        self._viewer_id = viewer_id
        self._closed = False
        self.client_facing = client_facing
        self.bound = bound
        self.targets = targets

    @property
    def backend_facing(self) -> TransportAddress:
        """The upstream socket bound beforehand."""
        return self.bound.address

    @property
    def silent_s(self) -> float | None:
        """Seconds since the client's media was last heard; None where it never was, or the path is closed."""
        return None if self._closed else self._port.silent_s(self._viewer_id)

    def learn_credentials(self, side: Side, credentials: IceCredentials) -> None:
        """Register these beside the old ones."""
        if not self._closed:
            self._port.learn_credentials(self._viewer_id, side, credentials)

    def note_input(self) -> None:
        """The client said by signaling more than a keep-alive."""
        if not self._closed:
            self._port.note_input()

    def learn_backend_candidate(self, address: TransportAddress, *, ufrag: str | None) -> bool:
        """Offer a media address of the backend; False when it is not on the backend's own host."""
        if not self._port.accepts_candidate(address):
            return False
        address = TransportAddress(canonical_host(address.host), address.port)
        self.targets.learn(address, ufrag)
        if not self._closed and not any(map(is_loopback, self.targets.hosts)):
            # libnice binds its sockets to their interfaces (IP_UNICAST_IF): they hear loopback but cannot answer it.
            self._port.leave_loopback(self._viewer_id, address.host)
        return True

    def close(self) -> None:
        """End the viewer's flows and give its sockets back. Idempotent."""
        if not self._closed:
            self._closed = True
            self._port.close_viewer(self._viewer_id, self.bound)
