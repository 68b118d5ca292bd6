"""One UDP port for the media of all peer connections of a process.

An ICE agent binds a port of its own for each candidate (aioice picks random ones); a backend has one port. So each
agent gets a transport that sends through the shared socket, and datagrams find their agent by the local ufrag in a
Binding request's USERNAME (RFC 8445 §7.3), later ones by their source address.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import Any, cast

from aioice import Candidate, Connection, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol

Address = tuple[str, int]

_BUDGET = 256
"""Datagrams taken in one turn of the loop, so that a flood leaves time for the rest."""

_BUFFER_BYTES = 4 * 1024 * 1024
_MAX_DATAGRAM = 65536
_STUN_BELOW = 4
_MAX_REMOTES = 64
"""Addresses that one viewer may come from in its life: each costs the agent memory and checks."""


class MediaPort:
    """The shared socket. `open` binds it, `close` gives it back; both on the running loop."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._sock: socket.socket | None = None
        self._agents: dict[str, _AgentTransport] = {}
        self._by_source: dict[Address, _AgentTransport] = {}
        self.dropped = 0

    @property
    def address(self) -> Address:
        """The bound address."""
        if self._sock is None:
            raise RuntimeError("the media port is not open")
        name = self._sock.getsockname()
        return name[0], name[1]

    def open(self) -> None:
        """Bind. Raises OSError when the port is taken."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
            sock.bind((self._host, self._port))
        except OSError:
            sock.close()
            raise
        self._sock = sock
        asyncio.get_running_loop().add_reader(sock, self._drain, sock)

    def close(self) -> None:
        """Give the socket back. Idempotent."""
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
            self._sock = None

    def attach(self, agent: Connection) -> None:
        """Make this agent gather one host candidate, this port, and nothing else. Call before it gathers."""

        async def gather(component: int, addresses: list[str], timeout: int = 5) -> list[Candidate]:  # noqa: ASYNC109
            return [self._add_transport(agent, component)]

        agent.get_component_candidates = gather  # type: ignore[method-assign]

    def remotes(self, agent: Connection) -> tuple[Address, ...]:
        """All addresses from which this agent's datagrams came, oldest first."""
        transport = self._agents.get(agent.local_username)
        return tuple(transport.remotes) if transport is not None else ()

    def _add_transport(self, agent: Connection, component: int) -> Candidate:
        host, port = self.address
        protocol = StunProtocol(agent)
        transport = _AgentTransport(self, agent.local_username, protocol)
        protocol.connection_made(cast(asyncio.DatagramTransport, transport))
        protocol.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", host),
            component=component,
            transport="udp",
            priority=candidate_priority(component, "host"),
            host=host,
            port=port,
            type="host",
        )
        self._agents[agent.local_username] = transport
        agent._protocols.append(protocol)
        return protocol.local_candidate

    def _drain(self, sock: socket.socket) -> None:
        for _ in range(_BUDGET):
            try:
                data, source = sock.recvfrom(_MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error for something sent earlier
                self.dropped += 1
                continue
            self.take(data, (source[0], source[1]))

    def take(self, data: bytes, source: Address) -> None:
        """Hand a datagram to the agent that it is for, if it is for one."""
        is_stun = bool(data) and data[0] < _STUN_BELOW
        if is_stun:
            transport = self._addressee(data)
            if transport is not None and not self._remember(source, transport):
                transport = None
        else:
            transport = self._by_source.get(source)
        if transport is None:
            self.dropped += 1
        elif is_stun:
            transport.protocol.datagram_received(data, source)
        else:  # not by the protocol, which takes everything for STUN first
            transport.protocol.receiver.data_received(data, transport.component)

    def _addressee(self, data: bytes) -> _AgentTransport | None:
        """The agent whose credentials a Binding request proves, or who waits for this response; else None."""
        try:
            message = stun.parse_message(data)
        except (ValueError, struct.error):  # the latter for attributes that are too short
            return None
        if message.message_class is not stun.Class.REQUEST:
            waiting = (agent for agent in self._agents.values() if agent.asked(message.transaction_id))
            return next(waiting, None)
        username = message.attributes.get("USERNAME")
        transport = self._agents.get(username.partition(":")[0]) if isinstance(username, str) else None
        # aioice takes PRIORITY for granted, which RFC 8445 §7.1.1 demands.
        if transport is None or "PRIORITY" not in message.attributes:
            return None
        return transport if message.check_message_integrity(transport.password) else None

    def _remember(self, source: Address, transport: _AgentTransport) -> bool:
        """Send what comes from this source to this agent; False when it has come from too many already."""
        if source not in transport.remotes and len(transport.remotes) >= _MAX_REMOTES:
            return False
        self._by_source[source] = transport
        transport.remotes[source] = None
        return True

    def send(self, data: bytes, to: Address) -> None:
        """Send one datagram; what the kernel does not take at once is lost, as on any network."""
        if self._sock is None:
            return
        try:
            self._sock.sendto(data, to)
        except OSError:
            self.dropped += 1

    def detach(self, transport: _AgentTransport) -> None:
        """Forget an agent. Idempotent."""
        if self._agents.get(transport.ufrag) is transport:
            del self._agents[transport.ufrag]
        for source in transport.remotes:
            if self._by_source.get(source) is transport:
                del self._by_source[source]


class _AgentTransport:
    """What one agent takes for its socket: the part of `asyncio.DatagramTransport` that aioice uses."""

    def __init__(self, port: MediaPort, ufrag: str, protocol: StunProtocol) -> None:
        self._port = port
        self._closed = False
        self.ufrag = ufrag
        self.protocol = protocol
        self.remotes: dict[Address, None] = {}

    @property
    def component(self) -> int:
        return self.protocol.local_candidate.component

    @property
    def password(self) -> bytes:
        return self.protocol.receiver.local_password.encode()

    def asked(self, transaction_id: bytes) -> bool:
        return transaction_id in self.protocol.transactions

    def sendto(self, data: bytes, addr: Address) -> None:
        if not self._closed:
            self._port.send(data, addr)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._port.detach(self)
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def get_extra_info(self, name: str, default: object = None) -> object:
        extra: Mapping[str, Any] = {"sockname": self._port.address}
        return extra.get(name, default)
