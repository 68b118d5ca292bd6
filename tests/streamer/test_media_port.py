"""One UDP port for several ICE agents: who gets which datagram."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aioice import Connection, stun
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.media_port import MediaPort
from tests.streamer.waiting import until


@pytest.fixture
async def port() -> AsyncIterator[MediaPort]:
    opened = MediaPort("127.0.0.1", 0)
    opened.open()
    yield opened
    opened.close()
    opened.close()


async def agent_on(port: MediaPort, *, controlling: bool) -> Connection:
    agent = Connection(ice_controlling=controlling)
    port.attach(agent)
    await agent.gather_candidates()
    return agent


def introduce(one: Connection, other: Connection) -> None:
    one.remote_username, one.remote_password = other.local_username, other.local_password
    other.remote_username, other.remote_password = one.local_username, one.local_password


def binding_request(agent: Connection, *, password: str | None = None, priority: int | None = 1) -> stun.Message:
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{agent.local_username}:{agent.remote_username or 'them'}"
    if priority is not None:
        message.attributes["PRIORITY"] = priority
    message.attributes["ICE-CONTROLLING"] = 7
    message.add_message_integrity((password or agent.local_password).encode())
    return message


async def test_agents_of_two_viewers_share_the_port(port: MediaPort) -> None:
    far_ends = [MediaPort("127.0.0.1", 0), MediaPort("127.0.0.1", 0)]
    pairs = []
    for far_end in far_ends:
        far_end.open()
        ours, theirs = await agent_on(port, controlling=False), await agent_on(far_end, controlling=True)
        introduce(ours, theirs)
        for candidate in ours.local_candidates:
            assert (candidate.host, candidate.port, candidate.type) == (*port.address, "host")
            await theirs.add_remote_candidate(candidate)
        await theirs.add_remote_candidate(None)
        pairs.append((ours, theirs))
    await asyncio.gather(*(agent.connect() for pair in pairs for agent in pair))
    for number, (ours, theirs) in enumerate(pairs):
        await theirs.send(b"\x80 to backend %d" % number)
        await ours.send(b"\x80 to client %d" % number)
    for number, (ours, theirs) in enumerate(pairs):
        assert await ours.recv() == b"\x80 to backend %d" % number
        assert await theirs.recv() == b"\x80 to client %d" % number
        assert port.remotes(ours) == (far_ends[number].address,)
    for ours, theirs in pairs:
        await ours.close()
        await theirs.close()
        assert port.remotes(ours) == ()
    for far_end in far_ends:
        far_end.close()


@pytest.mark.parametrize("message", [{"password": "x" * 22}, {"priority": None}], ids=["wrong password", "no priority"])
async def test_request_that_proves_nothing_gets_no_answer(port: MediaPort, message: dict[str, str]) -> None:
    agent = await agent_on(port, controlling=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)
        stranger.bind(("127.0.0.1", 0))
        stranger.sendto(bytes(binding_request(agent, **message)), port.address)  # type: ignore[arg-type]
        await until(lambda: port.dropped == 1)
        with pytest.raises(BlockingIOError):
            stranger.recv(100)
        stranger.sendto(bytes(binding_request(agent)), port.address)
        await until(lambda: port.remotes(agent) == (stranger.getsockname(),))
    await agent.close()


async def test_one_viewer_comes_from_so_many_addresses_and_no_more(port: MediaPort) -> None:
    agent = await agent_on(port, controlling=False)
    for _ in range(70):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.sendto(bytes(binding_request(agent)), port.address)
    await until(lambda: len(port.remotes(agent)) + port.dropped >= 70 - 5)
    assert len(port.remotes(agent)) <= 64
    await agent.close()


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_no_datagram_whatsoever_raises(port: MediaPort, data: st.DataObject) -> None:
    agent = await agent_on(port, controlling=False)
    good = bytearray(bytes(binding_request(agent)))
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), max_size=4)):
        good[place] = value
    cut = data.draw(st.integers(0, len(good)))
    for datagram in (bytes(good), bytes(good[:cut]), data.draw(st.binary(max_size=64))):
        port.take(datagram, ("127.0.0.1", 9))
    await agent.close()


async def test_taken_port_is_an_error_that_leaves_nothing_open(port: MediaPort) -> None:
    other = MediaPort(*port.address)
    with pytest.raises(OSError, match="in use"):
        other.open()
    with pytest.raises(RuntimeError):
        _ = other.address
    other.send(b"into the void", port.address)


async def test_burst_is_drained_at_once(port: MediaPort) -> None:
    """Not one datagram per turn of the loop."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(200):
            sender.sendto(b"\x80 burst", port.address)
    turns = 0
    while port.dropped < 200:
        await asyncio.sleep(0)
        turns += 1
        assert turns < 20
