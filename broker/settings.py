"""Settings of the broker, field by field, and where they come from: command line over environment over file."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from broker.configuration import ConfigurationError, dotted, first_problem, flattened, read_toml
from broker.identity_settings import AdmissionSettings, IdentitySettings
from broker.listening import ListenAddress
from broker.nimble_settings import NimbleSettings
from broker.node_settings import NodeSettings
from signaling.redis_settings import RedisSettings
from signaling.routes import PortRange

PREFIX = "PIXELFERRY_"
NESTING = "__"
CONFIG_VARIABLE = PREFIX + "CONFIG"

SURROUNDINGS = SettingsConfigDict(
    env_prefix=PREFIX,
    env_nested_delimiter=NESTING,
    env_ignore_empty=True,
    extra="forbid",
    frozen=True,
    arbitrary_types_allowed=True,
    validate_default=False,
)
"""How settings are read, whichever command they are of."""

USUAL_LISTEN = ListenAddress("127.0.0.1", 8080)

_ORIGIN = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", re.ASCII)
_PAGE_ADDRESS = re.compile(_ORIGIN.pattern + r"(/[A-Za-z0-9._~-]+)*", re.ASCII)
_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?", re.ASCII)


def _split(value: object) -> object:
    """Lists are written with commas where there is but a text, as in an environment variable."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _address(value: object) -> object:
    if value is None or isinstance(value, ListenAddress):
        return value
    return ListenAddress.parse(str(value))


Listen = Annotated[ListenAddress, NoDecode, BeforeValidator(_address)]
"""An address to listen on, written `host:port`."""


def _name(value: str) -> str:
    name = value.lower()
    try:
        return str(ipaddress.ip_address(name.removeprefix("[").removesuffix("]")))
    except ValueError:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{value!r} is no host name: write it without scheme and port") from None
    return name


def _ip_address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(f"{value!r} is no IP address: write one such as 127.0.0.2") from None


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError(f"{value!r} is no network: write an address, or one such as 10.0.0.0/8") from None


def _origin_pattern(value: str) -> str:
    if value != "*" and _ORIGIN.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no origin: write one such as https://portal.example.com, or *")
    return value.lower()


def _page_address(value: str) -> str:
    address = value.rstrip("/")
    if _PAGE_ADDRESS.fullmatch(address) is None:
        raise ValueError(f"{value!r} is no address of a page: write one such as https://ferry.example.com")
    return address


def _ports(value: object) -> object:
    if isinstance(value, PortRange):
        return value
    match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", str(value), re.ASCII)
    if match is None:
        raise ValueError(f"{value!r} is no range of ports: write one such as 47000-47999")
    return PortRange(int(match[1]), int(match[2]))


def _file(value: Path) -> Path:
    if not value.is_file():
        raise ValueError(f"there is no file {value}: name one")
    return value


def _folder(value: Path) -> Path:
    if not value.is_dir():
        raise ValueError(f"there is no folder {value}: name one")
    return value.resolve()


class RoutesShape(StrEnum):
    """How `routes` are written: by the mount's own custom, or one shape everywhere."""

    BY_MOUNT = "by-mount"
    NESTED = "nested"
    FLAT = "flat"


