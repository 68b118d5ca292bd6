"""docs/nodes.md says what is true: its files are read as they stand, its commands are ones that there are."""

from __future__ import annotations

import argparse
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from broker.catalog_file import load_catalog
from broker.node_file import clocks_of, read_nodes
from broker.node_settings import NodeSettings, NodeTokenSettings
from broker.settings import BrokerSettings
from streamer.__main__ import parser
from streamer.node.settings import options_of

TEXT = (Path(__file__).parents[2] / "docs" / "nodes.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    """What comes after `pixelferry streamer` in those that register."""
    lines = [line for block in (*blocks("sh"), *blocks("ini")) for line in block.replace("\\\n", " ").splitlines()]
    found = [re.search(r"pixelferry streamer (.*--register.*)", line) for line in lines]
    return [shlex.split(match[1]) for match in found if match]


def test_the_files_are_read(tmp_path: Path) -> None:
    broker, catalog, nodes = blocks("toml")
    (tmp_path / "catalog.toml").write_text(catalog)
    (tmp_path / "nodes.toml").write_text(nodes)
    (tmp_path / "node-tokens.toml").write_text("")
    settings = BrokerSettings.model_validate(tomllib.loads(broker.replace("/etc/pixelferry", str(tmp_path))))
    assert settings.nodes.networks == ("10.1.0.0/16",)
    profile = load_catalog(tmp_path / "catalog.toml").profiles["default"]
    (node,) = read_nodes(tmp_path / "nodes.toml")
    assert profile.on_nodes and profile.labels == node.labels


def test_the_commands_are_ones_that_there_are(tmp_path: Path) -> None:
    assert len(commands()) == 2
    token = tmp_path / "token"
    token.write_text("pfk_x")
    for command in commands():
        given = [str(token) if part.endswith("node-token") else part.replace("%H", "gpu-1") for part in command]
        options = options_of(parser().parse_args([*given, "--host", "10.1.0.7"]), (), {})
        assert (options.name, options.slots, options.gpus) == ("gpu-1", 2, ("0", "1"))
        assert options.labels == {"application": "usd-viewer", "gpu": "l40s"}


def test_every_option_is_told_and_no_other() -> None:
    told = set(re.findall(r"^\| `(--[a-z-]+)", TEXT, re.MULTILINE))
    there = {option for action in parser()._actions for option in action.option_strings if option.startswith("--")}
    assert told == there - {"--help"}
    assert isinstance(parser(), argparse.ArgumentParser)


def test_every_setting_is_told() -> None:
    section = TEXT.partition("## Settings")[2].partition("## Nodes in a file")[0]
    for name in (*NodeSettings.model_fields, *NodeTokenSettings.model_fields):
        assert re.search(rf"\b{name}\b", section), name
    clocks = clocks_of(NodeSettings())
    figures = (clocks.heartbeat_s, clocks.suspect_s, clocks.grace_s, clocks.settle_s, clocks.probe_every_s)
    assert f"| {', '.join(f'{figure:g}' for figure in figures)}, {clocks.probes} |" in section


@pytest.mark.parametrize(("heartbeat_s", "suspect_s", "grace_s"), [(8, 8, 15), (3, 20, 15)])
def test_silences_that_contradict_each_other_are_refused(heartbeat_s: float, suspect_s: float, grace_s: float) -> None:
    with pytest.raises(ValueError, match="heartbeat_s < suspect_s <= grace_s"):
        NodeSettings(heartbeat_s=heartbeat_s, suspect_s=suspect_s, grace_s=grace_s)
