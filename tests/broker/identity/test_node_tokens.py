from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.cli import main
from broker.configuration import ConfigurationError
from broker.errors import Forbidden, Unauthenticated
from broker.identity.node_tokens import NodeAddresses, NodeTokens
from broker.node_settings import NodeSettings
from tests.broker.waiting import eventually

PRIVATE = NodeAddresses(["10.0.0.0/8", "fd00::/8"], allow_loopback=False)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


def made(capsys: pytest.CaptureFixture[str], name: str) -> tuple[str, str]:
    """A token, and the line that accepts it."""
    assert main(["key", "new", name, "--role", "node"]) == 0
    printed = capsys.readouterr()
    assert "nodes.tokens_file" in printed.err
    return printed.out.strip(), printed.err.strip().splitlines()[-1]


def test_a_token_is_good_for_the_node_of_its_name(capsys: pytest.CaptureFixture[str], token_file: Path) -> None:
    token, line = made(capsys, "gpu-1")
    token_file.write_text(line)
    tokens = NodeTokens(NodeSettings(tokens_file=token_file))
    tokens.check(token, "gpu-1")
    with pytest.raises(Forbidden, match="not good for node 'gpu-2'"):
        tokens.check(token, "gpu-2")
    with pytest.raises(Unauthenticated, match="not known"):
        tokens.check(token + "x", "gpu-1")
    with pytest.raises(Unauthenticated, match="is needed"):
        tokens.check(None, "gpu-1")


def test_a_token_may_be_good_for_many(capsys: pytest.CaptureFixture[str]) -> None:
    token, line = made(capsys, "all-of-hall-1")
    digest = line.split('"')[3]
    settings = NodeSettings.model_validate({"tokens": {"hall-1": {"sha256": digest, "nodes": "gpu-*, spare"}}})
    tokens = NodeTokens(settings)
    for name in ("gpu-1", "gpu-", "spare"):
        tokens.check(token, name)
    for name in ("spare-2", "hall-1", "GPU-1"):
        with pytest.raises(Forbidden):
            tokens.check(token, name)


def test_without_any_token_nobody_registers_and_is_told_why() -> None:
    with pytest.raises(Forbidden, match="pixelferry key new NAME --role node"):
        NodeTokens(NodeSettings()).check("pfk_x", "gpu-1")


@pytest.mark.parametrize(
    ("line", "mend"),
    [
        ('"gpu-1" = { sha256 = "pfk_x" }', "64 hexadecimal digits"),
        (f'"gpu-1" = {{ sha256 = "{"0" * 64}", nodes = ["*"] }}', "names no nodes"),
        (f'"gpu-1" = {{ sha256 = "{"0" * 64}", role = "node" }}', "no such key"),
    ],
)
def test_a_fault_in_the_file_is_told(token_file: Path, line: str, mend: str) -> None:
    token_file.write_text(line)
    with pytest.raises(ConfigurationError, match=mend):
        NodeTokens(NodeSettings(tokens_file=token_file))


@pytest.mark.parametrize(
    ("address", "usual"), [("10.1.0.7", "10.1.0.7"), ("::ffff:10.1.0.7", "10.1.0.7"), ("FD00::7", "fd00::7")]
)
def test_an_address_of_the_networks_is_taken_in_its_usual_form(address: str, usual: str) -> None:
    assert PRIVATE.checked(address) == usual


@pytest.mark.parametrize(
    ("address", "mend"),
    [
        ("192.168.0.7", "nodes.networks"),
        ("127.0.0.1", "nodes.allow_loopback"),
        ("127.8.8.8", "nodes.allow_loopback"),
        ("::1", "nodes.allow_loopback"),
        ("::ffff:127.0.0.1", "nodes.allow_loopback"),
        ("169.254.169.254", "can be no node's address"),
        ("::ffff:169.254.169.254", "can be no node's address"),
        ("fe80::1", "can be no node's address"),
        ("224.0.0.1", "can be no node's address"),
        ("ff02::1", "can be no node's address"),
        ("0.0.0.0", "can be no node's address"),
        ("::", "can be no node's address"),
        ("255.255.255.255", "can be no node's address"),
        ("gpu.example", "is no IP address"),
        ("", "is no IP address"),
        ("10.1", "is no IP address"),
    ],
)
def test_other_addresses_are_refused(address: str, mend: str) -> None:
    with pytest.raises(Forbidden, match=mend):
        PRIVATE.checked(address)


def test_networks_of_everything_do_not_make_a_node_of_what_can_be_none() -> None:
    everything = NodeAddresses(["0.0.0.0/0", "::/0"], allow_loopback=False)
    assert everything.checked("192.0.2.7") == "192.0.2.7"
    for address in ("127.0.0.1", "::1", "169.254.169.254", "fe80::1", "0.0.0.0"):
        with pytest.raises(Forbidden):
            everything.checked(address)


def test_loopback_is_allowed_where_it_is_said() -> None:
    one_machine = NodeAddresses([], allow_loopback=True)
    assert one_machine.checked("127.0.0.2") == "127.0.0.2"
    with pytest.raises(Forbidden):
        one_machine.checked("169.254.1.1")


@given(st.ip_addresses())
def test_whatever_is_taken_is_in_the_networks(address: object) -> None:
    try:
        taken = PRIVATE.checked(str(address))
    except Forbidden:
        return
    assert taken.startswith("10.") or taken.startswith("fd")


def write(path: Path, text: str) -> None:
    path.write_text(text)


async def test_a_file_that_changes_is_read_anew(
    capsys: pytest.CaptureFixture[str], token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (first, first_line), (second, second_line) = made(capsys, "gpu-1"), made(capsys, "gpu-2")
    write(token_file, first_line)
    tokens = NodeTokens(NodeSettings(tokens_file=token_file), every_s=0.01)

    def knows(token: str, node: str) -> bool:
        try:
            tokens.check(token, node)
        except Unauthenticated:
            return False
        return True

    task = asyncio.create_task(tokens.run())
    try:
        assert knows(first, "gpu-1") and not knows(second, "gpu-2")
        write(token_file, first_line + "\n" + second_line)
        await eventually(lambda: knows(second, "gpu-2"))
        write(token_file, "gpu = no table")
        await eventually(lambda: "stay as they were" in caplog.text)
        assert knows(first, "gpu-1") and knows(second, "gpu-2")
        write(token_file, second_line)
        await eventually(lambda: not knows(first, "gpu-1"))
        assert knows(second, "gpu-2")
    finally:
        task.cancel()
        await asyncio.wait((task,))