class LogFormat(StrEnum):
    """For people, or one JSON object a line."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class BrokerSettings(BaseSettings):
    """The broker."""

    model_config = SURROUNDINGS

    listen: Listen | None = None
    """Where API and page are: `host:port`. Default: 127.0.0.1:8080, or the next free port."""

    redis: RedisSettings | None = None
    """The Redis that brokers share, as signaling/redis_settings.py has it. Default: none, all ends with the process."""

    names: Annotated[tuple[Annotated[str, AfterValidator(_name)], ...], NoDecode, BeforeValidator(_split)] = ()
    """Names under which clients reach the API, besides localhost, the loopback addresses and the listen address.
    A request whose Host is none of them is refused."""

    identity: IdentitySettings = Field(default_factory=IdentitySettings)
    """Who may use the API. Without it everybody who reaches the API may do everything, on loopback alone."""

    nimble: NimbleSettings = Field(default_factory=NimbleSettings)
    """The Nimble-compatible API."""

    nodes: NodeSettings = Field(default_factory=NodeSettings)
    """Machines whose streaming backends were started by themselves."""

    public_url: Annotated[str, AfterValidator(_page_address)] | None = None
    """Where people reach the page, such as https://ferry.example.com or, behind a proxy's prefix,
    https://example.com/ferry: what addresses that are handed out begin with. Default: as the caller reached the API."""

    admission: AdmissionSettings = Field(default_factory=AdmissionSettings)
    """What viewers show to the relay."""

    cors_origins: Annotated[
        tuple[Annotated[str, AfterValidator(_origin_pattern)], ...], NoDecode, BeforeValidator(_split)
    ] = ("*",)
    """Whose pages may call the API while identity is on, such as https://portal.example.com; `*`: everybody's. Without
    identity only pages of this machine may."""

    metrics_from: Annotated[
        tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(_split)
    ] = ()
    """Addresses or networks that may read the metrics without saying who they are."""

    insecure_no_identity: bool = False
    """Listen on addresses that other machines reach, though whoever reaches them may start and end every session."""

    trusted_proxies: Annotated[
        tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(_split)
    ] = ()
    """Addresses or networks of proxies, whose X-Forwarded-Prefix, X-Original-URI, X-Forwarded-For and the headers of
    `identity.gateway` are believed."""

    routes_shape: RoutesShape = RoutesShape.BY_MOUNT
    """Shape of `routes`: flat under /stream and nested under /streaming/stream, or one of the two under both."""

    frame_ancestors: Annotated[str, Field(pattern=r"^[A-Za-z0-9:/.*_' -]+$")] = "'self'"
    """Pages that may hold the viewer page in a frame, as CSP's frame-ancestors has them."""

    wait_max_s: Annotated[float, Field(ge=0, le=600)] = 60
    """Longest time that a request may ask to wait (`Prefer: wait`)."""

    quota_per_owner: Annotated[int, Field(ge=1)] | None = None
    """Most sessions that one owner may have at once, stopped ones too. Without identity an owner is an address."""

    quota_total: Annotated[int, Field(ge=1)] | None = 10_000
    """Most sessions that there may be at once in all."""

    quota_exempt_admins: bool = False
    """Let admins exceed both quotas; without identity everybody is one."""

    rate_per_s: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """Requests a second that one caller may make on average; more are answered 429. Without identity a caller is an
    address. Default: no bound."""

    rate_burst: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Requests that a caller may make at once when it made none for a while."""

    catalog: Annotated[Path, AfterValidator(_file)] | None = None
    """The catalog file. Default: the one that ships, with the test pattern and the USD viewer."""

    edit_applications: bool = False
    """Let admins make, change and delete applications and versions by endpoint (docs/applications.md)."""

    usd_root: Annotated[Path, AfterValidator(_folder)] | None = None
    """The folder whose stages the USD viewer may open. Default: the samples that ship."""

    backend_host: Annotated[str, AfterValidator(_ip_address)] | None = None
    """Address that streaming backends bind. Default: 127.0.0.2 where it can be bound, else 127.0.0.1."""

    backend_ports: Annotated[PortRange, NoDecode, BeforeValidator(_ports)] = PortRange(47000, 47999)
    """Ports handed out to streaming backends."""

    stop_s: Annotated[float, Field(gt=0, le=600)] = 10
    """Time that sessions have to end in order when the broker stops; what is left is cut."""

    log_format: LogFormat = LogFormat.TEXT
    """Log lines for people, or as JSON."""

    log_level: LogLevel = LogLevel.INFO
    """The least that is logged."""

    audit_log: Path | None = None
    """The file to which who did what is appended, a JSON object a line (docs/operations.md). Default: the usual log."""

    @model_validator(mode="after")
    def _gateway_is_known(self) -> Self:
        if self.identity.gateway is not None and not self.trusted_proxies:
            raise ValueError("identity.gateway: nobody's headers are believed: name the gateway in trusted_proxies")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`load` merges the sources itself, so that it can tell which one is wrong."""
        return (init_settings,)


Settings = TypeVar("Settings", bound=BaseSettings)


def load(model: type[Settings], options: Mapping[str, object], config: Path | None) -> Settings:
    """Settings out of the command line's options, the environment and a file. Raises ConfigurationError."""
    file = {} if config is None else read_toml(config)
    try:
        environment = EnvSettingsSource(model)()
    except SettingsError as error:
        name = next(iter(re.findall(r'field "(\w+)"', str(error))), "")
        raise ConfigurationError("environment", PREFIX + name.upper(), "cannot be read: mend its value") from error
    try:
        return model(**_merged(_merged(file, environment), options))  # type: ignore[arg-type]
    except ValidationError as error:
        loc, reason = first_problem(error, model)
        source, key = _origin(loc, options, environment, config)
        raise ConfigurationError(source, key, reason) from error


def _merged(lower: Mapping[str, object], upper: Mapping[str, object]) -> dict[str, object]:
    merged = dict(lower)
    for name, value in upper.items():
        below = merged.get(name)
        merged[name] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _origin(
    loc: tuple[str | int, ...], options: Mapping[str, object], environment: Mapping[str, object], config: Path | None
) -> tuple[str, str]:
    """Source and key, as its writer knows them, of the value at this place."""
    path = tuple(str(part) for part in loc)
    for length in range(len(path), 0, -1):
        if path[:length] == ("redis", "url") and path[:length] in flattened(options):
            return "command line", "--redis"
        if path[:length] in flattened(options):
            return "command line", "--" + "-".join(path[:length]).replace("_", "-")
        if path[:length] in flattened(environment):
            return "environment", PREFIX + NESTING.join(path[:length]).upper()
    return "settings" if config is None else str(config), dotted(loc)
