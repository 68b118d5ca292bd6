from __future__ import annotations

from pathlib import Path

import pytest

from broker.configuration import ConfigurationError
from broker.core.principal import Principal, Role
from broker.errors import Unauthenticated
from broker.identity.keys import ApiKeys, digest_of, new_key, read_keys
from broker.identity_settings import KeySettings


def test_a_key_is_known_by_its_digest_and_speaks_for_its_owner() -> None:
    first, second, third = new_key(), new_key(), new_key()
    keys = ApiKeys(
        {
            "ci": KeySettings(sha256=digest_of(first)),
            "ci-next": KeySettings(sha256=digest_of(second), owner="ci"),
            "root": KeySettings(sha256=digest_of(third), role="admin"),
        }
    )
    assert keys.principal(first) == keys.principal(second) == Principal("ci", Role.USER, "ci")
    assert keys.principal(third) == Principal("root", Role.ADMIN, "root")
    for wrong in (new_key(), first[:-1], first + "A", digest_of(first), "", "pfk_", "ü"):
        with pytest.raises(Unauthenticated) as refused:
            keys.principal(wrong)
        assert refused.value.presented
        assert not wrong or wrong not in str(refused.value)


def test_keys_are_long_random_and_recognisable() -> None:
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    assert all(key.startswith("pfk_") and len(key) == 47 for key in made)


def test_a_file_of_keys_is_read(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(
        f'ci = {{ sha256 = "{"a" * 64}", role = "admin" }}\n"ann@example.com" = {{ sha256 = "{"b" * 64}" }}\n'
    )
    keys = read_keys(path)
    assert {name: key.role for name, key in keys.items()} == {"ci": "admin", "ann@example.com": "user"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "at least 1 item"),
        ("ci = 1", "ci: must be a table"),
        ('ci = { sha256 = "pfk_secret" }', "ci.sha256: must be the 64 hexadecimal digits"),
        (f'ci = {{ sha256 = "{"a" * 64}", role = "god" }}', "ci.role"),
        (f'ci = {{ sha256 = "{"a" * 64}", rolle = "user" }}', "did you mean 'role'"),
        (f'"a b" = {{ sha256 = "{"a" * 64}" }}', "no name of a key"),
        ("ci = {", "is not TOML"),
    ],
)
def test_a_wrong_file_of_keys_is_told_with_its_key_and_no_secret(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(content)
    with pytest.raises(ConfigurationError) as refused:
        read_keys(path)
    assert complaint in str(refused.value) and str(path) in str(refused.value)
    assert "pfk_secret" not in str(refused.value)
