from __future__ import annotations

import re
from pathlib import Path

import pytest

from broker.environment import strange_variables
from broker.up import UpSettings

STREAMER = Path(__file__).parents[2] / "streamer"


def warnings(*names: str) -> list[str]:
    return list(strange_variables(UpSettings, names))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PIXELFERRY_LISTN", "PIXELFERRY_LISTEN"),
        ("PIXELFERRY_EDIT_APPLICATION", "PIXELFERRY_EDIT_APPLICATIONS"),
        ("PIXELFERRY_RELAY_HOST", "PIXELFERRY_RELAY__HOST"),
        ("PIXELFERRY_IDENTITY__GATEWAY__USERHEADER", "PIXELFERRY_IDENTITY__GATEWAY__USER_HEADER"),
        ("PIXELFERRY_CONFI", "PIXELFERRY_CONFIG"),
        ("PIXELFERRY_RELAY_PORTS", "PIXELFERRY_RELAY__PORTS"),
        ("pixelferry_listn", "PIXELFERRY_LISTEN"),
    ],
)
def test_a_slip_of_the_pen_is_told_with_what_may_be_meant(name: str, meant: str) -> None:
    assert warnings(name, "PATH", "HOME") == [f"{name} is no setting and is not read; did you mean {meant}?"]


def test_what_is_near_to_nothing_is_told_all_the_same() -> None:
    assert warnings("PIXELFERRY_QWERTZUIOP") == ["PIXELFERRY_QWERTZUIOP is no setting and is not read"]


@pytest.mark.parametrize(
    "name",
    [
        "PIXELFERRY_LISTEN",
        "PIXELFERRY_RELAY__PORTS",
        "PIXELFERRY_IDENTITY",
        "PIXELFERRY_IDENTITY__KEYS__CI",
        "PIXELFERRY_IDENTITY__JWT__JWKS",
        "PIXELFERRY_CONFIG",
        "PIXELFERRY_TOKEN",
        "PIXELFERRY_URL",
        "PATH",
        "XPIXELFERRY_LISTN",
    ],
)
def test_what_is_read_is_let_be(name: str) -> None:
    assert warnings(name) == []


def test_what_streaming_backends_read_is_let_be() -> None:
    text = "".join(file.read_text() for file in STREAMER.rglob("*.py"))
    names = sorted(set(re.findall(r"\bPIXELFERRY_[A-Z][A-Z_]*\b", text)))
    assert len(names) > 8
    assert warnings(*names) == []
