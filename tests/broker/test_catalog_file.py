from __future__ import annotations

import re
from pathlib import Path

import pytest

from broker.catalog_file import load_catalog
from broker.configuration import ConfigurationError
from broker.core.catalog import Clocks
from signaling.routes import Admission, SignalingKind

DOCUMENT = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text()
WHOLE = """
[applications.app]
name = "App"
description = "An application"
tags = ["a", "b"]
default_version = "1.0.0"
default_profile = "special"

[applications.app.versions."1.0.0"]
container = "registry.example/app"
container_version = "1.0.0"
helm_chart = "app"
helm_chart_version = "3"

[applications.app.versions."2.0.0-rc.1"]

[profiles.special]
name = "Special"
description = "A profile"
applications = [{ id = "app", versions = ["1.0.0"] }, {}]
provider = "process"
command = ["run", "{application}", "{signaling_port}"]
protocol = "plain"
signaling = "opaque"
admission = "address"
slots = 3
queue = 4
ready_url = "http://{backend_host}:{control_port}/health"
environment = { DISPLAY = ":0" }
arguments = { stage = '[a-z]+', "other-one" = ".*" }

[profiles.special.clocks]
placement_s = 1
start_s = 2.5
first_connection_s = 3
reconnect_grace_s = 4
idle_s = 5
max_length_s = 6
max_stopped_s = 0
at_max_length = "end"
warn_s = 7
extend_s = 8
extend_most_s = 9
"""
LEAST = """
[applications.app.versions."1.0.0"]
[profiles.default]
applications = [{ id = "app" }]
command = ["run"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.toml"


def test_every_key_is_read(file: Path) -> None:
    file.write_text(WHOLE)
    catalog = load_catalog(file)
    resolved = catalog.resolve("app", "latest", "default")
    application, version, profile = resolved.application, resolved.version, resolved.profile
    assert (application.id, application.name, application.tags) == ("app", "App", ("a", "b"))
    assert (version.version, version.container, version.helm_chart_version) == ("1.0.0", "registry.example/app", "3")
    assert (profile.id, profile.name, profile.description) == ("special", "Special", "A profile")
    assert profile.command == ("run", "{application}", "{signaling_port}")
    assert (profile.protocol, profile.signaling, profile.admission, profile.slots) == (
        "plain",
        SignalingKind.OPAQUE,
        Admission.ADDRESS,
        3,
    )
    assert profile.queue == 4
    assert profile.ready_url == "http://{backend_host}:{control_port}/health"
    assert (profile.environment, profile.arguments) == ({"DISPLAY": ":0"}, {"stage": "[a-z]+", "other-one": ".*"})
    assert profile.clocks == Clocks(1, 2.5, 3, 4, 5, 6, 0, "end", 7, 8, 9)


def test_little_need_be_written(file: Path) -> None:
    file.write_text(LEAST)
    resolved = load_catalog(file).resolve("app", None, None)
    assert (resolved.application.name, resolved.profile.name) == ("app", "default")
    assert (resolved.profile.protocol, resolved.profile.signaling) == ("pixelferry", SignalingKind.READABLE)
    assert (resolved.profile.slots, resolved.profile.arguments, resolved.profile.clocks) == (1, {}, Clocks())


@pytest.mark.parametrize("application", ["test-pattern", "usd-viewer"])
def test_the_catalog_that_ships_has_both_applications(application: str) -> None:
    resolved = load_catalog().resolve(application, "latest", "default")
    assert resolved.profile.command == ("pixelferry", "streamer", "{application}")
    stage = {"usd_stage_uri": "a folder/größe.usd"}
    assert resolved.profile.check_arguments(stage) == stage
    assert resolved.application.name and resolved.application.description and resolved.application.tags


@pytest.mark.parametrize(
    ("old", "new", "key", "mend"),
    [
        ('command = ["run"]', "", "profiles.default.command", "add it"),
        ('command = ["run"]', 'command = "run"', "profiles.default.command", "list"),
        ('command = ["run"]', "command = []", "profiles.default.command", "at least 1"),
        ('command = ["run"]', 'command = [""]', "profiles.default.command.0", "at least 1"),
        ('command = ["run"]', 'command = ["a\\u0000"]', "profiles.default.command.0", "NUL"),
        ('command = ["run"]', 'comand = ["run"]', "profiles.default.comand", "did you mean 'command'"),
        ('command = ["run"]', "", "profiles.default.command", "is missing: add it"),
        ("[profiles.default]", '[profiles.default]\nzones = ["hall-1"]', "profiles.default.zones", "'static'"),
        ("[profiles.default]", '[profiles.default]\nlabels = {gpu = "a"}', "profiles.default.labels", "'static'"),
        ("[profiles.default]", '[profiles.default]\nprovider = "static"', "profiles.default.command", "leave it out"),
        (
            'command = ["run"]',
            'provider = "static"\nprotocol = "plain"',
            "profiles.default.protocol",
            "cannot be given a session",
        ),
        ("[profiles.default]", '[profiles.default]\nlabels = {"a b" = "c"}', "profiles.default.labels.a b", "pattern"),
        ("[profiles.default]", "[profiles.default]\nslot = 1", "profiles.default.slot", "did you mean 'slots'"),
        ("[profiles.default]", "[profiles.default]\nslots = 0", "profiles.default.slots", "greater than or equal to 1"),
        ("[profiles.default]", '[profiles.default]\nslots = "2"', "profiles.default.slots", "whole number"),
        ("[profiles.default]", '[profiles.default]\nprovider = "kube"', "profiles.default.provider", "'process'"),
        ("[profiles.default]", '[profiles.default]\nsignaling = "x"', "profiles.default.signaling", "'opaque'"),
        ("[profiles.default]", '[profiles.default]\nadmission = "tokn"', "profiles.default.admission", "'session-id'"),
        ("[profiles.default]", '[profiles.default]\nready_url = "ftp://a"', "profiles.default.ready_url", "pattern"),
        ("[profiles.default]", '[profiles.default]\nready_url = "http://a"', "profiles.default.ready_url", "'plain'"),
        ("[profiles.default]", "[profiles.default]\nclocks = 3", "profiles.default.clocks", "table"),
        ("[profiles.default]", "[profiles.default]\nclocks = {idle_s = 0}", "profiles.default.clocks.idle_s", "than 0"),
        ("[profiles.default]", "[profiles.default]\nclocks = {idle_s = nan}", "profiles.default.clocks.idle_s", ""),
        ("[profiles.default]", "[profiles.default]\narguments = {a = '('}", "profiles.default.arguments.a", "regular"),
        (
            "[profiles.default]",
            '[profiles.default]\narguments = {"a b" = ""}',
            "profiles.default.arguments.a b",
            "no id",
        ),
        (
            "[profiles.default]",
            "[profiles.default]\narguments = {a-b = '', a_b = ''}",
            "profiles.default.arguments.a-b",
            "rename",
        ),
        (
            "[profiles.default]",
            '[profiles.default]\nenvironment = {"A=B" = ""}',
            "profiles.default.environment.A=B",
            "letters",
        ),
        (
            "[profiles.default]",
            '[profiles.default]\nenvironment = {PIXELFERRY_CONTROL_TOKEN = "x"}',
            "profiles.default.environment.PIXELFERRY_CONTROL_TOKEN",
            "another name",
        ),
        ("[profiles.default]", '[profiles."a b"]', "profiles.a b", "letter"),
        ("[profiles.default]", "[profile.default]", "profiles", "add it"),
        ('{ id = "app" }', '{ id = "ap" }', "profiles.default.applications.0.id", "name one of app"),
        (
            '{ id = "app" }',
            '{ id = "app", versions = ["1.0.0", "2.0.0"] }',
            "profiles.default.applications.0.versions",
            "'2.0.0'",
        ),
        ('{ id = "app" }', '{ versions = ["3.0.0"] }', "profiles.default.applications.0.versions", "'*' for all"),
        ('{ id = "app" }', '{ id = "a p" }', "profiles.default.applications.0.id", "no id"),
        ('{ id = "app" }', '{ name = "app" }', "profiles.default.applications.0.name", "known are id, versions"),
        ('"1.0.0"', '"1.0"', 'applications.app.versions."1.0"', "1.0.0"),
        ('[applications.app.versions."1.0.0"]', "[applications.app]", "applications.app.versions", "add it"),
        (
            'command = ["run"]',
            'command = ["run"]\n[profiles.default.clocks]\nat_max_length = "stop"\nmax_stopped_s = 0',
            "profiles.default.clocks.at_max_length",
            "change one of the two",
        ),
        (
            'command = ["run"]',
            'command = ["run"]\n[profiles.default.clocks]\nextend_most_s = 60',
            "profiles.default.clocks.extend_most_s",
            "set extend_s too",
        ),
        (
            "[profiles.default]",
            '[applications.app]\ndefault_version = "2.0.0"\n[profiles.default]',
            "applications.app.default_version",
            "name one of 1.0.0",
        ),
        (
            "[profiles.default]",
            '[applications.app]\ndefault_profile = "fast"\n[profiles.default]',
            "applications.app.default_profile",
            "name one that does",
        ),
    ],
)
def test_a_fault_is_told_by_file_key_and_mend(file: Path, old: str, new: str, key: str, mend: str) -> None:
    assert old in LEAST
    file.write_text(LEAST.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as refused:
        load_catalog(file)
    text = str(refused.value)
    assert text.startswith(f"{file}: {key}: ")
    assert mend in text and "\n" not in text


@pytest.mark.parametrize(("content", "mend"), [(b"a = ", "not TOML"), (b"\xff", "UTF-8"), (b"", "add it")])
def test_a_file_that_cannot_be_read_is_named(file: Path, content: bytes, mend: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=mend) as refused:
        load_catalog(file)
    assert str(file) in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_catalog(file)


def test_every_key_is_explained_in_the_documents() -> None:
    keys = [line.split("=")[0].strip(' "') for line in WHOLE.splitlines() if "=" in line]
    assert len(keys) > 20
    for key in keys:
        assert f"`{key}`" in DOCUMENT, key


def test_every_catalog_in_the_documents_is_one(file: Path) -> None:
    catalogs = [block for block in re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL) if "[applications." in block]
    assert len(catalogs) >= 2
    for catalog in catalogs:
        file.write_text(catalog)
        load_catalog(file)


def test_a_profile_that_names_no_admission_gets_the_usual_one(file: Path) -> None:
    file.write_text(LEAST)
    for admission in Admission:
        assert load_catalog(file, admission=admission).profiles["default"].admission is admission
    file.write_text(LEAST.replace("[profiles.default]", '[profiles.default]\nadmission = "session-id"', 1))
    assert load_catalog(file, admission=Admission.TOKEN).profiles["default"].admission is Admission.SESSION_ID


def test_a_profile_of_nodes_says_which(tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(
        """
        [applications.a.versions."1.0.0"]
        [profiles.default]
        applications = [{}]
        provider = "static"
        labels = { gpu = "l40s", "example.com/rack" = "7" }
        zones = ["hall-1"]
        """
    )
    profile = load_catalog(path).profiles["default"]
    assert profile.on_nodes
    assert (profile.labels, profile.zones) == ({"gpu": "l40s", "example.com/rack": "7"}, ("hall-1",))
