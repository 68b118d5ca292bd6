"""Both ports of one route, opened and closed together."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable

from signaling.core.handshake import CloseCode
from signaling.doorkeeper import Doorkeeper
from signaling.errors import PortUnavailable
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
            raise PortUnavailable(self._settings.host, self.route.signaling_port, error) from exc
        except BaseException:
            await asyncio.wait([opening])
            await self.close(CloseCode.DRAINING)
            raise

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
