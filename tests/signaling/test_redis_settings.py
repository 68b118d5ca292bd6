from pathlib import Path

import pytest
from pydantic import ValidationError

from signaling.redis_settings import RedisPlace, RedisSettings


@pytest.mark.parametrize(
    ("url", "hosts", "database"),
    [
        ("redis://127.0.0.1", (("127.0.0.1", 6379),), 0),
        ("redis://redis.example.com:6380/3", (("redis.example.com", 6380),), 3),
        ("rediss://[fd00::1]:7000?db=2", (("fd00::1", 7000),), 2),
        ("redis+sentinel://one,two:26380/ferry/4", (("one", 26379), ("two", 26380)), 4),
    ],
)
def test_a_url_says_where_redis_is(url: str, hosts: tuple[tuple[str, int], ...], database: int) -> None:
    place = RedisPlace.parse(url)
    assert (place.hosts, place.database, place.path) == (hosts, database, None)
    assert place.tls is url.startswith("rediss")
    assert place.service == ("ferry" if "sentinel" in url else None)


def test_a_unix_socket_has_a_path_and_may_have_a_database() -> None:
    place = RedisPlace.parse("unix:///run/redis/redis.sock?db=5")
    assert (place.path, place.hosts, place.database) == ("/run/redis/redis.sock", (), 5)


def test_an_account_is_read_from_the_url_and_shown_to_nobody() -> None:
    place = RedisPlace.parse("redis://ada:p%40ss%2Fword@127.0.0.1:6379/1")
    assert (place.username, place.password) == ("ada", "p@ss/word")
    assert place.shown == "redis://127.0.0.1:6379/1"
    assert "ss" not in repr(place).replace("password", "")
    assert RedisPlace.parse("redis://:secret@127.0.0.1").username is None


@pytest.mark.parametrize(
    ("url", "mend"),
    [
        ("http://127.0.0.1", "must begin with redis://"),
        ("unix+sentinel:///run/s", "must begin with redis://"),
        ("redis://", "must name a host"),
        ("redis://a b", "must name a host"),
        ("redis://127.0.0.1:port", "must name a host and maybe a port"),
        ("redis://127.0.0.1:0", "must name a port from 1 to 65535"),
        ("redis://127.0.0.1:70000", "must name a port from 1 to 65535"),
        ("redis://127.0.0.1/first", "must name its database by a number"),
        ("redis://127.0.0.1/1/2", "may hold a database's number at its end"),
        ("redis://127.0.0.1?timeout=5", "may hold a database's number at its end"),
        ("redis://one,two", "may name several hosts only as Sentinels"),
        ("redis+sentinel://one,two", "must name the service"),
        ("unix://run/redis.sock", "must hold the whole path"),
        ("unix://", "must hold the whole path"),
        ("redis://[::1", "must be a URL"),
        ("redis://user:hush/hush@127.0.0.1", "must name a host and maybe a port"),
        ("redis://user:hush\u2100@127.0.0.1", "must be a URL"),
    ],
)
def test_a_wrong_url_names_the_mend_and_no_secret(url: str, mend: str) -> None:
    with pytest.raises(ValidationError) as refused:
        RedisSettings(url=url)
    assert mend in str(refused.value)
    assert "hush" not in str(refused.value)


def test_settings_show_no_password() -> None:
    settings = RedisSettings.model_validate({"url": "redis://ada:hush@127.0.0.1", "password": "hush"})
    assert "hush" not in repr(settings) + str(settings)


def test_every_key_of_a_deployment_lies_in_one_slot_of_a_cluster() -> None:
    assert RedisSettings(prefix="blue").key("session:1") == "{blue}:session:1"
    for prefix in ("", "a{b", "a b", "ä"):
        with pytest.raises(ValidationError):
            RedisSettings(prefix=prefix)


def test_files_for_tls_are_there_and_of_use(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    with pytest.raises(ValidationError, match="there is no file"):
        RedisSettings(url="rediss://127.0.0.1", ca_file=file)
    file.touch()
    assert RedisSettings(url="rediss://127.0.0.1", ca_file=file).ca_file == file
    with pytest.raises(ValidationError, match="write rediss:// in url"):
        RedisSettings(url="redis://127.0.0.1", ca_file=file)
    with pytest.raises(ValidationError, match="set both"):
        RedisSettings(url="rediss://127.0.0.1", key_file=file)
