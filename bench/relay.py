"""Media through the relay beside a direct path, in the same run: added latency, highest rate, CPU per datagram.

Three processes on loopback: the backend sends frames of 1,200-byte datagrams, the client counts them, the relay stands
between, each session's flow confirmed by real STUN first. Compare figures of one run only; the ratios are what lasts.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection

from bench.figures import percentile
from signaling.core.address import Sockaddr
from signaling.core.media_path import Side, TransportAddress
from signaling.metrics import RelayCounters
from signaling.routes import Endpoint, Route
from signaling.settings import RelaySettings
from signaling.sockets import SocketFactory
from signaling.udp import UdpMediaPort
from tests.signaling.stun_messages import BACKEND, CLIENT, SRTP, request, response

SESSIONS = 20
DATAGRAM_BYTES = 1200
FRAME = 10
"""Datagrams that a session sends in one burst."""
LATENCY_PPS = 6000
LATENCY_S = 2.0
ROUNDS = 2
RAMP_PPS = (10_000, 15_000, 20_000, 25_000, 30_000, 40_000, 50_000, 60_000, 80_000, 100_000, 120_000)
RAMP_S = 0.7
MAX_LOSS = 0.001
MAX_P99_MS = 10.0
BUFFER_BYTES = 4 << 20

STAMP = struct.Struct("!BBHIQ")  # as RTP begins, run, unused, number, nanoseconds


@dataclass(frozen=True)
class Load:
    """One run: how many datagrams, how fast, to whom."""

    run: int
    pps: int
    count: int
    targets: tuple[Sockaddr, ...]


@dataclass(frozen=True)
class Outcome:
    """What arrived of a run."""

    received: int
    latencies_us: tuple[float, ...]


def bound(host: str, count: int) -> list[socket.socket]:
    sockets = SocketFactory(BUFFER_BYTES)
    return [sockets.bind(host, 0) for _ in range(count)]


def receive(sock: socket.socket, wanted: Callable[[bytes], bool]) -> tuple[bytes, Sockaddr]:
    """The next datagram that is wanted, within 5 s."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if select.select([sock], [], [], 0.5)[0]:
            data, source = sock.recvfrom(65536)
            if wanted(data):
                return data, source
    raise TimeoutError("no answer by STUN")


def is_request(datagram: bytes) -> bool:
    return datagram[:2] == b"\x00\x01"


def is_response(datagram: bytes) -> bool:
    return datagram[:2] == b"\x01\x01"


# The backend's process.


def be_backend(pipe: Connection, core: int | None) -> None:
    pin(core)
    sockets = bound("127.0.0.2", SESSIONS)
    pipe.send([sock.getsockname() for sock in sockets])
    upstreams = []
    for sock in sockets:
        asked, upstream = receive(sock, is_request)
        sock.sendto(response(asked, BACKEND.pwd), upstream)
        sock.sendto(request(to=CLIENT, by=BACKEND), upstream)
        receive(sock, is_response)
        upstreams.append(upstream)
    pipe.send(upstreams)
    while (load := pipe.recv()) is not None:
        pipe.send(send_frames(sockets, load))


