from __future__ import annotations

from pathlib import Path

import pytest

from broker.configuration import ConfigurationError
from broker.core.principal import Principal, Role
from broker.identity.access_keys import access_keys
from broker.settings import BrokerSettings, load

SECRET = "a-secret-of-some-length"


def settings_of(folder: Path, text: str) -> BrokerSettings:
    config = folder / "pixelferry.toml"
    config.write_text(text)
    return load(BrokerSettings, {}, config)


def test_keys_come_from_the_settings_and_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"  {SECRET}\n")
    (tmp_path / "keys.toml").write_text(f'[AKIDBOB]\nsecret = "{SECRET}"\nowner = "bob"\nrole = "admin"\n')
    settings = settings_of(
        tmp_path,
        f'nimble.access_keys_file = "{tmp_path}/keys.toml"\n[nimble.access_keys.AKIDALICE]\n'
        f'secret_file = "{tmp_path}/secret"\n',
    )
    keys = access_keys(settings.nimble)
    assert {key_id: key.secret for key_id, key in keys.items()} == {"AKIDALICE": SECRET, "AKIDBOB": SECRET}
    assert keys["AKIDALICE"].principal == Principal("AKIDALICE", Role.USER, "AKIDALICE")
    assert keys["AKIDBOB"].principal == Principal("bob", Role.ADMIN, "bob")
    assert SECRET not in repr(keys) and SECRET not in repr(settings)


def test_keys_come_from_the_environment_with_their_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELFERRY_NIMBLE__ACCESS_KEYS", f'{{"AKIDalice": {{"secret": "{SECRET}"}}}}')
    assert set(access_keys(load(BrokerSettings, {}, None).nimble)) == {"AKIDalice"}


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ('[nimble.access_keys.AKIDALICE]\nsecret = "short"', "16 characters or more"),
        ("[nimble.access_keys.AKIDALICE]", "either secret or secret_file"),
        (f'[nimble.access_keys.AKIDALICE]\nsecret = "{SECRET}"\nsecret_file = "/dev/null"', "there is no file"),
        (f'[nimble.access_keys."a b"]\nsecret = "{SECRET}"', "no access key id"),
        (f'[nimble.access_keys.AKIDALICE]\nsecret = "{SECRET}"\nrole = "king"', "role"),
        ('[nimble]\nstudios = ["a/b"]', "no studio id"),
        ('[nimble]\ninstance_types = ["A B"]', "no instance type"),
        ('public_url = "ferry.example"', "no address of a page"),
        ('public_url = "https://ferry.example/?a=b"', "no address of a page"),
    ],
)
def test_what_is_written_wrongly_stops_the_start_and_tells_no_secret(tmp_path: Path, key: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as told:
        settings_of(tmp_path, key)
    assert SECRET not in str(told.value)


@pytest.mark.parametrize("content", [b"short", b"\xff\xfe" * 20])
def test_a_secret_that_is_none_is_told_by_its_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    settings = settings_of(tmp_path, f'[nimble.access_keys.AKIDALICE]\nsecret_file = "{tmp_path}/secret"')
    with pytest.raises(ConfigurationError, match=r"secret: AKIDALICE"):
        access_keys(settings.nimble)


@pytest.mark.parametrize("text", ["", '[AKIDALICE]\nsecret = "short"\n', "[AKIDALICE]\nsecrets = 1\n", "nope"])
def test_a_file_of_keys_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys.toml").write_text(text)
    settings = settings_of(tmp_path, f'[nimble]\naccess_keys_file = "{tmp_path}/keys.toml"')
    with pytest.raises(ConfigurationError, match=r"keys\.toml"):
        access_keys(settings.nimble)


@pytest.mark.parametrize("address", ["https://ferry.example", "http://127.0.0.1:8080/", "https://[::1]:1/a/b-c/"])
def test_a_pages_address_is_kept_without_its_last_slash(tmp_path: Path, address: str) -> None:
    assert settings_of(tmp_path, f'public_url = "{address}"').public_url == address.rstrip("/")
