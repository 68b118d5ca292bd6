"""The address that the API listens on: how it is written, and the sockets bound to it."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from broker.errors import BrokerError

_BACKLOG = 512
_HOST_PORT = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]{1,253})):(?P<port>[0-9]{1,5})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """An IP address or a name, without brackets, and a port; port 0 is any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> ListenAddress:
        """Read `host:port` or `[IPv6]:port`. Raises ValueError."""
        match = _HOST_PORT.fullmatch(text)
        if match is None or int(match["port"]) > 65535 or not _is_ipv6(match["v6"] or "::"):
            raise ValueError(f"{text!r} is no address to listen on: write host:port, such as 127.0.0.1:8080")
        return cls((match["v6"] or match["host"]).lower(), int(match["port"]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class CannotListen(BrokerError):
    """The address cannot be bound; the text says which, why, and what to do."""


class PortTaken(CannotListen):
    """Another process listens there."""


def listen(address: ListenAddress) -> list[socket.socket]:
    """Listening sockets on every address that the host stands for, all on one port. Raises CannotListen."""
    port, sockets = address.port, []
    with ExitStack() as undo:
        for family, host in _resolve(address):
            bound = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
            _bind(bound, ListenAddress(host, port))
            port = bound.getsockname()[1]
            sockets.append(bound)
        undo.pop_all()
    return sockets


def listen_nearby(address: ListenAddress, tries: int) -> list[socket.socket]:
    """The same on the first port that is free, from the address's own on. Raises CannotListen."""
    for port in range(address.port, min(address.port + tries, 65536)):
        try:
            return listen(ListenAddress(address.host, port))
        except PortTaken:
            continue
    raise PortTaken(f"ports {address.port} to {port} of {address.host} are all taken: name a free one by --listen")


def is_loopback(bound: socket.socket) -> bool:
    """Whether only this machine can connect to it."""
    return ipaddress.ip_address(bound.getsockname()[0].partition("%")[0]).is_loopback


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _resolve(address: ListenAddress) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        reason = f"{address.host} is no address of this machine ({error.strerror}): name another by --listen"
        raise CannotListen(reason) from error
    return list(dict.fromkeys((family, str(where[0])) for family, _, _, _, where in found))


def _bind(bound: socket.socket, address: ListenAddress) -> None:
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if bound.family is socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address.host != "::")
    try:
        bound.bind((address.host, address.port))
        bound.listen(_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"{address} is taken by another process: name a free port by --listen") from error
        raise CannotListen(f"{address} cannot be listened on ({error.strerror}): name another by --listen") from error
    bound.setblocking(False)
