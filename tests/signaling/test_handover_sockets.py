from __future__ import annotations

import os
import socket

import pytest

from signaling.handover_sockets import Inherited, Packing


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_a_socket_is_found_under_its_number_and_taken_once() -> None:
    packing = Packing()
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        numbers = [packing.add(tcp), packing.add(udp)]
        inherited = Inherited(os.dup(descriptor) for descriptor in packing.descriptors)
        found = inherited.take(numbers[1])
        assert found.getsockname() == udp.getsockname()
        assert not found.getblocking()
        for wrong in (numbers[1], 2, -1):
            with pytest.raises(ValueError, match=f"no socket {wrong}"):
                inherited.take(wrong)
        inherited.keep()
        inherited.close()
        assert is_open(found.fileno())
        found.close()


def test_what_nobody_keeps_is_closed_taken_or_not() -> None:
    descriptors = [socket.socket().detach() for _ in range(2)]
    inherited = Inherited(descriptors)
    inherited.take(0)
    inherited.close()
    inherited.close()
    assert not any(map(is_open, descriptors))


def test_what_is_no_socket_is_not_taken_for_one() -> None:
    inherited = Inherited([descriptor := os.memfd_create("a file")])
    with pytest.raises(ValueError, match="number 0 is no socket"):
        inherited.take(0)
    inherited.close()
    assert not is_open(descriptor)
