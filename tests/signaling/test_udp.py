from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import aioice
import pytest
from aioice.ice import get_host_addresses

from signaling.core.media_path import IceCredentials, Side, TransportAddress
from signaling.errors import PortUnavailable, TooManyViewers
from signaling.metrics import CandidateRefusal, Direction, MediaDrop, RelayCounters
from signaling.routes import RouteError, SignalingKind
from signaling.settings import RelaySettings
from signaling.sockets import SocketFactory
from signaling.udp import UdpMediaPort
from tests.absence import absent
from tests.signaling.media_rig import (
    BACKEND_HOST,
    RELAY_HOST,
    Peer,
    Rig,
    credentials_of,
    gathered,
    introduce,
    media_rig,
    until,
)
from tests.signaling.stun_messages import BACKEND, CLIENT, DTLS, SRTP, request, response


async def confirm(rig: Rig, client: Peer, *, pwd: str = CLIENT.pwd) -> TransportAddress:
    """Take a client's address through ICE by hand; returns the upstream address that the backend sees."""
    asked = request()
    client.send(asked, rig.address)
    got, upstream = await rig.backend.receive()
    assert got == asked
    answer, check = response(asked, BACKEND.pwd), request(to=CLIENT, by=BACKEND)
    rig.backend.send(answer, upstream)
    rig.backend.send(check, upstream)
    assert (await client.receive())[0] == answer
    assert (await client.receive())[0] == check
    answer = response(check, pwd)
    client.send(answer, rig.address)
    assert (await rig.backend.receive())[0] == answer
    return upstream


async def connected_agents(rig: Rig) -> tuple[aioice.Connection, aioice.Connection, TransportAddress]:
    """A real client agent and a real backend agent that found each other through the relay."""
    client = await gathered(RELAY_HOST, controlling=True)
    backend = await gathered(BACKEND_HOST, controlling=False)
    path = rig.port.open_viewer("agents", RELAY_HOST)
    path.learn_credentials(Side.CLIENT, credentials_of(client))
    path.learn_credentials(Side.BACKEND, credentials_of(backend))
    (candidate,) = backend.local_candidates
    assert path.learn_backend_candidate(TransportAddress(candidate.host, candidate.port), ufrag=backend.local_username)
    await introduce(client, backend, path.client_facing)
    await introduce(backend, client, path.backend_facing)
    async with asyncio.timeout(10):
        await asyncio.gather(client.connect(), backend.connect())
    return client, backend, path.backend_facing


async def test_two_ice_agents_exchange_media_through_the_relay_alone() -> None:
    async with media_rig() as rig:
        client, backend, upstream = await connected_agents(rig)
        try:
            await client.send(SRTP + b"up")
            assert await backend.recv() == SRTP + b"up"
            await backend.send(SRTP + b"down")
            assert await client.recv() == SRTP + b"down"
            seen_by_backend = backend._nominated[1].remote_addr
            assert seen_by_backend == (upstream.host, upstream.port)
            assert client._nominated[1].remote_addr == (rig.address.host, rig.address.port)
        finally:
            await client.close()
            await backend.close()
        rig.port.sweep()
        assert rig.counters.media_packets[Direction.TO_BACKEND] >= 2
        assert rig.counters.media_bytes[Direction.TO_CLIENT] > len(SRTP)


async def test_garbage_and_strangers_get_no_answer() -> None:
    async with media_rig() as rig:
        rig.open_viewer()
        stranger = rig.peer()
        bad_pwd = request(pwd="wrong-password-wrong-pw")
        for datagram in (b"", b"x", SRTP, DTLS, bytes(1200), request()[:30], bad_pwd, request(to=CLIENT)):
            stranger.send(datagram, rig.address)
        await rig.dropped(MediaDrop.UNKNOWN_USER)
        assert rig.counters.media_dropped[MediaDrop.NOT_ADMITTED] == 5
        assert rig.counters.media_dropped[MediaDrop.MALFORMED] == 1
        assert rig.counters.media_dropped[MediaDrop.BAD_INTEGRITY] == 1
        assert stranger.pending() == []
        assert rig.backend.pending() == []


