from __future__ import annotations

from pathlib import Path

import pytest

from broker.configuration import ConfigurationError
from broker.listening import ListenAddress
from broker.settings import BrokerSettings, LogFormat, RoutesShape, load
from broker.up import UpSettings
from signaling.routes import PortRange


@pytest.fixture(autouse=True)
def no_settings_of_this_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("PIXELFERRY_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pixelferry.toml"


def test_nothing_need_be_set() -> None:
    settings = load(UpSettings, {}, None)
    assert settings.listen is None and not settings.insecure_no_identity
    assert (settings.backend_ports, settings.relay.ports) == (PortRange(47000, 47999), "31000-31999")


def test_the_command_line_is_over_the_environment_is_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(
        'listen = "127.0.0.1:1"\nlog_format = "json"\nstop_s = 3\n[relay]\ncapacity = 3\nports = "31000-31010"\n'
    )
    monkeypatch.setenv("PIXELFERRY_LISTEN", "127.0.0.1:2")
    monkeypatch.setenv("PIXELFERRY_STOP_S", "4")
    monkeypatch.setenv("PIXELFERRY_RELAY__CAPACITY", "4")
    settings = load(UpSettings, {"listen": "[::1]:3"}, file)
    assert settings.listen == ListenAddress("::1", 3)
    assert (settings.log_format, settings.stop_s) == (LogFormat.JSON, 4)
    assert (settings.relay.capacity, settings.relay.ports) == (4, "31000-31010")


def test_lists_are_written_with_commas_in_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELFERRY_NAMES", "Ferry.Example, [::0001]")
    monkeypatch.setenv("PIXELFERRY_TRUSTED_PROXIES", "10.0.0.0/8,::1")
    monkeypatch.setenv("PIXELFERRY_BACKEND_PORTS", "40000-40010")
    monkeypatch.setenv("PIXELFERRY_INSECURE_NO_IDENTITY", "true")
    monkeypatch.setenv("PIXELFERRY_ROUTES_SHAPE", "nested")
    settings = load(BrokerSettings, {}, None)
    assert settings.names == ("ferry.example", "::1")
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1/128")
    assert settings.backend_ports == PortRange(40000, 40010)
    assert settings.insecure_no_identity and settings.routes_shape is RoutesShape.NESTED


def test_an_empty_variable_is_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELFERRY_LISTEN", "")
    assert load(BrokerSettings, {}, None).listen is None


def test_variables_of_others_are_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELFERRY_RELAY_PORT", "tcp://10.0.0.1:8080")
    monkeypatch.setenv("PIXELFERRY_CONFIG", "/etc/pixelferry.toml")
    load(UpSettings, {}, None)


JWT = '[identity.jwt]\nissuer = "a"\naudience = "b"\n'


@pytest.mark.parametrize(
    ("text", "key", "mend"),
    [
        ("lisen = 1", "lisen", "did you mean 'listen'"),
        ("listen = 8080", "listen", "write host:port"),
        ('listen = "localhost"', "listen", "write host:port"),
        ('listen = "127.0.0.1:65536"', "listen", "write host:port"),
        ('names = ["http://a"]', "names.0", "without scheme"),
        ("names = 4", "names", "must be a list"),
        ('trusted_proxies = ["10.0.0.1/8"]', "trusted_proxies.0", "10.0.0.0/8"),
        ('routes_shape = "round"', "routes_shape", "'nested'"),
        ('cors_origins = ["portal.example"]', "cors_origins.0", "such as https://portal.example.com"),
        ('metrics_from = "all"', "metrics_from.0", "no network"),
        ("[identity]\njwtt = 1", "identity.jwtt", "did you mean 'jwt'"),
        ('[identity.jwt]\nissuer = "a"\naudience = "b"', "identity.jwt.jwks", "is missing"),
        (JWT + 'jwks = "http://a/certs"', "identity.jwt.jwks", "begins with https://"),
        (JWT + 'jwks = "https://u:p@a/certs"', "identity.jwt.jwks", "holds no password"),
        (JWT + 'jwks = "/nowhere.json"', "identity.jwt.jwks", "no file /nowhere.json"),
        (JWT + 'jwks = "https://a/"\nalgorithms = "HS256"', "identity.jwt.algorithms.0", "'RS256'"),
        (JWT + 'jwks = "https://a/"\nalgorithms = ["none"]', "identity.jwt.algorithms.0", "'RS256'"),
        (JWT + 'jwks = "https://a/"\nadmin_values = ["a"]', "identity.jwt", "role_claim: name one"),
        (JWT + 'jwks = "https://a/"\nowner_claim = ""', "identity.jwt.owner_claim", "is no claim"),
        ('[identity.keys.ci]\nsha256 = "pfk_x"', "identity.keys.ci.sha256", "pixelferry key new"),
        ('[identity]\nkeys_file = "/nowhere.toml"', "identity.keys_file", "no file /nowhere.toml"),
        ("[identity.gateway]", "identity.gateway", "name the gateway in trusted_proxies"),
        ('[identity.gateway]\nuser_header = "Cookie"', "identity.gateway.user_header", "another header"),
        ('[identity.gateway]\nuser_header = "a b"', "identity.gateway.user_header", "no name of a header"),
        ('[identity.gateway]\nadmin_values = "a"', "identity.gateway", "role_header: name one"),
        ("[admission]\ntoken_s = 7200\nrotate_s = 7200", "admission", "two minutes"),
        ('[admission]\nsecret_file = "/nowhere"', "admission.secret_file", "no file /nowhere"),
        ('frame_ancestors = "a; script-src *"', "frame_ancestors", "pattern"),
        ('catalog = "/nowhere.toml"', "catalog", "no file /nowhere.toml"),
        ('usd_root = "/nowhere"', "usd_root", "no folder /nowhere"),
        ("usd_root = 3", "usd_root", "path"),
        ('backend_host = "localhost"', "backend_host", "127.0.0.2"),
        ('backend_ports = "9-3"', "backend_ports", "lo < hi"),
        ("backend_ports = 47000", "backend_ports", "47000-47999"),
        ("stop_s = 0", "stop_s", "greater than 0"),
        ("wait_max_s = nan", "wait_max_s", ""),
        ('insecure_no_identity = "perhaps"', "insecure_no_identity", "true or false"),
        ('log_level = "loud"', "log_level", "'debug'"),
        ("relay = 3", "relay", "must be a table"),
        ('[relay]\nhots = "::1"', "relay.hots", "did you mean 'host'"),
        ('[relay]\nports = "x"', "relay.ports", "31000-31999"),
        ('[relay]\nhost = "0.0.0.0"', "relay", "advertised_host"),
    ],
)
def test_a_fault_in_the_file_is_told_by_file_key_and_mend(file: Path, text: str, key: str, mend: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load(UpSettings, {}, file)
    assert str(refused.value).startswith(f"{file}: {key}: ")
    assert mend in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PIXELFERRY_LISTEN", "x"),
        ("PIXELFERRY_BACKEND_PORTS", "x"),
        ("PIXELFERRY_STOP_S", "x"),
        ("PIXELFERRY_RELAY__PORTS", "x"),
        ("PIXELFERRY_RELAY__HOTS", "x"),
        ("PIXELFERRY_RELAY", "x"),
    ],
)
def test_a_fault_in_the_environment_is_told_by_variable(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    file.write_text("")
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as refused:
        load(UpSettings, {}, file)
    assert str(refused.value).startswith(f"environment: {name}: ")


def test_a_fault_on_the_command_line_is_told_by_option(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('listen = "127.0.0.1:1"')
    monkeypatch.setenv("PIXELFERRY_LISTEN", "127.0.0.1:2")
    with pytest.raises(ConfigurationError, match=r"^command line: --listen: 'x' is no address"):
        load(UpSettings, {"listen": "x"}, file)


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(UpSettings, {}, file)
