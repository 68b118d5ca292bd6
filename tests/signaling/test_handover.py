"""Both sides of a hand-over, the successor in a thread: who serves in the end, whatever was said."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from signaling.handover import HandoverPort, default_folder, make_private, meeting_place
from signaling.handover_sockets import Inherited, Packing
from signaling.handover_state import VERSION, RelaySnapshot
from signaling.handover_wire import Baton, Wire
from signaling.inheritance import HandoverRefused, Inheritance, inherit

Result = TypeVar("Result")


@dataclass
class OneSocket:
    """A relay of one socket; notes what is asked of it."""

    sock: socket.socket = field(default_factory=socket.socket)
    told: dict[str, dict[str, int]] = field(default_factory=lambda: {"counted": {"so far": 7}})
    rests: bool = True
    breaks: bool = False
    calls: list[str] = field(default_factory=list)

    async def hold(self, *, within_s: float) -> bool:
        self.calls.append("hold")
        return self.rests

    def release(self) -> None:
        self.calls.append("release")

    def snapshot(self, packing: Packing) -> RelaySnapshot:
        if self.breaks:
            raise RuntimeError("a fault of ours")
        packing.add(self.sock)
        return RelaySnapshot(relay="r1", wanted=(), keys=(), served=(), counters=self.told)

    def abandon(self) -> None:
        self.calls.append("abandon")

    def restore(self, told: RelaySnapshot, inherited: Inherited) -> None:
        if self.breaks:
            raise ValueError("wanted.0: it is not understood")
        self.calls.append("restore")
        self.told = told.counters
        self.sock.close()
        self.sock = inherited.take(0)

    def read_media(self) -> None:
        self.calls.append("read media")


@pytest.fixture
def heir() -> Iterator[OneSocket]:
    relay = OneSocket()
    yield relay
    relay.sock.close()


@dataclass
class Rig:
    path: Path
    relay: OneSocket
    port: HandoverPort
    waiting: asyncio.Task[None]

    @property
    def serves_on(self) -> bool:
        """Whether this relay is the one that serves, as far as it knows."""
        return not self.waiting.done() and self.relay.calls[-1:] == ["release"] and "abandon" not in self.relay.calls

    async def asked(self, **options: object) -> Inheritance | None:
        return await asyncio.to_thread(inherit, self.path, "r1", **options)  # type: ignore[arg-type]


@asynccontextmanager
async def waiting(
    folder: Path, *, within_s: float = 5, listeners: dict[str, socket.socket] | None = None
) -> AsyncIterator[Rig]:
    relay, path = OneSocket(), folder / "own" / "r1.handover"
    port = HandoverPort(path, relay, "r1", table="t", within_s=within_s, listeners=listeners)
    port.open()
    task = asyncio.create_task(port.run())
    try:
        yield Rig(path, relay, port, task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        port.close()
        relay.sock.close()


async def soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def enter(path: Path, relay: OneSocket) -> None:
    for listener in enter_with_listeners(path, relay).values():
        listener.close()


def enter_with_listeners(path: Path, relay: OneSocket) -> dict[str, socket.socket]:
    inheritance = inherit(path, "r1", table="t")
    assert inheritance is not None
    inheritance.enter(relay)
    return inheritance.listeners


async def test_a_successor_has_all_and_the_predecessor_lets_go(tmp_path: Path, heir: OneSocket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as status:
        async with waiting(tmp_path, listeners={"status": status}) as rig:
            listeners = await asyncio.to_thread(enter_with_listeners, rig.path, heir)
            async with asyncio.timeout(5):
                await rig.waiting
            assert rig.relay.calls == ["hold", "abandon"]
            assert heir.calls == ["restore", "read media"]
            assert heir.told == rig.relay.told
            assert os.fstat(heir.sock.fileno()).st_ino == os.fstat(rig.relay.sock.fileno()).st_ino
            assert listeners["status"].getsockname() == status.getsockname()
            heirs_port = HandoverPort(rig.path, heir, "r1", table="t", listeners=listeners)
            heirs_port.open()
            assert rig.path.exists(), "the next one finds the same door"
            heirs_port.close()
            assert not rig.path.exists()
            listeners["status"].close()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"reads": [VERSION], "relay": "r2", "table": "t"}, "this is relay r1"),
        ({"reads": [VERSION], "relay": "r1", "table": "other"}, "another route table"),
        (
            {"reads": [VERSION + 1], "relay": "r1", "table": "t"},
            f"version {VERSION}, which the successor does not read",
        ),
        ({"reads": VERSION, "relay": "r1", "table": "t"}, "does not read"),
        ({}, "this is relay r1"),
    ],
)
async def test_one_that_is_not_its_successor_is_told_why(tmp_path: Path, said: dict[str, object], reason: str) -> None:
    def ask(path: Path) -> str:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            wire = Wire(sock, within_s=5)
            wire.send(json.dumps(said).encode())
            return str(wire.hear()["refused"])

    async with waiting(tmp_path) as rig:
        assert reason in await asyncio.to_thread(ask, rig.path)
        await soon(lambda: rig.serves_on)
        assert "hold" not in rig.relay.calls


async def test_a_relay_that_does_not_come_to_rest_asks_to_try_again(tmp_path: Path) -> None:
    async with waiting(tmp_path) as rig:
        rig.relay.rests = False
        with pytest.raises(HandoverRefused, match="routes are being opened or closed, try again"):
            await rig.asked(table="t")
        await soon(lambda: rig.serves_on)


async def test_a_fault_in_the_middle_leaves_the_predecessor_serving(tmp_path: Path) -> None:
    async with waiting(tmp_path) as rig:
        rig.relay.breaks = True
        assert await rig.asked(table="t") is None
        await soon(lambda: rig.serves_on)


async def test_a_state_that_is_not_understood_is_refused_and_the_predecessor_serves_on(
    tmp_path: Path, heir: OneSocket
) -> None:
    async with waiting(tmp_path) as rig:
        heir.breaks = True
        with pytest.raises(HandoverRefused, match=r"cannot be taken over: wanted\.0: it is not understood"):
            await asyncio.to_thread(enter, rig.path, heir)
        await soon(lambda: rig.serves_on)
        heir.breaks = False
        await asyncio.to_thread(enter, rig.path, heir)
        await soon(rig.waiting.done)


async def test_a_successor_that_is_late_finds_the_baton_gone(tmp_path: Path, heir: OneSocket) -> None:
    def enter_late(path: Path, heir: OneSocket) -> None:
        inheritance = inherit(path, "r1", table="t")
        assert inheritance is not None
        time.sleep(0.3)
        inheritance.enter(heir)

    async with waiting(tmp_path, within_s=0.1) as rig:
        with pytest.raises(HandoverRefused, match="it serves on"):
            await asyncio.to_thread(enter_late, rig.path, heir)
        await soon(lambda: rig.serves_on)
        assert heir.calls == ["restore"]


async def test_a_successor_that_took_the_baton_and_lives_is_left_to_serve(tmp_path: Path) -> None:
    def take_silently(path: Path) -> None:
        inheritance = inherit(path, "r1", table="t")
        assert inheritance is not None
        assert inheritance._baton.take()
        time.sleep(0.5)
        inheritance.close()

    async with waiting(tmp_path, within_s=0.1) as rig:
        await asyncio.to_thread(take_silently, rig.path)
        await soon(rig.waiting.done)
        assert rig.relay.calls == ["hold", "abandon"]


async def test_who_connects_and_says_nothing_useful_stops_nothing(tmp_path: Path, heir: OneSocket) -> None:
    async with waiting(tmp_path) as rig:
        for garbage in (b"", b"\0\0\0\2[]", b"GET / HTTP/1.1\r\n\r\n"):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(rig.path))
                sock.sendall(garbage)
        await asyncio.to_thread(enter, rig.path, heir)
        await soon(rig.waiting.done)


async def test_no_relay_there_is_nothing_to_take_over(tmp_path: Path) -> None:
    assert inherit(tmp_path / "none", "r1") is None
    async with waiting(tmp_path) as rig:
        pass
    assert not rig.path.exists()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(rig.path))
    left.close()
    assert inherit(rig.path, "r1") is None
    async with waiting(tmp_path) as rig:
        assert rig.path.exists(), "what a killed relay left is in nobody's way"


async def test_two_relays_of_one_name_do_not_share_a_door(tmp_path: Path, heir: OneSocket) -> None:
    async with waiting(tmp_path) as rig:
        second = HandoverPort(rig.path, heir, "r1")
        with pytest.raises(OSError, match="runs already"):
            second.open()


def test_the_folder_belongs_to_nobody_else(tmp_path: Path) -> None:
    make_private(tmp_path / "a" / "b")
    make_private(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b")
    for wrong in ("open", "link"):
        with pytest.raises(PermissionError, match="mode 0700"):
            make_private(tmp_path / wrong)


def test_relays_of_one_user_meet_in_one_folder() -> None:
    own = f"pixelferry-{os.geteuid()}"
    assert default_folder({"RUNTIME_DIRECTORY": "/run/a:/run/b", "XDG_RUNTIME_DIR": "/x"}) == Path("/run/a", own)
    assert default_folder({"XDG_RUNTIME_DIR": "/run/user/7"}) == Path("/run/user/7", own)
    assert default_folder({}).name == own


def test_relays_of_one_name_and_route_table_meet_at_one_place_others_do_not(tmp_path: Path) -> None:
    places = {meeting_place(tmp_path, relay, table) for relay in ("a", "b") for table in ("redis://x y", "redis://x z")}
    assert len(places) == 4
    assert meeting_place(tmp_path, "a", "redis://x y") in places


def test_a_predecessor_that_died_after_it_told_all_is_succeeded(heir: OneSocket) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    handed = socket.socket()
    document = RelaySnapshot(relay="r1", wanted=(), keys=(), served=(), counters={}).to_json()
    inheritance = Inheritance(Wire(ours, within_s=1), Baton(), Inherited([handed.detach()]), document)
    theirs.close()
    inheritance.enter(heir)
    assert heir.calls == ["restore", "read media"]
    ours.close()