async def test_media_waits_until_the_client_answered_a_check() -> None:
    async with media_rig() as rig:
        rig.open_viewer()
        client = rig.peer()
        client.send(request(), rig.address)
        _, upstream = await rig.backend.receive()
        client.send(SRTP, rig.address)
        await rig.dropped(MediaDrop.NOT_CONFIRMED)
        rig.backend.send(request(to=CLIENT, by=BACKEND), upstream)
        check, _ = await client.receive()
        rig.backend.send(SRTP, upstream)
        await rig.dropped(MediaDrop.NOT_CONFIRMED, 2)
        client.send(response(check, CLIENT.pwd), rig.address)
        await rig.backend.receive()
        client.send(SRTP, rig.address)
        assert (await rig.backend.receive())[0] == SRTP
        rig.backend.send(DTLS, upstream)
        assert await client.receive() == (DTLS, rig.address)


async def test_request_replayed_from_another_address_reaches_nobody() -> None:
    async with media_rig() as rig:
        rig.open_viewer()
        client, thief = rig.peer(), rig.peer()
        asked = request()
        client.send(asked, rig.address)
        await rig.backend.receive()
        thief.send(asked, rig.address)
        await rig.dropped(MediaDrop.REPLAYED)
        assert rig.backend.pending() == []
        assert thief.pending() == []


async def test_unconfirmed_client_is_sent_at_most_three_times_its_bytes() -> None:
    async with media_rig() as rig:
        rig.open_viewer()
        client = rig.peer()
        asked = request()
        client.send(asked, rig.address)
        _, upstream = await rig.backend.receive()
        for _ in range(10):
            rig.backend.send(request(to=CLIENT, by=BACKEND), upstream)
        await rig.dropped(MediaDrop.AMPLIFICATION)
        await until(lambda: rig.counters.media_dropped[MediaDrop.AMPLIFICATION] == 7)
        received = client.pending()
        assert len(received) == 3
        assert sum(map(len, received)) <= 3 * len(asked)


async def test_client_that_moved_goes_on_with_an_upstream_of_its_own() -> None:
    async with media_rig() as rig:
        path = rig.open_viewer()
        before, after = rig.peer(), rig.peer()
        old = await confirm(rig, before)
        assert old == path.backend_facing
        after.send(SRTP, rig.address)
        await rig.dropped(MediaDrop.NOT_ADMITTED)
        new = await confirm(rig, after)
        assert new != old
        after.send(SRTP, rig.address)
        assert await rig.backend.receive() == (SRTP, new)
        rig.backend.send(SRTP, old)
        assert (await before.receive())[0] == SRTP


async def test_silent_flow_ends_and_gives_its_sockets_back() -> None:
    now = 100.0
    async with media_rig(monotonic=lambda: now) as rig:
        path = rig.open_viewer()
        first, second = rig.peer(), rig.peer()
        bound = await confirm(rig, first)
        other = await confirm(rig, second)
        rig.port.sweep()
        now += 31
        rig.port.sweep()
        first.send(SRTP, rig.address)
        rig.backend.send(SRTP, bound)
        await rig.dropped(MediaDrop.NOT_ADMITTED)
        await rig.dropped(MediaDrop.NO_CLIENT)
        SocketFactory(4096).bind(other.host, other.port).close()  # free again
        assert await confirm(rig, second) == path.backend_facing  # the bound socket serves the next flow


async def test_media_of_the_client_keeps_a_flow_alive_and_that_of_the_backend_does_not() -> None:
    now = 100.0
    async with media_rig(monotonic=lambda: now) as rig:
        rig.open_viewer()
        client = rig.peer()
        upstream = await confirm(rig, client)
        for _ in range(4):
            client.send(SRTP, rig.address)
            assert (await rig.backend.receive())[0] == SRTP
            rig.port.sweep()
            now += 20
        rig.backend.send(SRTP, upstream)
        assert (await client.receive())[0] == SRTP
        rig.port.sweep()
        now += 11
        rig.port.sweep()
        client.send(SRTP, rig.address)
        await rig.dropped(MediaDrop.NOT_ADMITTED)


