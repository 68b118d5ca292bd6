"""Settings of the connection to Redis, field by field; a wrong value names itself and the mend."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

_PORT = 6379
_SENTINEL_PORT = 26379
_EXAMPLE = "redis://127.0.0.1:6379/0"
_HOST = re.compile(r"\[(?P<ip6>[0-9A-Fa-f:.%]+)\]|(?P<name>[A-Za-z0-9._-]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class RedisPlace:
    """Where a URL says that Redis is: `path` of a Unix socket, or `hosts`; with a `service`, of its Sentinels."""

    hosts: tuple[tuple[str, int], ...]
    path: str | None
    service: str | None
    tls: bool
    database: int
    username: str | None
    password: str | None = field(repr=False)
    shown: str
    """The URL without user and password, for people."""

    @classmethod
    def parse(cls, url: str) -> RedisPlace:
        """Read a URL; raises ValueError that names the mend and never holds a password."""
        parts = _split(url)
        scheme, _, kind = parts.scheme.partition("+")
        if scheme not in ("redis", "rediss", "unix") or kind not in ("", "sentinel") or (kind and scheme == "unix"):
            raise ValueError(
                f"must begin with redis://, rediss:// (TLS), unix:// or redis+sentinel://, as {_EXAMPLE} does"
            )
        account, _, netloc = parts.netloc.rpartition("@")
        username, _, password = account.partition(":")
        place = parts.path.strip("/").split("/") if parts.path.strip("/") else []
        service = _service(place) if kind else None
        is_path = scheme == "unix"
        return cls(
            hosts=() if is_path else _hosts(netloc, _SENTINEL_PORT if kind else _PORT, many=bool(kind)),
            path=_socket_path(parts, netloc) if is_path else None,
            service=service,
            tls=scheme == "rediss",
            database=_database(parts, [] if is_path else place),
            username=unquote(username) or None,
            password=unquote(password) or None,
            shown=f"{parts.scheme}://{netloc}{parts.path}",
        )


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        # What urllib says of it may hold the password.
        raise ValueError(f"must be a URL such as {_EXAMPLE}") from None


def _service(place: list[str]) -> str:
    if not place:
        raise ValueError("must name the service that the Sentinels watch: redis+sentinel://host1,host2/mymaster")
    return unquote(place.pop(0))


def _socket_path(parts: SplitResult, netloc: str) -> str:
    if netloc or not parts.path.startswith("/") or len(parts.path) < 2:
        raise ValueError("must hold the whole path of a socket: unix:///run/redis/redis.sock")
    return unquote(parts.path)


def _hosts(netloc: str, usual_port: int, *, many: bool) -> tuple[tuple[str, int], ...]:
    written = netloc.split(",")
    if len(written) > 1 and not many:
        raise ValueError("may name several hosts only as Sentinels: redis+sentinel://host1,host2/mymaster")
    return tuple(_host(one, usual_port) for one in written)


def _host(written: str, usual_port: int) -> tuple[str, int]:
    match = _HOST.match(written)
    port = written[match.end() :] if match else ""
    if match is None or (port and re.fullmatch(r":[0-9]{1,5}", port, re.ASCII) is None):
        raise ValueError(f"must name a host and maybe a port, as {_EXAMPLE} does")
    number = int(port[1:]) if port else usual_port
    if not 0 < number < 65536:
        raise ValueError(f"must name a port from 1 to 65535, not {number}")
    return match["ip6"] or match["name"], number


def _database(parts: SplitResult, place: list[str]) -> int:
    query = parse_qs(parts.query, keep_blank_values=True)
    if set(query) - {"db"} or parts.fragment or len(place) > 1:
        raise ValueError("may hold a database's number at its end and nothing else: the rest has settings of its own")
    written = place[0] if place else query.get("db", ["0"])[0]
    if re.fullmatch(r"[0-9]{1,5}", written, re.ASCII) is None:
        raise ValueError(f"must name its database by a number, as {_EXAMPLE} does")
    return int(written)


def _url(value: str) -> str:
    RedisPlace.parse(value)
    return value


def _file(value: Path) -> Path:
    if not value.is_file():
        raise ValueError(f"there is no file {value}: name one")
    return value


File = Annotated[Path, AfterValidator(_file)]
Seconds = Annotated[float, Field(gt=0, le=60)]


class RedisSettings(BaseModel):
    """One connection to Redis. Its errors and its `repr` never hold a password."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[str, AfterValidator(_url), Field(repr=False)] = _EXAMPLE
    """`redis://[user:password@]host[:port][/database]`, `rediss://` with TLS, `unix:///path/of/socket[?db=1]`,
    `redis+sentinel://host1,host2/service[/database]` (`rediss+sentinel://` with TLS)."""

    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,63}$")] = "pixelferry"
    """First part of every key, in braces. Several deployments may share one Redis under different ones."""

    username: str | None = None
    """User of an ACL; stands in for the one in `url`."""

    password: SecretStr | None = None
    """Stands in for the one in `url`, which others may see in a list of processes."""

    sentinel_username: str | None = None
    """User at the Sentinels, where they ask for one."""

    sentinel_password: SecretStr | None = None
    """Password at the Sentinels, where they ask for one."""

    ca_file: File | None = None
    """Certificates (PEM) that the server's is checked against. Default: those that the system trusts."""

    cert_file: File | None = None
    """Certificate (PEM) to show to the server."""

    key_file: File | None = None
    """Key (PEM) of `cert_file`. Default: it is in there."""

    check_hostname: bool = True
    """Whether the server's certificate has to bear the name that `url` has."""

    timeout_s: Seconds = 1.5
    """Time for one call, connecting included; Redis counts as away after it."""

    connect_timeout_s: Seconds = 1.0
    """Time for one connection to open."""

    @model_validator(mode="after")
    def _tls_files_are_for_tls(self) -> RedisSettings:
        if not self.place.tls and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("ca_file, cert_file and key_file are for TLS: write rediss:// in url")
        if self.key_file and not self.cert_file:
            raise ValueError("key_file is of no use without cert_file: set both")
        return self

    @property
    def place(self) -> RedisPlace:
        """`url`, parsed."""
        return RedisPlace.parse(self.url)

    def key(self, name: str) -> str:
        """A key of this deployment; all of them lie in one slot of a Redis Cluster."""
        return f"{{{self.prefix}}}:{name}"
