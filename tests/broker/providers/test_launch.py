from pathlib import Path

from broker.providers.base import LaunchOrder
from broker.providers.launch import environment_of, filled, placeholders, secrets_in
from broker.providers.ports import BackendPorts
from tests.broker.samples import make_profile

PORTS = BackendPorts(47000, 47001, 47002)


def test_placeholders_are_filled_in_one_pass_and_other_braces_stay() -> None:
    values = {"application": "{version}", "version": "1.0.0"}
    assert filled("{application} {version} {other} ${HOME} {}", values) == "{version} 1.0.0 {other} ${HOME} {}"


def test_a_command_may_name_what_is_launched_and_where_it_shall_listen() -> None:
    order = LaunchOrder(make_profile(), "usd-viewer", "1.0.0", {})
    template = "{application} {version} {profile} {backend_host} {signaling_port} {media_port} {control_port}"
    expected = "usd-viewer 1.0.0 default 127.0.0.2 47000 47001 47002"
    values = placeholders(order, "127.0.0.2", PORTS)
    assert filled(template, values) == expected
    document = Path(__file__).parents[3].joinpath("docs", "profiles.md").read_text()
    assert all(f"`{{{name}}}`" in document for name in values)


def test_a_profile_cannot_change_what_the_protocol_fixes() -> None:
    profile = make_profile(environment={"PIXELFERRY_MEDIA_PORT": "1", "PATH": "/only/here"})
    environment = environment_of(LaunchOrder(profile, "a", "1", {}), "127.0.0.2", PORTS, "token", {})
    assert environment["PIXELFERRY_MEDIA_PORT"] == "47001"
    assert environment["PATH"] == "/only/here"


def test_arguments_reach_plain_backends_only() -> None:
    arguments = {"stage-uri": "a"}
    ours = environment_of(LaunchOrder(make_profile(), "a", "1", arguments), "127.0.0.2", PORTS, "token", {})
    foreign = environment_of(
        LaunchOrder(make_profile(protocol="plain"), "a", "1", arguments), "127.0.0.2", PORTS, "token", {}
    )
    assert "PIXELFERRY_ARG_STAGE_URI" not in ours
    assert foreign["PIXELFERRY_ARG_STAGE_URI"] == "a"


def test_locale_and_home_are_inherited_and_little_else() -> None:
    own = {"HOME": "/home/me", "LC_ALL": "C.UTF-8", "PYTHONPATH": "/mine", "PIXELFERRY_TOKEN": "hush"}
    environment = environment_of(LaunchOrder(make_profile(), "a", "1", {}), "127.0.0.2", PORTS, "token", own)
    assert (environment["HOME"], environment["LC_ALL"]) == ("/home/me", "C.UTF-8")
    assert not {"PYTHONPATH", "PIXELFERRY_TOKEN"} & environment.keys()


def test_secrets_are_told_by_the_names_of_their_variables() -> None:
    secret = {"API_KEY": "k-123", "db_password": "hush\nhush!", "PIXELFERRY_CONTROL_TOKEN": "t-456"}
    known = {"KEYBOARD": "german", "MONKEY": "banana", "KEY": "abc", "PATH": "/usr/bin"}
    assert sorted(secrets_in(known | secret)) == ["hush", "hush!", "k-123", "t-456"]