async def test_stranger_cannot_speak_for_the_backend() -> None:
    async with media_rig() as rig:
        path = rig.open_viewer()
        client, foreign, neighbour = rig.peer(), rig.peer("127.0.0.3"), rig.peer(BACKEND_HOST)
        foreign.send(request(to=CLIENT, by=BACKEND), path.backend_facing)
        await rig.dropped(MediaDrop.FOREIGN_SOURCE)
        neighbour.send(request(to=CLIENT, by=BACKEND, pwd="not-the-clients-password"), path.backend_facing)
        await rig.dropped(MediaDrop.BAD_INTEGRITY)
        upstream = await confirm(rig, client)
        for stranger in (foreign, neighbour):
            stranger.send(SRTP, upstream)
        rig.backend.send(SRTP + b"!", upstream)
        assert (await client.receive())[0] == SRTP + b"!"
        assert client.pending() == []


async def test_what_strangers_queued_before_the_lock_is_dropped() -> None:
    async with media_rig() as rig:
        rig.open_viewer()
        client, neighbour = rig.peer(), rig.peer(BACKEND_HOST)
        asked = request()
        client.send(asked, rig.address)
        _, upstream = await rig.backend.receive()
        rig.backend.send(response(asked, BACKEND.pwd), upstream)
        neighbour.send(request(to=CLIENT, by=BACKEND), upstream)  # in one queue with the answer that locks
        await client.receive()
        await rig.dropped(MediaDrop.FOREIGN_SOURCE)
        assert client.pending() == []


async def test_each_candidate_is_asked_until_one_answers() -> None:
    async with media_rig() as rig:
        path = rig.port.open_viewer("v1", RELAY_HOST)
        path.learn_credentials(Side.CLIENT, CLIENT)
        path.learn_credentials(Side.BACKEND, BACKEND)
        other, client = rig.peer(BACKEND_HOST), rig.peer()
        for peer in (other, rig.backend):
            assert path.learn_backend_candidate(peer.address, ufrag=None)
        asked = request()
        client.send(asked, rig.address)
        for peer in (other, rig.backend):
            assert (await peer.receive())[0] == asked
        rig.backend.send(response(asked, BACKEND.pwd), path.backend_facing)
        await client.receive()
        again = request()
        client.send(again, rig.address)
        assert (await rig.backend.receive())[0] == again
        assert other.pending() == []


async def test_ice_restart_moves_a_flow_to_the_new_transport() -> None:
    async with media_rig() as rig:
        path = rig.open_viewer()
        client = rig.peer()
        await confirm(rig, client)
        restarted, new = rig.peer(BACKEND_HOST), IceCredentials("newb", "new-backend-password-new")
        path.learn_credentials(Side.BACKEND, new)
        assert path.learn_backend_candidate(restarted.address, ufrag=new.ufrag)
        asked = request(to=new)
        client.send(asked, rig.address)
        got, upstream = await restarted.receive()
        assert (got, upstream) == (asked, path.backend_facing)
        client.send(SRTP, rig.address)
        await rig.dropped(MediaDrop.NO_TARGET)
        restarted.send(response(asked, new.pwd), upstream)
        await client.receive()
        client.send(SRTP, rig.address)
        assert (await restarted.receive())[0] == SRTP


async def test_newcomer_takes_the_place_and_the_port_of_a_silent_flow() -> None:
    now = 100.0
    settings = RelaySettings(max_tuples=1)
    async with media_rig(settings=settings, monotonic=lambda: now) as rig:
        rig.open_viewer()
        old, new = rig.peer(), rig.peer()
        upstream = await confirm(rig, old)
        new.send(request(), rig.address)
        await rig.dropped(MediaDrop.TABLE_FULL)
        now += 16
        assert await confirm(rig, new) == upstream
        old.send(SRTP, rig.address)
        await rig.dropped(MediaDrop.NOT_ADMITTED)
        assert rig.backend.pending() == []