def send_frames(sockets: list[socket.socket], load: Load) -> float:
    """Send frame after frame, each of the next session, on time; returns the rate that was kept."""
    datagram = bytearray(DATAGRAM_BYTES)
    began = time.monotonic_ns()
    interval = FRAME * 1_000_000_000 // load.pps
    sent = 0
    for frame in range(load.count // FRAME):
        while (ahead := began + frame * interval - time.monotonic_ns()) > 0:
            time.sleep(ahead / 1e9)
        sock, target = sockets[frame % SESSIONS], load.targets[frame % SESSIONS]
        for _ in range(FRAME):
            STAMP.pack_into(datagram, 0, 0x80, load.run, 0, sent, time.monotonic_ns())
            try:
                sock.sendto(datagram, target)
            except BlockingIOError:
                continue  # lost before it was sent: counted as lost
            sent += 1
    return load.count / ((time.monotonic_ns() - began) / 1e9)


# The client's process.


def be_client(pipe: Connection, core: int | None) -> None:
    pin(core)
    sockets = bound("127.0.0.1", SESSIONS)
    pipe.send([sock.getsockname() for sock in sockets])
    relay: list[Sockaddr] = pipe.recv()
    for sock, port in zip(sockets, relay, strict=True):
        sock.sendto(request(), port)
        check, _ = receive(sock, is_request)
        sock.sendto(response(check, CLIENT.pwd), port)
    pipe.send(None)
    while (load := pipe.recv()) is not None:
        for sock, port in zip(sockets, relay, strict=True):
            sock.sendto(SRTP, port)  # a client that is silent is forgotten
        pipe.send(Outcome(*count_arrivals(sockets, load)))


def count_arrivals(sockets: list[socket.socket], load: Load) -> tuple[int, tuple[float, ...]]:
    """Receive a run, until it is whole or nothing comes any more."""
    poll = select.epoll()
    by_fd = {sock.fileno(): sock for sock in sockets}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    buffer = bytearray(2048)
    latencies: list[float] = []
    until = time.monotonic() + 2 + load.count / load.pps
    while len(latencies) < load.count and time.monotonic() < until:
        ready = poll.poll(1.0)
        if not ready and latencies:
            break
        for fd, _ in ready:
            sock = by_fd[fd]
            try:
                while True:
                    sock.recv_into(buffer)
                    _, run, _, _, sent_at = STAMP.unpack_from(buffer)
                    if run == load.run:
                        latencies.append((time.monotonic_ns() - sent_at) / 1000)
            except BlockingIOError:
                continue
    poll.close()
    return len(latencies), tuple(latencies)


# The relay's process.


def be_relay(pipe: Connection, core: int | None) -> None:
    pin(core)
    asyncio.run(serve(pipe))


async def serve(pipe: Connection) -> None:
    backends: list[Sockaddr] = pipe.recv()
    counters, sockets = RelayCounters(), SocketFactory(BUFFER_BYTES)
    ports = [open_port(number, backend, counters, sockets) for number, backend in enumerate(backends)]
    pipe.send([("127.0.0.1", port.route.media_port) for port in ports])
    asked = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), asked.set)
    while True:
        for port in ports:
            port.sweep()
        try:
            async with asyncio.timeout(1):
                await asked.wait()
        except TimeoutError:
            continue
        asked.clear()
        if not pipe.poll():  # the loop said so twice
            continue
        if pipe.recv() is None:
            break
        for port in ports:
            port.sweep()
        pipe.send((time.process_time(), counters.media_packets.total()))
    asyncio.get_running_loop().remove_reader(pipe.fileno())
    for port in ports:
        port.close()


def open_port(number: int, backend: Sockaddr, counters: RelayCounters, sockets: SocketFactory) -> UdpMediaPort:
    with sockets.bind("127.0.0.1", 0) as probe:
        media_port = probe.getsockname()[1]
    route = Route(f"s{number}", "bench", 1, media_port, Endpoint(backend[0], 1, backend[1]), "")
    port = UdpMediaPort(route, RelaySettings(), counters, sockets=sockets)
    port.open()
    path = port.open_viewer("v", "127.0.0.1")
    path.learn_credentials(Side.CLIENT, CLIENT)
    path.learn_credentials(Side.BACKEND, BACKEND)
    path.learn_backend_candidate(TransportAddress(backend[0], backend[1]), ufrag=BACKEND.ufrag)
    return port


# The bench itself.


def pin(core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})


