"""UDP sockets of the media path: bound with large buffers, on the address that fits the other end."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket

from signaling.core.address import canonical_host
from signaling.errors import PortUnavailable
from signaling.routes import RouteError

logger = logging.getLogger(__name__)


class SocketFactory:
    """Binds the UDP sockets of one relay; says once when the kernel grants smaller buffers than asked for."""

    def __init__(self, buffer_bytes: int) -> None:
        self._buffer_bytes = buffer_bytes
        self._warned = False

    def bind(self, host: str, port: int) -> socket.socket:
        """A non-blocking socket on this address; raises PortUnavailable."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM)
        except OSError as exc:
            raise PortUnavailable(host, port, RouteError.INTERNAL) from exc
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
            sock.setblocking(False)
            self._enlarge(sock)
            sock.bind((host, port))
        except OSError as exc:
            sock.close()
            taken = exc.errno == errno.EADDRINUSE
            raise PortUnavailable(host, port, RouteError.PORT_TAKEN if taken else RouteError.BIND_REFUSED) from exc
        return sock

    def _enlarge(self, sock: socket.socket) -> None:
        for option, limit in ((socket.SO_RCVBUF, "net.core.rmem_max"), (socket.SO_SNDBUF, "net.core.wmem_max")):
            sock.setsockopt(socket.SOL_SOCKET, option, self._buffer_bytes)
            granted = sock.getsockopt(socket.SOL_SOCKET, option) // 2  # the kernel doubles it for its own use
            if granted < self._buffer_bytes and not self._warned:
                self._warned = True
                logger.warning(
                    "media sockets get buffers of %d instead of %d bytes: raise %s, else bursts are lost",
                    granted,
                    self._buffer_bytes,
                    limit,
                )


def listening_socket(host: str, port: int) -> socket.socket:
    """A non-blocking TCP socket on this address, bound; `::` stands for both families. Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def upstream_host(bind_host: str, backend_host: str) -> str:
    """The source address towards a backend: the relay's own where both are loopback, else what the kernel says."""
    if is_loopback(bind_host) and is_loopback(backend_host) and (":" in bind_host) == (":" in backend_host):
        return bind_host
    with socket.socket(socket.AF_INET6 if ":" in backend_host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((backend_host, 9))  # sends nothing
        except OSError as exc:
            raise PortUnavailable(backend_host, 0, RouteError.BIND_REFUSED) from exc
        return str(probe.getsockname()[0])


def is_own_host(backend_host: str, host: str) -> bool:
    """Whether `host` is the backend's own.

    It is the backend's address; or, where that is loopback and the backend so runs on this machine, an address of one
    of the machine's networks: ICE agents do not name loopback by themselves.
    """
    try:
        named = canonical_host(host)
    except ValueError:
        return False
    if named == canonical_host(backend_host):
        return True
    if not is_loopback(backend_host) or is_loopback(named) or (":" in named) != (":" in backend_host):
        return False
    with socket.socket(socket.AF_INET6 if ":" in named else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((named, 0))  # besides addresses of this machine, only these three kinds can be bound
        except OSError:
            return False
    address = ipaddress.ip_address(named)
    return not (address.is_unspecified or address.is_multicast or named == "255.255.255.255")


def is_loopback(host: str) -> bool:
    """Whether this IP address reaches this machine alone."""
    return ipaddress.ip_address(host).is_loopback
