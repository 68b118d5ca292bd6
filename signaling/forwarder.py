"""Both ports of one route, opened and closed together."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable

from signaling.core.handshake import CloseCode
from signaling.doorkeeper import Doorkeeper
from signaling.errors import PortUnavailable
from signaling.handover_sockets import Inherited, Packing
from signaling.handover_state import ForwarderSnapshot
from signaling.metrics import RelayCounters
from signaling.port import SignalingPort
from signaling.routes import Route, RouteError, RouteReport, RouteState
from signaling.settings import RelaySettings
from signaling.sockets import SocketFactory
from signaling.udp import UdpMediaPort


class Forwarder:
    """Serves one route from `open` to `close`."""

    def __init__(
        self,
        route: Route,
        settings: RelaySettings,
        counters: RelayCounters,
        *,
        sockets: SocketFactory,
        doorkeeper: Doorkeeper | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.route = route
        self._settings = settings
        self._media = UdpMediaPort(route, settings, counters, sockets=sockets, clock=clock)
        self._signaling = SignalingPort(route, self._media, settings, counters, doorkeeper=doorkeeper)

    async def open(self) -> None:
        """Bind both ports, or neither; raises PortUnavailable."""
        self._media.open()
        opening = asyncio.ensure_future(self._signaling.open())
        try:
            await asyncio.shield(opening)  # cancelled half way, a server would be left that nobody closes
        except OSError as exc:
            await self.close(CloseCode.ENDED)
            taken = exc.errno == errno.EADDRINUSE
            error = RouteError.PORT_TAKEN if taken else RouteError.BIND_REFUSED
            port = self._settings.bound_port(self.route.signaling_port)
            raise PortUnavailable(self._settings.host, port, error) from exc
        except BaseException:
            await asyncio.wait([opening])
            await self.close(CloseCode.DRAINING)
            raise

    # To a successor.

    def hold(self, *, held: bool) -> None:
        """While held, no signaling is read that would wait behind what is to be sent already."""
        self._signaling.hold(held=held)

    @property
    def is_flushed(self) -> bool:
        """Whether no signaling waits to be sent."""
        return self._signaling.is_flushed

    def snapshot(self, packing: Packing) -> ForwarderSnapshot:
        """Both ports, for another process to go on with."""
        return ForwarderSnapshot(self.route, self._media.snapshot(packing), self._signaling.snapshot(packing))

    def restore(self, told: ForwarderSnapshot, inherited: Inherited) -> None:
        """Take both ports of a predecessor, in the place of `open`; nothing is read yet. Raises ValueError."""
        paths = self._media.restore(told.media, inherited)
        self._signaling.restore(told.signaling, paths, inherited)

    def read_media(self) -> None:
        """Begin with the media, which cannot wait; raises nothing."""
        self._media.read()

    async def resume_signaling(self) -> None:
        """Go on with the signaling."""
        await self._signaling.resume()

    def abandon(self) -> None:
        """A successor has everything: let go without a word to anybody. `close` ends what is left."""
        self._media.close()
        self._signaling.abandon()

    async def close(self, code: CloseCode) -> None:
        """Free both ports, tell the viewers why, cut them in bounded time. Idempotent."""
        self._media.close()
        await self._signaling.close(code)

    def sweep(self) -> None:
        """End idle flows; called about once a second."""
        self._media.sweep()

    def report(self) -> RouteReport:
        """How the route stands."""
        traffic = self._media.traffic
        return RouteReport(
            self.route.session_id,
            self.route.relay_id,
            self.route.signaling_port,
            self.route.media_port,
            self.route.backend,
            RouteState.ACTIVE,
            signaling_open=self._signaling.signaling_open,
            viewers=self._media.viewers,
            first_packet_at=traffic.first_packet_at,
            last_client_packet_at=traffic.last_client_packet_at,
            last_client_input_at=traffic.last_client_input_at,
        )