@contextmanager
def no_socket_left() -> Iterator[None]:
    """While the block lasts, the process may open nothing."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as probe:
        lowest_free = probe.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_process_without_sockets_turns_newcomers_away_and_serves_the_others() -> None:
    async with media_rig() as rig:
        rig.open_viewer()
        first, second = rig.peer(), rig.peer()
        await confirm(rig, first)
        with no_socket_left():
            with pytest.raises(TooManyViewers):
                rig.port.open_viewer("v2", RELAY_HOST)
            second.send(request(), rig.address)
            await rig.dropped(MediaDrop.NO_SOCKET)
            first.send(SRTP, rig.address)
            assert (await rig.backend.receive())[0] == SRTP
        await confirm(rig, second)


async def test_candidate_on_a_network_of_the_machine_is_a_loopback_backends_own() -> None:
    async with media_rig() as rig:
        path = rig.open_viewer()
        for host in get_host_addresses(use_ipv4=True, use_ipv6=False):
            own = not host.startswith("127.")
            assert path.learn_backend_candidate(TransportAddress(host, 5000), ufrag=None) is own


def network_host() -> str:
    """An address of this machine on a network."""
    hosts = [host for host in get_host_addresses(use_ipv4=True, use_ipv6=False) if not host.startswith("127.")]
    if not hosts:
        absent("an address on a network", mend="give this machine one besides loopback")
    return hosts[0]


async def test_backend_that_names_only_networks_is_met_there_for_it_may_not_answer_loopback() -> None:
    async with media_rig(backend_host=network_host(), route_host=BACKEND_HOST) as rig:
        path = rig.port.open_viewer("v1", RELAY_HOST)
        before = path.backend_facing
        path.learn_credentials(Side.CLIENT, CLIENT)
        path.learn_credentials(Side.BACKEND, BACKEND)
        assert path.learn_backend_candidate(rig.backend.address, ufrag=BACKEND.ufrag)
        assert before.host == RELAY_HOST
        assert path.backend_facing == TransportAddress(rig.backend.address.host, before.port)
        first, second = rig.peer(), rig.peer()
        assert await confirm(rig, first) == path.backend_facing
        assert (await confirm(rig, second)).host == rig.backend.address.host
        rig.backend.send(SRTP, path.backend_facing)
        assert (await first.receive())[0] == SRTP


async def test_backend_that_names_loopback_too_is_met_on_loopback() -> None:
    async with media_rig() as rig:
        path = rig.open_viewer()
        assert path.learn_backend_candidate(TransportAddress(network_host(), 5000), ufrag=BACKEND.ufrag)
        assert path.backend_facing.host == RELAY_HOST
        await confirm(rig, rig.peer())


async def test_upstream_host_that_was_set_is_kept() -> None:
    settings = RelaySettings(upstream_host=RELAY_HOST)
    async with media_rig(settings=settings) as rig:
        path = rig.port.open_viewer("v1", RELAY_HOST)
        assert path.learn_backend_candidate(TransportAddress(network_host(), 5000), ufrag=None)
        assert path.backend_facing.host == RELAY_HOST


async def test_closed_path_learns_candidates_without_a_socket() -> None:
    async with media_rig() as rig:
        path = rig.port.open_viewer("v1", RELAY_HOST)
        path.close()
        assert path.learn_backend_candidate(TransportAddress(network_host(), 5000), ufrag=None)


async def test_check_that_came_before_the_client_is_handed_on() -> None:
    async with media_rig() as rig:
        path = rig.open_viewer()
        client = rig.peer()
        stale, check = request(to=CLIENT, by=BACKEND), request(to=CLIENT, by=BACKEND)
        rig.backend.send(stale, path.backend_facing)
        rig.backend.send(check, path.backend_facing)
        rig.backend.send(SRTP, path.backend_facing)
        await rig.dropped(MediaDrop.BAD_INTEGRITY)
        client.send(request(), rig.address)
        assert (await client.receive())[0] == check
        client.send(response(check, CLIENT.pwd), rig.address)
        await rig.backend.receive()
        assert (await rig.backend.receive())[0] == response(check, CLIENT.pwd)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.3", "192.0.2.7", "8.8.8.8", "not-an-address", "0.0.0.0", "::1", "224.0.0.1", "x.local"],
)
async def test_candidate_off_the_backends_host_is_refused(host: str) -> None:
    async with media_rig() as rig:
        path = rig.open_viewer()
        assert not path.learn_backend_candidate(TransportAddress(host, 5000), ufrag=None)
        assert rig.counters.candidates_refused[CandidateRefusal.FOREIGN_HOST] == 1


async def test_opaque_media_is_admitted_from_the_signaling_host_alone() -> None:
    async with media_rig(signaling=SignalingKind.OPAQUE) as rig:
        rig.port.open_viewer("v1", RELAY_HOST)
        stranger, client = rig.peer("127.0.0.3"), rig.peer()
        unreadable = IceCredentials("any", "never-seen-by-the-relay")
        stranger.send(request(to=unreadable), rig.address)
        stranger.send(DTLS, rig.address)
        client.send(SRTP, rig.address)
        await rig.dropped(MediaDrop.NOT_ADMITTED, 3)
        asked = request(to=unreadable)
        client.send(asked, rig.address)
        got, upstream = await rig.backend.receive()
        assert got == asked
        rig.backend.send(response(asked, unreadable.pwd), upstream)
        await client.receive()
        again = request(to=unreadable)
        client.send(again, rig.address)
        assert (await rig.backend.receive())[0] == again
        client.send(SRTP, rig.address)
        assert (await rig.backend.receive())[0] == SRTP
        rig.backend.send(SRTP, upstream)
        assert (await client.receive())[0] == SRTP
        assert stranger.pending() == []


async def test_ipv6_client_reaches_an_ipv4_backend() -> None:
    async with media_rig(host="::1") as rig:
        rig.open_viewer(host="::1")
        client = rig.peer("::1")
        await confirm(rig, client)
        client.send(SRTP, rig.address)
        assert (await rig.backend.receive())[0] == SRTP


async def test_dual_stack_port_serves_ipv4_clients() -> None:
    settings = RelaySettings(host="::", advertised_host="127.0.0.1")
    async with media_rig(settings=settings) as rig:
        path = rig.open_viewer()
        assert path.client_facing == rig.address
        client = rig.peer("127.0.0.1")
        await confirm(rig, client)
        client.send(SRTP, rig.address)
        assert (await rig.backend.receive())[0] == SRTP


async def test_backend_that_is_gone_is_counted_and_comes_back() -> None:
    async with media_rig() as rig:
        rig.open_viewer()
        client = rig.peer()
        await confirm(rig, client)
        address = rig.backend.address
        rig.backend.close()
        for _ in range(3):
            client.send(SRTP, rig.address)
        await rig.dropped(MediaDrop.REFUSED)
        rig.backend.sock = SocketFactory(4096).bind(address.host, address.port)
        client.send(SRTP + b"again", rig.address)
        assert (await rig.backend.receive())[0] == SRTP + b"again"


async def test_viewers_are_bounded_and_closing_one_ends_its_flows() -> None:
    settings = RelaySettings(max_viewers=2)
    async with media_rig(settings=settings) as rig:
        path, _ = rig.open_viewer("v1"), rig.port.open_viewer("v2", RELAY_HOST)
        with pytest.raises(ValueError, match="viewer v2 is already there"):
            rig.port.open_viewer("v2", RELAY_HOST)
        with pytest.raises(TooManyViewers, match="2 viewers"):
            rig.port.open_viewer("v3", RELAY_HOST)
        client = rig.peer()
        upstream = await confirm(rig, client)
        path.close()
        path.close()
        path.learn_credentials(Side.CLIENT, CLIENT)
        client.send(SRTP, rig.address)
        client.send(request(), rig.address)
        await rig.dropped(MediaDrop.NOT_ADMITTED)
        await rig.dropped(MediaDrop.UNKNOWN_USER)
        SocketFactory(4096).bind(upstream.host, upstream.port).close()
        rig.port.open_viewer("v3", RELAY_HOST)


async def test_taken_port_is_told_apart_from_a_refused_address() -> None:
    async with media_rig() as rig:
        settings = RelaySettings()
        second = UdpMediaPort(rig.port.route, settings, RelayCounters(), sockets=SocketFactory(4096))
        with pytest.raises(PortUnavailable, match=f"port {rig.address.port} on 127.0.0.1 is taken") as taken:
            second.open()
        assert taken.value.error is RouteError.PORT_TAKEN
        foreign = UdpMediaPort(
            rig.port.route, RelaySettings(host="192.0.2.200"), RelayCounters(), sockets=SocketFactory(4096)
        )
        with pytest.raises(PortUnavailable, match="cannot be bound") as refused:
            foreign.open()
        assert refused.value.error is RouteError.BIND_REFUSED


async def test_totals_tell_packets_bytes_and_times_in_steps() -> None:
    now = 1000.0
    async with media_rig(clock=lambda: now) as rig:
        rig.open_viewer()
        client = rig.peer()
        assert rig.port.traffic.first_packet_at is None
        await confirm(rig, client)
        assert rig.port.traffic.first_packet_at == 1000
        now = 1023.0
        client.send(SRTP, rig.address)
        await rig.backend.receive()
        rig.port.sweep()
        traffic = rig.port.traffic
        assert (traffic.first_packet_at, traffic.last_client_packet_at) == (1000, 1020)
        assert (traffic.to_backend.packets, traffic.to_client.packets) == (3, 2)
        assert rig.counters.media_bytes[Direction.TO_BACKEND] == traffic.to_backend.bytes


def record(size: int) -> bytes:
    return bytes([23]) + bytes(size - 1)


IDLE = {"each 30 s": [65], "with webrtcbin": [57, 85], "acknowledging": [65] * 40, "under GCM": [65, 93]}
INPUT = {"our own": [121], "short": [97], "tiny, and more than one": [69] * 8, "tiny under GCM": [77] * 3}


@pytest.mark.parametrize(
    ("sizes", "is_input"),
    [(sizes, False) for sizes in IDLE.values()] + [(sizes, True) for sizes in INPUT.values()],
    ids=[*IDLE, *INPUT],
)
async def test_what_an_idle_client_sends_is_no_input_and_what_events_make_is(sizes: list[int], is_input: bool) -> None:
    now = 1000.0
    async with media_rig(clock=lambda: now) as rig:
        rig.open_viewer()
        client = rig.peer()
        await confirm(rig, client)
        now = 1023.0
        for size in sizes:
            client.send(record(size), rig.address)
            client.send(SRTP + bytes(300), rig.address)
        for _ in range(2 * len(sizes)):
            await rig.backend.receive()
        rig.port.sweep()
        assert rig.port.traffic.last_client_input_at == (1020 if is_input else None)
        assert rig.port.traffic.last_client_packet_at == 1020


async def test_answers_to_heartbeats_do_not_add_up_to_input() -> None:
    async with media_rig() as rig:
        rig.open_viewer()
        client = rig.peer()
        await confirm(rig, client)
        for _ in range(5):
            client.send(record(85), rig.address)
            await rig.backend.receive()
            rig.port.sweep()
        assert rig.port.traffic.last_client_input_at is None


async def test_input_told_by_signaling_counts_until_its_path_is_closed() -> None:
    now = 1009.0
    async with media_rig(clock=lambda: now) as rig:
        path = rig.open_viewer()
        path.note_input()
        assert rig.port.traffic.last_client_input_at == 1000
        path.close()
        now = 1015.0
        path.note_input()
        assert rig.port.traffic.last_client_input_at == 1000
