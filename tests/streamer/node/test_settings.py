"""What a node is told on its command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from streamer.node.settings import BadNode, NodeOptions, add_options, options_of, usage_environment

USUAL = ("--register", "http://127.0.0.1:8080", "--node", "gpu-1")


def parsed(*given: str, application: str | None = "test-pattern", command: tuple[str, ...] = ()) -> NodeOptions:
    parser = argparse.ArgumentParser()
    add_options(parser)
    options = parser.parse_args([*USUAL, *given])
    options.application = application
    return options_of(options, command, {"PIXELFERRY_NODE_TOKEN": "pfk_token"})


def test_a_little_is_enough() -> None:
    options = parsed()
    assert options.brokers == ("http://127.0.0.1:8080",)
    assert (options.name, options.token, options.slots) == ("gpu-1", "pfk_token", 1)
    assert options.command == (sys.executable, "-m", "streamer", "test-pattern")
    assert options.labels == {"application": "test-pattern"}
    assert options.host == "127.0.0.1", "the address towards the broker"
    assert "pfk_token" not in repr(options)


def test_all_of_it_may_be_said(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("pfk_other\n")
    options = parsed(
        *("--register", "https://ferry.example.com/gpu/", "--token-file", str(file), "--slots", "4"),
        *("--labels", "gpu=l40s,rack=7", "--labels", "application=mine", "--zone", "hall-1", "--host", "::1"),
        *("--ports", "5000-5011", "--gpus", "0, GPU-1a", "--drain-s", "0", "--ca-file", str(file)),
    )
    assert options.brokers == ("http://127.0.0.1:8080", "https://ferry.example.com/gpu")
    assert (options.token, options.slots, options.ports) == ("pfk_other", 4, (5000, 5011))
    assert options.labels == {"gpu": "l40s", "rack": "7", "application": "mine"}
    assert (options.zone, options.host, options.gpus, options.drain_s) == ("hall-1", "::1", ("0", "GPU-1a"), 0)
    assert options.ca_file == file


def test_a_command_of_ones_own_has_no_label_of_ours() -> None:
    options = parsed(application=None, command=("python3", "app.py"))
    assert (options.command, options.labels) == (("python3", "app.py"), {})


@pytest.mark.parametrize(
    ("given", "mend"),
    [
        (("--register", "ferry"), "such as https://ferry.example.com"),
        (("--register", "https://user@ferry"), "is no address of a broker"),
        (("--register", "redis://ferry"), "is no address of a broker"),
        (("--node", "gpu 1"), "a name such as gpu-1"),
        (("--token-file", "/nonexistent"), "cannot be read"),
        (("--token-file", "/dev/null"), "pixelferry key new NAME --role node"),
        (("--slots", "0"), "from 1 to 64"),
        (("--slots", "a"), "from 1 to 64"),
        (("--labels", "gpu"), "such as gpu=l40s"),
        (("--labels", "a b=c"), "such as gpu=l40s"),
        (("--zone", "a/b"), "letters, digits"),
        (("--ports", "47000"), "such as 47000-47999"),
        (("--ports", "80-90"), "such as 47000-47999"),
        (("--ports", "5000-5010", "--slots", "4"), "each needs three"),
        (("--host", "gpu.example"), "no IP address"),
        (("--host", "0.0.0.0"), "one address of this machine"),
        (("--gpus", "0,$(x)"), "such as 0,1"),
        (("--drain-s", "-1"), "from 0 to"),
        (("--ca-file", "/nonexistent"), "there is no file"),
    ],
)
def test_a_wrong_option_names_itself_and_the_mend(given: tuple[str, ...], mend: str) -> None:
    with pytest.raises(BadNode, match=mend.replace("(", "\\(")) as caught:
        parsed(*given)
    assert str(caught.value).startswith(given[0]) or "token is needed" in str(caught.value)


def test_backends_never_see_the_nodes_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELFERRY_NODE_TOKEN", "pfk_token")
    assert "pfk_token" not in usage_environment().values()
