"""Which addresses of the web stages may be fetched from: listed origins, public addresses, nothing else. Pure."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from yarl import URL

from streamer.usd_viewer.stage_policy import STAGE_SUFFIXES, StageRefused, shorten

MAX_URL_CHARACTERS = 4096
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+")
_METADATA = frozenset(
    {
        ipaddress.ip_address("168.63.129.16"),
        ipaddress.ip_address("192.0.0.192"),
        ipaddress.ip_address("100.100.100.200"),
    }
)
"""Where clouds tell machines about themselves, beyond the ranges that are no public addresses anyway."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


class BadOrigin(ValueError):
    """Not an origin; the text is the one that was given."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port from which stages may come; a host `*.example.com` stands for every name below."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Origin":
        """From `example.com`, `*.example.com`, `https://example.com:8443`; http has to be said. Raises BadOrigin."""
        written = text if "://" in text else f"https://{text}"
        scheme, _, rest = written.partition("://")
        wildcard, rest = rest.startswith("*."), rest.removeprefix("*.")
        try:
            url = URL(f"{scheme}://{rest}")
            host, port = url.host, url.port
        except ValueError as error:
            raise BadOrigin(text) from error
        plain = url.path in ("", "/") and not url.query_string and not url.fragment and url.user is None
        if scheme not in _PORTS or not host or port is None or not plain or not _HOST.fullmatch(url.raw_host or ""):
            raise BadOrigin(text)
        return cls(scheme, f"*.{host}" if wildcard else host, port)

    def covers(self, url: URL) -> bool:
        """Whether a URL is of this origin."""
        host = (url.host or "").rstrip(".")
        named = host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host
        return named and url.scheme == self.scheme and url.port == self.port


@dataclass(frozen=True, slots=True)
class WebPolicy:
    """Admits URLs of the listed origins; without any, none at all."""

    origins: tuple[Origin, ...] = ()

    def admit(self, text: str) -> URL:
        """The URL to ask for. StageRefused where it may not be asked for, with the mend."""
        shown = shown_url(text)
        if not self.origins:
            raise StageRefused(
                f"'{shown}' is a URI; only paths relative to the folder of stages are opened"
                " (PIXELFERRY_USD_HTTP_HOSTS names hosts that stages may be fetched from)"
            )
        if len(text) > MAX_URL_CHARACTERS or not text.isprintable() or not text.isascii() or set(text) & set(' \\"<>'):
            raise StageRefused(f"'{shown}' is not a URL of at most {MAX_URL_CHARACTERS} plain characters")
        try:
            url, written = URL(text), URL(text, encoded=True)
            port = url.port
        except ValueError as error:
            raise StageRefused(f"'{shown}' is not a URL") from error
        if url.user is not None or url.password is not None:
            raise StageRefused(f"'{shown}' holds a user name; stages are fetched without credentials")
        if not url.host or port is None or not any(origin.covers(url) for origin in self.origins):
            raise StageRefused(f"'{shown}' is of a host that stages are not fetched from (PIXELFERRY_USD_HTTP_HOSTS)")
        # Path and query stay as they are written: a signature is over every letter of them.
        return URL.build(
            scheme=url.scheme,
            host=url.host_subcomponent or "",
            port=port,
            path=written.raw_path,
            query_string=written.raw_query_string,
            encoded=True,
        )


def is_web(uri: str) -> bool:
    """Whether this asks for a stage by http or https."""
    return uri[:8].lower().startswith(("http://", "https://"))


def shown_url(text: str) -> str:
    """A URL as it may be logged and shown: without its query and fragment, which may hold a signature."""
    return shorten(text.partition("?")[0].partition("#")[0])


def stage_suffix(url: URL) -> str:
    """The kind of stage that a URL's path names. StageRefused for none."""
    suffix = PurePosixPath(url.path).suffix.lower()
    if suffix not in STAGE_SUFFIXES:
        raise StageRefused(f"'{shown_url(str(url))}' does not end in .usd, .usda, .usdc or .usdz")
    return suffix


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet: not of this machine, its networks or its cloud."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return all(_is_global(part) for part in _parts(parsed))


def _parts(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> Iterable[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The address itself, or where translators and tunnels would hand its packets to."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _NAT64:
        return (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF),)
    inner = [address.sixtofour, *(address.teredo or ())]
    return (address, *(part for part in inner if part is not None))


def _is_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if address in _METADATA or address.is_multicast or address.is_reserved or not address.is_global:
        return False
    return isinstance(address, ipaddress.IPv4Address) or address in _GLOBAL_UNICAST
