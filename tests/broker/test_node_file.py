"""The node file: nodes that do not register."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.configuration import ConfigurationError
from broker.core.node import Node, NodeSlot, SlotState
from broker.node_file import read_nodes

GOOD = """
[nodes.gpu-1]
host = "10.1.0.7"
zone = "hall-1"
labels = { gpu = "l40s" }

[[nodes.gpu-1.slots]]
signaling_port = 47000
media_port = 47000
control_port = 47002
control_token = "0123456789abcdef"

[[nodes.gpu-1.slots]]
signaling_port = 47003
media_port = 47004
control_port = 47005
control_token_file = "TOKENS/second"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "second").write_text("fedcba9876543210\n")
    (tmp_path / "short").write_text("short\n")
    return tmp_path / "nodes.toml"


def write(path: Path, old: str = "", new: str = "") -> Path:
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1).replace("TOKENS", str(path.parent)))
    return path


def test_a_file_is_read_as_nodes_that_are_still_to_be_found(path: Path) -> None:
    slots = (
        NodeSlot(0, 47000, 47000, 47002, "0123456789abcdef", state=SlotState.STARTING),
        NodeSlot(1, 47003, 47004, 47005, "fedcba9876543210", state=SlotState.STARTING),
    )
    assert read_nodes(write(path)) == (Node("gpu-1", "10.1.0.7", slots, zone="hall-1", labels={"gpu": "l40s"}),)


@pytest.mark.parametrize(
    ("old", "new", "key", "mend"),
    [
        ('host = "10.1.0.7"', "", "nodes.gpu-1.host", "is missing"),
        ('host = "10.1.0.7"', 'host = "gpu.example"', "nodes.gpu-1.host", "is no IP address"),
        ('zone = "hall-1"', 'zome = "hall-1"', "nodes.gpu-1.zome", "did you mean 'zone'"),
        ("47005", "80", "nodes.gpu-1.slots.1.control_port", "greater than or equal to 1024"),
        ("47005", "47003", "nodes.gpu-1.slots.1", "give each its own"),
        ("47005", "47002", "nodes.gpu-1.slots.1", "port 47002 of 10.1.0.7 is in nodes.gpu-1.slots.0 already"),
        ("47004", "47000", "nodes.gpu-1.slots.1", "give each its own"),
        ('"0123456789abcdef"', '"short"', "nodes.gpu-1.slots.0.control_token", "16 printable"),
        ('control_token = "0123456789abcdef"', "", "nodes.gpu-1.slots.0", "needs control_token"),
        ("TOKENS/second", "TOKENS/third", "nodes.gpu-1.slots.1.control_token_file", "there is no file"),
        ("TOKENS/second", "TOKENS/short", "nodes.gpu-1.slots.1.control_token_file", "16 printable"),
    ],
)
def test_a_fault_is_told_by_file_key_and_mend(path: Path, old: str, new: str, key: str, mend: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_nodes(write(path, old, new))
    assert str(caught.value).startswith(f"{path}: {key}: ")
    assert mend in str(caught.value)
    assert "short\n" not in str(caught.value)


def test_a_name_that_is_none_is_told(path: Path) -> None:
    path.write_text(GOOD.replace("gpu-1", '"gpu 1"').replace("TOKENS", str(path.parent)))
    with pytest.raises(ConfigurationError, match="no name of a node"):
        read_nodes(path)
