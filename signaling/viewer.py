"""One viewer as the signaling side holds it, and the TCP connection to its backend."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from signaling.core.media_path import ViewerPath
from signaling.metrics import RelayCounters
from signaling.routes import Route
from signaling.settings import RelaySettings
from signaling.tokens import ViewerRole


class BackendUnreachable(Exception):
    """The backend's signaling port does not take the connection, or does not answer in time."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """An admitted viewer."""

    id: str
    route: Route
    path: ViewerPath
    settings: RelaySettings
    counters: RelayCounters
    role: ViewerRole = ViewerRole.CONTROLLER


async def connect_backend(route: Route, settings: RelaySettings, protocol: asyncio.Protocol) -> asyncio.Transport:
    """Connect to the backend's signaling port; raises BackendUnreachable. The caller bounds the time."""
    source = (settings.upstream_host, 0) if settings.upstream_host else None
    try:
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: protocol, route.backend.host, route.backend.signaling_port, local_addr=source
        )
    except OSError as exc:
        raise BackendUnreachable(str(route)) from exc
    keep_alive(transport)
    return transport


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Have the kernel notice within about a minute that the other end is gone."""
    sock: socket.socket = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
