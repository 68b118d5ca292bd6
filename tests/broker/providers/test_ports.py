import socket

import pytest

from broker.errors import NoCapacity
from broker.providers.ports import PortPool, is_free

HOST = "127.0.0.1"


def free_range(width: int) -> tuple[int, int]:
    """Neighbouring ports below the ephemeral range that nobody holds now."""
    for lo in range(20000, 30000, width):
        ports = range(lo, lo + width)
        if all(is_free(HOST, port, kind) for port in ports for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)):
            return lo, lo + width - 1
    raise AssertionError("no free ports")


def test_ports_in_use_are_not_handed_out_again_until_given_back() -> None:
    lo, hi = free_range(6)
    pool = PortPool(HOST, lo, hi)
    first, second = pool.take(), pool.take()
    handed_out = {first.signaling, first.media, first.control, second.signaling, second.media, second.control}
    assert handed_out == set(range(lo, hi + 1))
    with pytest.raises(NoCapacity, match=f"{lo}-{hi}"):
        pool.take()
    pool.give_back(first)
    assert pool.take() == first


def test_ports_given_back_rest_the_longest() -> None:
    lo, hi = free_range(6)
    pool = PortPool(HOST, lo, hi)
    first = pool.take()
    pool.give_back(first)
    assert pool.take() != first


def test_a_port_that_another_process_holds_is_passed_over() -> None:
    lo, hi = free_range(6)
    with socket.create_server((HOST, lo)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media:
        media.bind((HOST, lo + 2))
        ports = PortPool(HOST, lo, hi).take()
    assert (ports.signaling, ports.media, ports.control) == (lo + 1, lo + 3, lo + 4)


def test_a_port_is_free_again_while_its_last_connections_still_linger() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((HOST, port)):
            connection, _ = server.accept()
            assert not is_free(HOST, port, socket.SOCK_STREAM)
            connection.close()
    assert is_free(HOST, port, socket.SOCK_STREAM)


def test_an_address_that_is_not_this_machines_has_no_free_port() -> None:
    assert not is_free("192.0.2.1", 47000, socket.SOCK_DGRAM)
