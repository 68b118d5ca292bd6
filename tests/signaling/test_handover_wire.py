"""Frames, descriptors and the baton between two ends of a UNIX socket."""

from __future__ import annotations

import os
import resource
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

import pytest

from signaling.handover_wire import Baton, PeerGone, Wire, WireBroken, close_all

Result = TypeVar("Result")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with one, other:
        yield one, other


def meanwhile(work: Callable[[], object], then: Callable[[], Result]) -> Result:
    """One end's work in a thread of its own, while the other does this."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        return then()
    finally:
        thread.join()


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_words_and_long_frames_arrive_as_they_were(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = (Wire(end, within_s=5) for end in ends)
    one.say(reads=[1], relay="r1")
    assert other.hear() == {"reads": [1], "relay": "r1"}
    long = os.urandom(3_000_000)
    assert meanwhile(lambda: one.send(long), other.receive) == long
    assert other.peer_user == os.geteuid()


@pytest.mark.parametrize("count", [1, 200, 450])
def test_descriptors_arrive_in_their_order_however_many(ends: tuple[socket.socket, socket.socket], count: int) -> None:
    one, other = (Wire(end, within_s=5) for end in ends)
    sent = [os.memfd_create(f"number {number}") for number in range(count)]
    try:
        came = meanwhile(lambda: one.send_descriptors(sent), lambda: other.receive_descriptors(count))
        names = [os.readlink(f"/proc/self/fd/{descriptor}") for descriptor in came]
        inheritable = [os.get_inheritable(descriptor) for descriptor in came]
        close_all(came)
    finally:
        close_all(sent)
    assert names == [f"/memfd:number {number} (deleted)" for number in range(count)]
    assert not any(inheritable)


@contextmanager
def few_descriptors(more: int) -> Iterator[None]:
    """Room for so many more than there are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {int(number) for number in descriptors()}
    free = [number for number in range(len(taken) + more + 1) if number not in taken]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[more], hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_descriptors_that_do_not_all_come_are_given_back(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = (Wire(end, within_s=5) for end in ends)
    sent = [os.memfd_create("a") for _ in range(20)]
    before = descriptors()
    try:
        socket.send_fds(ends[0], [b"\0"], sent)
        with few_descriptors(5), pytest.raises(WireBroken, match="raise the limit of open files"):
            other.receive_descriptors(20)
        one.close()
        with pytest.raises(PeerGone):
            other.receive_descriptors(1)
    finally:
        close_all(sent)
    assert len(descriptors()) < len(before)


def test_an_end_that_is_gone_or_silent_is_told_apart(ends: tuple[socket.socket, socket.socket]) -> None:
    one, other = Wire(ends[0], within_s=0.05), Wire(ends[1], within_s=5)
    with pytest.raises(TimeoutError):
        one.receive()
    with pytest.raises(TimeoutError):
        one.say(late=True)
    one.close()
    with pytest.raises(PeerGone, match="the other end is gone"):
        other.receive()
    with pytest.raises(PeerGone):
        other.send(bytes(1_000_000))


@pytest.mark.parametrize(
    "said",
    [b"", b"no JSON", b"[1]", b"[" * 60_000, b'"' + bytes(70_000) + b'"', b"\xff\xff"],
    ids=lambda said: said[:8],
)
def test_what_is_no_short_json_object_breaks_the_talk(ends: tuple[socket.socket, socket.socket], said: bytes) -> None:
    one, other = (Wire(end, within_s=5) for end in ends)
    one.send(said)
    with pytest.raises(WireBroken):
        other.hear()


def test_a_frame_that_says_it_is_huge_is_not_waited_for(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[0].sendall(struct.pack("!I", 0xFFFFFFFF))
    with pytest.raises(WireBroken, match="4294967295 bytes"):
        Wire(ends[1], within_s=5).receive()


def test_a_baton_is_taken_once_by_whoever_holds_it() -> None:
    baton = Baton()
    same = Baton(os.dup(baton.descriptor))
    assert same.take()
    assert not baton.take()
    assert not same.take()
    for one in (baton, same, same):
        one.close()


def take(descriptor: int) -> None:
    os._exit(Baton(descriptor).take())


def test_of_processes_that_reach_for_a_baton_at_once_one_has_it() -> None:
    baton = Baton()
    others = [get_context("fork").Process(target=take, args=(baton.descriptor,)) for _ in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join(10)
    assert sum(other.exitcode or 0 for other in others) == 1
    assert not baton.take()
    baton.close()


def ask_and_end(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
    os._exit(0)


def test_whether_the_other_process_lives_is_known_of_it_alone(tmp_path: object) -> None:
    path = f"{tmp_path}/s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        other = get_context("fork").Process(target=ask_and_end, args=(path,))
        other.start()
        accepted, _ = listening.accept()
        with accepted:
            wire = Wire(accepted, within_s=1)
            other.join(10)
            assert not wire.peer_lives(within_s=1)
    one, end = socket.socketpair(socket.AF_UNIX)
    with one, end:
        assert Wire(one, within_s=1).peer_lives(within_s=0)
