from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from broker.configuration import ConfigurationError
from broker.core.principal import Principal, Role
from broker.errors import Unauthenticated
from broker.identity.keys import ApiKeys, FollowedKeys, digest_of, new_key
from broker.identity.listed_file import read_listed
from broker.identity_settings import KeySettings
from tests.broker.waiting import eventually


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
    keys = read_listed(path, KeySettings)
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
        read_listed(path, KeySettings)
    assert complaint in str(refused.value) and str(path) in str(refused.value)
    assert "pfk_secret" not in str(refused.value)


@asynccontextmanager
async def followed(path: Path, **fixed: str) -> AsyncIterator[FollowedKeys]:
    settings = {name: KeySettings(sha256=digest_of(key)) for name, key in fixed.items()}
    keys = FollowedKeys(settings, path, every_s=0.01)
    task = asyncio.create_task(keys.run())
    try:
        yield keys
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def line(name: str, key: str) -> str:
    return f'{name} = {{ sha256 = "{digest_of(key)}" }}\n'


def is_known(keys: FollowedKeys, key: str) -> bool:
    try:
        keys.principal(key)
    except Unauthenticated:
        return False
    return True


async def test_a_key_that_is_taken_out_of_its_file_is_revoked_and_a_new_one_is_known(tmp_path: Path) -> None:
    fixed, first, second = new_key(), new_key(), new_key()
    path = tmp_path / "keys.toml"
    path.write_text(line("first", first))
    async with followed(path, fixed=fixed) as keys:
        assert keys.is_used
        assert [is_known(keys, key) for key in (fixed, first, second)] == [True, True, False]
        path.write_text(line("second", second))
        await eventually(lambda: is_known(keys, second))
        assert [is_known(keys, key) for key in (fixed, first)] == [True, False]


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("first = 3\n"), Path.unlink], ids=["wrong", "gone"])
async def test_a_file_that_is_spoiled_leaves_the_keys_as_they_were_and_is_told_of(
    tmp_path: Path, spoil: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    key = new_key()
    path = tmp_path / "keys.toml"
    path.write_text(line("first", key))
    async with followed(path) as keys:
        spoil(path)
        await eventually(lambda: "stay as they were" in caplog.text)
        assert is_known(keys, key)
        other = new_key()
        path.write_text(line("other", other))
        await eventually(lambda: is_known(keys, other))
        assert not is_known(keys, key)
