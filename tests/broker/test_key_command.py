from __future__ import annotations

import tomllib

import pytest

from broker.cli import main
from broker.core.principal import Principal, Role
from broker.identity.keys import ApiKeys
from broker.identity_settings import IdentitySettings


@pytest.mark.parametrize(
    ("options", "principal"),
    [
        ([], Principal("ci-bot", Role.USER, "ci-bot")),
        (["--role", "admin"], Principal("ci-bot", Role.ADMIN, "ci-bot")),
        (["--owner", "ann@example.com"], Principal("ann@example.com", Role.USER, "ann@example.com")),
    ],
)
def test_the_printed_line_accepts_the_printed_key(
    capsys: pytest.CaptureFixture[str], options: list[str], principal: Principal
) -> None:
    assert main(["key", "new", "ci-bot", *options]) == 0
    printed = capsys.readouterr()
    key, line = printed.out.strip(), printed.err.strip().splitlines()[-1]
    settings = IdentitySettings.model_validate({"keys": tomllib.loads(line)})
    assert ApiKeys(settings.keys).principal(key) == principal
    assert key not in printed.err


def test_each_key_is_another(capsys: pytest.CaptureFixture[str]) -> None:
    main(["key", "new", "a"])
    main(["key", "new", "a"])
    assert len(set(capsys.readouterr().out.split())) == 2


@pytest.mark.parametrize(
    "arguments", [["key"], ["key", "new"], ["key", "new", 'a"b'], ["key", "new", "a", "--role", "god"]]
)
def test_what_cannot_be_is_said(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""
