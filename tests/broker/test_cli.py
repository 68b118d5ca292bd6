"""The command line, as processes of their own. What streams is tested in tests/system."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from broker.cli import main
from broker.identity.keys import digest_of
from tests.system.ferry import Ferry, eventually, running_ferry

BACKEND = Path(__file__).parent / "providers" / "backend.py"


@pytest.fixture(autouse=True)
def no_settings_of_this_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIXELFERRY_")]:
        monkeypatch.delenv(name)


def pixelferry(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "broker.cli", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def assert_one_line(done: subprocess.CompletedProcess[str], status: int, *told: str) -> None:
    assert done.returncode == status, done
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1, done.stderr
    assert all(part in done.stderr for part in told), done.stderr


def catalog_with(folder: Path, *arguments: str, protocol: str = "pixelferry") -> Path:
    file = folder / "catalog.toml"
    command = json.dumps([sys.executable, str(BACKEND), *arguments])
    file.write_text(
        f'[applications.app.versions."1.0.0"]\n[profiles.default]\napplications = [{{}}]\ncommand = {command}\n'
        f'protocol = "{protocol}"\n'
    )
    return file


def test_it_says_its_version_and_what_it_can() -> None:
    assert re.fullmatch(r"pixelferry \d+\.\d+\.\d+\S*\n", pixelferry("--version").stdout)
    told = pixelferry("--help").stdout
    assert all(command in told for command in ("up", "broker", "relay", "streamer"))
    told = pixelferry("up", "--help").stdout
    assert all(option in told for option in ("--listen", "--catalog", "--config", "--usd-root", "PIXELFERRY_"))


def test_without_a_command_it_says_how_it_is_used() -> None:
    done = pixelferry()
    assert done.returncode == 2 and "usage: pixelferry" in done.stderr


CATALOG = """
[applications.a]
name = "A"
default_version = "1.0.0"
[applications.a.versions."1.0.0"]
[profiles.p]
name = "P"
applications = [{ id = "a" }]
command = ["true"]
"""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "redis.url: is missing: name the Redis that brokers share by --redis"),
        (("--redis", "http://x"), "command line: --redis: must begin with redis://"),
        (("--redis", "redis://x"), "catalog: is missing: name one whose profiles are for nodes. `pixelferry broker`"),
        (("--redis", "redis://x", "--catalog", "{catalog}"), "profiles.p.provider: is 'process'. `pixelferry broker`"),
    ],
)
def test_a_broker_alone_says_what_it_lacks(
    arguments: tuple[str, ...], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(CATALOG)
    status = main(["broker", *(one.format(catalog=catalog) for one in arguments)])
    told = capsys.readouterr().err
    assert (status, len(told.splitlines())) == (2, 1)
    assert complaint in told


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "redis.url: is missing: name the brokers' Redis by --redis"),
        (("--redis", "http://x"), "--redis: must begin with redis://"),
        (("--redis", "redis://x", "--ports", "31000"), "--ports: must be two ports such as 31000-31999"),
        (("--redis", "redis://x", "--workers", "9", "--ports", "31000-31015"), "too few for 9 workers: each needs two"),
        (("--redis", "redis://x", "--host", "192.0.2.1"), "192.0.2.1 is no address of this machine"),
        (("--redis", "redis://x", "--worker", "2/1"), "--worker: is for the command's own use"),
        (("--redis", "redis://x", "--zone", "z" * 64), "--zone: "),
    ],
)
def test_a_relay_that_is_set_up_wrongly_says_so(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(("relay", *arguments)) == 2
    assert complaint in capsys.readouterr().err


def test_a_command_imports_only_what_it_runs() -> None:
    code = (
        "import sys, broker.cli\n"
        "try: broker.cli.main(['streamer', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'aiohttp', 'pydantic', 'broker.app', 'vtkmodules'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert "usage: pixelferry streamer" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        (["--listen", "8080"], {}, ["--listen", "host:port"]),
        ([], {"PIXELFERRY_LISTEN": "8080"}, ["PIXELFERRY_LISTEN", "host:port"]),
        ([], {"PIXELFERRY_RELAY__PORTS": "1"}, ["PIXELFERRY_RELAY__PORTS", "31000-31999"]),
        (["--config", "/nowhere.toml"], {}, ["/nowhere.toml"]),
        ([], {"PIXELFERRY_CONFIG": "/nowhere.toml"}, ["/nowhere.toml"]),
        (["--catalog", "/nowhere.toml"], {}, ["--catalog", "/nowhere.toml"]),
        (["--usd-root", "/nowhere"], {}, ["--usd-root", "/nowhere"]),
        (["--listen", "0.0.0.0:0"], {}, ["listen", "0.0.0.0", "--insecure-no-identity"]),
        (["--listen", "[::]:0"], {}, ["listen", "--insecure-no-identity"]),
        ([], {"PIXELFERRY_BACKEND_HOST": "192.0.2.1"}, ["backend_host", "192.0.2.1", "no address of this machine"]),
        ([], {"PIXELFERRY_RELAY__HOST": "192.0.2.1"}, ["relay.host", "192.0.2.1", "no address of this machine"]),
        ([], {"PIXELFERRY_RELAY__UPSTREAM_HOST": "192.0.2.1"}, ["relay.upstream_host", "192.0.2.1"]),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(
    arguments: list[str], environment: dict[str, str], told: list[str]
) -> None:
    assert_one_line(pixelferry("up", *arguments, **environment), 2, *told)


def test_a_wrong_key_in_the_file_stops_the_start_with_one_line(tmp_path: Path) -> None:
    config = tmp_path / "pixelferry.toml"
    config.write_text('[relay]\nprots = "31000-31999"\n')
    assert_one_line(pixelferry("up", "--config", str(config)), 2, str(config), "relay.prots", "'ports'")


@pytest.mark.parametrize(
    "setting", ["IDENTITY__KEYS_FILE", "ADMISSION__SECRET_FILE", "IDENTITY__JWT__CA_FILE", "IDENTITY__JWT__JWKS"]
)
def test_a_wrong_file_of_secrets_stops_the_start_and_is_not_repeated(tmp_path: Path, setting: str) -> None:
    file = tmp_path / "secrets"
    file.write_text("hush")
    jwt = {"JWKS": "https://127.0.0.1:1/", "ISSUER": "https://issuer.example", "AUDIENCE": "ferry"}
    environment = {f"PIXELFERRY_IDENTITY__JWT__{name}": value for name, value in jwt.items()}
    environment[f"PIXELFERRY_{setting}"] = str(file)
    stopped = pixelferry("up", "--listen", "127.0.0.1:0", **environment)
    assert_one_line(stopped, 2, str(file))
    assert "hush" not in stopped.stderr + stopped.stdout


def test_the_request_that_is_shown_is_one_that_the_catalog_serves(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.toml"
    command = json.dumps([sys.executable, str(BACKEND)])
    catalog.write_text(
        f'[applications.app.versions."1.0.0"]\n[profiles.fast]\napplications = [{{}}]\ncommand = {command}\n'
    )
    with running_ferry(tmp_path / "run", "--listen", "127.0.0.1:0", "--catalog", str(catalog)) as ferry:
        shown = re.search(r"-d '(.*)'", eventually(ferry.log, within_s=5, what="the request"))
        assert shown is not None
        assert ferry.call("POST", "/stream", json.loads(shown[1])).status in (200, 202)


def test_a_port_that_was_named_and_is_taken_is_one_line_and_another_status() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert_one_line(pixelferry("up", "--listen", address), 1, address, "--listen")


@pytest.fixture
def listening_everywhere(tmp_path: Path) -> Iterator[Ferry]:
    arguments = ("--listen", "0.0.0.0:0", "--insecure-no-identity", "--catalog", str(catalog_with(tmp_path)))
    with running_ferry(tmp_path / "ferry", *arguments) as ferry:
        yield ferry


def test_other_machines_are_let_in_only_when_that_is_accepted(listening_everywhere: Ferry) -> None:
    assert listening_everywhere.call("GET", "/healthz").status == 200
    assert "cannot reach the relay" in listening_everywhere.log()


def test_with_identity_other_machines_are_let_in_but_nobody_unknown(tmp_path: Path) -> None:
    keys = json.dumps({"ann": {"sha256": digest_of("pfk_ann")}})
    options = ("--listen", "0.0.0.0:0", "--catalog", str(catalog_with(tmp_path)))
    with running_ferry(tmp_path / "ferry", *options, environment={"PIXELFERRY_IDENTITY__KEYS": keys}) as ferry:
        assert ferry.call("GET", "/stream").status == 401
        assert ferry.call("GET", "/stream", headers={"Authorization": "Bearer pfk_ann"}).status == 200
        assert ferry.call("GET", "/").status == 200


def test_settings_reach_backends_and_logs_come_as_json(tmp_path: Path) -> None:
    environment, root = tmp_path / "environment.json", tmp_path / "stages"
    root.mkdir()
    catalog = catalog_with(tmp_path, "--environment", str(environment))
    options = ("--catalog", str(catalog), "--usd-root", str(root), "--log-format", "json")
    with running_ferry(tmp_path / "ferry", *options, environment={"PIXELFERRY_LOG_LEVEL": "info"}) as ferry:
        ferry.start_session("app")
        lines = [line for line in ferry.log().splitlines() if line.startswith("{")]
    assert json.loads(environment.read_text())["PIXELFERRY_USD_ROOT"] == str(root)
    assert {"broker.sessions", "broker.session_log"} <= {json.loads(line)["logger"] for line in lines}


def test_a_second_signal_forces_the_end(tmp_path: Path) -> None:
    catalog = catalog_with(tmp_path, "--deaf", "--plain", protocol="plain")
    config = tmp_path / "pixelferry.toml"
    config.write_text("stop_s = 60\n")
    with running_ferry(tmp_path / "ferry", "--catalog", str(catalog), "--config", str(config)) as ferry:
        ferry.start_session("app")
        left = ferry.descendants()
        ferry.process.send_signal(signal.SIGTERM)
        eventually(lambda: "once more" in ferry.log(), within_s=10, what="the first signal's echo")
        ferry.process.send_signal(signal.SIGTERM)
        assert ferry.process.wait(timeout=10) == 130
        assert not [process for process in left if psutil.pid_exists(process.pid)]
