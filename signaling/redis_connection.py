"""Opens a connection to the right Redis: finds the primary, shows who we are, and sees that it is what is needed."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import TypedDict

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    InvalidResponse,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from signaling.redis_settings import RedisSettings

OLDEST = (6, 2)
"""The oldest version that has all the commands used here. Valkey counts on from 7.2."""

Address = tuple[str, int]
Reply = None | int | bytes | Sequence["Reply"]


class RedisUnavailable(Exception):
    """Redis cannot be used now, or never as it is set up; the text says why, and holds no secret.

    A command that was under way may have been carried out or not.
    """


class RedisRefused(RedisUnavailable):
    """Redis answered this command with an error. `code` is that error's first word, as `OOM` or `WRONGTYPE`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"Redis answered {code} {message}".rstrip())
        self.code = code


class _Common(TypedDict):
    """What every kind of connection is made with: one attempt, and a time limit for opening alone."""

    username: str | None
    password: str | None
    db: int
    client_name: str | None
    retry: Retry
    socket_timeout: None
    socket_connect_timeout: float
    protocol: int
    driver_info: None


async def open_connection(settings: RedisSettings, *, name: str, at: Address | None = None) -> AbstractConnection:
    """A connection to a writable primary that is new enough. Raises RedisUnavailable.

    `at`: where a Redis Cluster said that our keys lie. Bound it in time.
    """
    address = at or await _primary(settings)
    connection = _connection(settings, address, name=name)
    who = f"Redis at {settings.place.shown}"
    try:
        await _connect(connection, who)
        await _check(connection, who)
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection


async def _primary(settings: RedisSettings) -> Address | None:
    """Where the primary is: as the URL or the first Sentinel that knows says; None for a Unix socket."""
    place = settings.place
    if place.service is None:
        return place.hosts[0] if place.hosts else None
    told = []
    for sentinel in place.hosts:
        try:
            return await _ask_sentinel(settings, sentinel, place.service)
        except RedisUnavailable as error:
            told.append(str(error))
    raise RedisUnavailable(f"no Sentinel knows the primary of {place.service!r} ({'; '.join(told)})")


async def _ask_sentinel(settings: RedisSettings, sentinel: Address, service: str) -> Address:
    connection = _connection(settings, sentinel, name="pixelferry", is_sentinel=True)
    who = f"the Sentinel at {sentinel[0]}:{sentinel[1]}"
    try:
        await _connect(connection, who)
        found = await _ask(connection, who, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
    finally:
        await connection.disconnect(nowait=True)
    match found:
        case [bytes(host), bytes(port)] if port.isdigit():
            return host.decode(), int(port)
    raise RedisUnavailable(f"{who} knows no such service")


def _connection(
    settings: RedisSettings, address: Address | None, *, name: str, is_sentinel: bool = False
) -> AbstractConnection:
    place = settings.place
    username = settings.sentinel_username if is_sentinel else settings.username or place.username
    secret = settings.sentinel_password if is_sentinel else settings.password
    password = secret.get_secret_value() if secret else None if is_sentinel else place.password
    common = _Common(
        username=username,
        password=password,
        db=0 if is_sentinel else place.database,
        client_name=None if is_sentinel else name,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=None,
        socket_connect_timeout=settings.connect_timeout_s,
        protocol=2,
        driver_info=None,
    )
    if address is None:
        return UnixDomainSocketConnection(path=place.path or "", **common)
    host, port = address
    if not place.tls:
        return Connection(host=host, port=port, **common)
    return SSLConnection(
        host=host,
        port=port,
        ssl_ca_certs=str(settings.ca_file) if settings.ca_file else None,
        ssl_certfile=str(settings.cert_file) if settings.cert_file else None,
        ssl_keyfile=str(settings.key_file) if settings.key_file else None,
        ssl_check_hostname=settings.check_hostname,
        **common,
    )


async def _connect(connection: AbstractConnection, who: str) -> None:
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
    except (RedisError, OSError) as error:
        raise RedisUnavailable(_why(error, who)) from error


async def _ask(connection: AbstractConnection, who: str, *command: str) -> Reply:
    try:
        await connection.send_command(*command, check_health=False)
        reply: Reply = await connection.read_response(disable_decoding=True)
    except (RedisError, OSError) as error:
        raise RedisUnavailable(_why(error, who)) from error
    return reply


async def _check(connection: AbstractConnection, who: str) -> None:
    """See that it is new enough and takes writes. HELLO tells both, to whoever may connect."""
    told = _hello(await _ask(connection, who, "HELLO"))
    version, role = told.get("version", ""), told.get("role", "")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if len(numbers) < 2 or told.get("mode") == "sentinel":
        raise RedisUnavailable(f"{who} is no Redis that holds data: name one in redis.url")
    if numbers < OLDEST:
        raise RedisUnavailable(f"{who} has version {version}: 6.2 or newer is needed")
    if role not in ("master", "primary"):
        raise RedisUnavailable(
            f"{who} is a read-only replica: name its primary in redis.url, or the Sentinels that know it"
        )


def _hello(reply: Reply) -> dict[str, str]:
    if not isinstance(reply, Sequence) or isinstance(reply, bytes):
        return {}
    texts = [item.decode(errors="replace") if isinstance(item, bytes) else "" for item in reply]
    return dict(zip(texts[::2], texts[1::2], strict=False))


def _why(error: Exception, who: str) -> str:
    """What is wrong with one that could not be connected to, and the mend."""
    causes = [error, error.__cause__, error.__context__]
    told = str(error)
    if isinstance(error, BusyLoadingError):
        return f"{who} is still loading its data"
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return f"the certificate of {who} is not trusted: set redis.ca_file ({told})"
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return f"{who} does not take this TLS connection: write redis:// if it has none ({told})"
    if "NOAUTH" in told or "Authentication required" in told:
        return f"{who} asks for a password: set redis.password"
    if isinstance(error, AuthenticationError) or "WRONGPASS" in told or "called without any password" in told:
        return f"{who} refuses the user or the password: mend redis.username and redis.password"
    if isinstance(error, NoPermissionError):
        return f"{who} does not let this user do all that is needed: {told}"
    if isinstance(error, InvalidResponse):
        return f"{who} is not Redis: name one in redis.url"
    if "unknown command" in told.lower():
        return f"{who} is too old: 6.2 or newer is needed"
    if isinstance(error, ResponseError):
        return f"{who} refuses the connection: {told}"
    if "closed" in told.lower() or "reset" in told.lower():
        return f"{who} closed the connection at once: if it wants TLS, write rediss://"
    return f"{who} cannot be reached: start it, or mend redis.url ({told})"