@contextmanager
def process(role: Callable[[Connection, int | None], None], core: int | None) -> Iterator[Connection]:
    """A role in a process of its own, asked through a pipe; ended with the block."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    running = context.Process(target=role, args=(theirs, core), daemon=True)
    running.start()
    theirs.close()
    try:
        yield ours
        ours.send(None)
        running.join(5)
    finally:
        running.kill()
        running.join()
        ours.close()


class Rig:
    """The three processes, with every flow confirmed."""

    def __init__(self, backend: Connection, client: Connection, relay: Connection) -> None:
        self._backend, self._client, self._relay = backend, client, relay
        self._run = 0
        relay.send(backend.recv())
        self._direct = tuple(client.recv())
        client.send(relay.recv())
        client.recv()
        self._relayed = tuple(backend.recv())

    def send(self, pps: int, seconds: float, *, relayed: bool) -> tuple[Outcome, float, float]:
        """One run; returns what arrived, the share that was lost, and the rate at which it was sent."""
        self._run = (self._run + 1) % 256
        count = int(pps * seconds) // FRAME * FRAME
        load = Load(self._run, pps, count, self._relayed if relayed else self._direct)
        self._client.send(load)
        time.sleep(0.05)
        self._backend.send(load)
        kept: float = self._backend.recv()
        outcome: Outcome = self._client.recv()
        return outcome, 1 - outcome.received / count, kept

    def relay_cpu(self) -> tuple[float, int]:
        """Seconds of CPU and datagrams of the relay so far."""
        self._relay.send("cpu")
        cpu: tuple[float, int] = self._relay.recv()
        return cpu

    def highest_rate(self, *, relayed: bool) -> float:
        """The highest rate that was really sent and came through whole and in time; the generator has its own limit."""
        best = 0.0
        for pps in RAMP_PPS:
            # A step may fail by what else the machine does: it gets a second chance.
            kept = self._rate_held(pps, relayed=relayed) or self._rate_held(pps, relayed=relayed)
            best = max(best, kept)
            if kept < pps * 0.8:
                break
        return best

    def _rate_held(self, pps: int, *, relayed: bool) -> float:
        """The rate that was really sent, or 0 where too much was lost or late."""
        outcome, lost, kept = self.send(pps, RAMP_S, relayed=relayed)
        if not outcome.received or lost > MAX_LOSS or percentile(outcome.latencies_us, 99) > MAX_P99_MS * 1000:
            return 0.0
        return kept


def measure(rig: Rig) -> None:
    latencies: dict[bool, list[float]] = {False: [], True: []}
    losses: dict[bool, list[float]] = {False: [], True: []}
    cpu_s, packets = 0.0, 0
    for _ in range(ROUNDS):
        for relayed in (False, True):
            before = rig.relay_cpu()
            outcome, lost, _ = rig.send(LATENCY_PPS, LATENCY_S, relayed=relayed)
            after = rig.relay_cpu()
            latencies[relayed].extend(outcome.latencies_us)
            losses[relayed].append(lost)
            if relayed:
                cpu_s, packets = cpu_s + after[0] - before[0], packets + after[1] - before[1]
    rates = {relayed: rig.highest_rate(relayed=relayed) for relayed in (False, True)}
    print(f"relay    {SESSIONS} sessions, {LATENCY_PPS} datagrams/s of {DATAGRAM_BYTES} bytes in frames of {FRAME}")
    figures: dict[bool, tuple[float, float]] = {}
    for relayed, name in ((False, "direct"), (True, "relay")):
        p50, p99 = (percentile(latencies[relayed], percent) for percent in (50, 99))
        figures[relayed] = p50, p99
        lost = sum(losses[relayed]) / ROUNDS * 100
        rate = rates[relayed] / 1000
        print(
            f"relay    {name:6}  p50 {p50:6.0f} us   p99 {p99:6.0f} us   lost {lost:5.2f} %   highest {rate:5.1f} k/s"
        )
    added = [figures[True][index] - figures[False][index] for index in (0, 1)]
    per_packet = cpu_s / packets * 1e6
    ratio = rates[True] / rates[False]
    print(f"relay    added   p50 {added[0]:6.0f} us   p99 {added[1]:6.0f} us   CPU {per_packet:.1f} us per datagram")
    print(f"relay    highest rate, relay to direct: {ratio:.2f}")


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))
    own, others = (cores[0], cores[1]) if len(cores) > 1 else (None, None)
    with (
        process(be_backend, others) as backend,
        process(be_client, others) as client,
        process(be_relay, own) as relay,
    ):
        measure(Rig(backend, client, relay))


if __name__ == "__main__":
    main()
