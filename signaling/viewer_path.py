"""One viewer's way through a media port, as its signaling sees it."""

from __future__ import annotations

from typing import Protocol

from signaling.core.address import canonical_host
from signaling.core.media_path import IceCredentials, Side, TransportAddress
from signaling.core.targets import BackendTargets
from signaling.upstream import Upstream


class PathOwner(Protocol):
    """The media port that a path belongs to."""

    def learn_credentials(self, viewer_id: str, side: Side, credentials: IceCredentials) -> None:
        """Register ICE credentials for a viewer that is there."""

    def accepts_candidate(self, address: TransportAddress) -> bool:
        """Whether media may go to this address; a refusal is counted."""

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

    def learn_credentials(self, side: Side, credentials: IceCredentials) -> None:
        """Register these beside the old ones."""
        if not self._closed:
            self._port.learn_credentials(self._viewer_id, side, credentials)

    def learn_backend_candidate(self, address: TransportAddress, *, ufrag: str | None) -> bool:
        """Offer a media address of the backend; False when it is not on the backend's own host."""
        if not self._port.accepts_candidate(address):
            return False
        self.targets.learn(TransportAddress(canonical_host(address.host), address.port), ufrag)
        return True

    def close(self) -> None:
        """End the viewer's flows and give its sockets back. Idempotent."""
        if not self._closed:
            self._closed = True
            self._port.close_viewer(self._viewer_id, self.bound)
