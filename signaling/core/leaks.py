"""The last look at a message before it leaves: does it still name another media address than the relay's?

Shares no pattern with the edits, knows nothing of structure, and resolves every escape that could hide an address.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Iterator
from urllib.parse import unquote_plus

from signaling.core.candidates import IpAddress, ip_address
from signaling.core.media_path import TransportAddress
from signaling.core.spans import unescaped

_MAX_LAYERS = 12
_SPACE = r"[\s+]{1,16}"
_CANDIDATE = re.compile(
    rf"candidate\s{{0,8}}:\s{{0,8}}\S{{1,128}}{_SPACE}[0-9]+{_SPACE}(\S{{1,32}}){_SPACE}[0-9]+{_SPACE}(\S{{1,260}}){_SPACE}([0-9]+)",
    re.IGNORECASE,
)
_RELATED = re.compile(r"\braddr\s{1,8}([^\s\"'\\]{1,64})", re.IGNORECASE)
_ADDRESS_LINE = re.compile(r"(?<![^\r\n\"'])(?:c=|a=rtcp:[0-9]{1,9}\s)IN\s{1,8}IP[46]\s{1,8}([^\s\"'\\]{1,64})")
_SPLIT = re.compile(r"\b(?:ip|address|addr|hostname)[\"'\s]{0,4}[:=][\"'\s]{0,4}([0-9a-f.:]{3,45})", re.IGNORECASE)
_SPLIT_MARK = re.compile(r"foundation|priority", re.IGNORECASE)
_IP_LIKE = re.compile(
    r"(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9])"
    r"|(?<![0-9a-f:])(?=[0-9a-f]{0,4}:[0-9a-f]{0,4}:)[0-9a-f:]{2,39}",
    re.IGNORECASE,
)
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{40,}={0,2}")


def leaks(text: str, own: TransportAddress, hidden: Collection[IpAddress]) -> bool:
    """Whether `text` names a media address other than `own`, or any of the `hidden` addresses, in whatever escapes."""
    for count, layer in enumerate(_layers(text)):
        if count == _MAX_LAYERS or _names_another(layer, own) or (hidden and _names_any(layer, hidden)):
            return True
    return False


def _layers(text: str) -> Iterator[str]:
    yield text
    if "%" in text:
        yield unquote_plus(text)
    for found in _BASE64.findall(text):
        if (decoded := _debased(found)) is not None:
            yield decoded
    while "\\" in text and (resolved := unescaped(text)) != text:
        text = resolved
        yield text


def _debased(text: str) -> str | None:
    padded = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(padded + "=" * (-len(padded) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _names_another(text: str, own: TransportAddress) -> bool:
    expected = (own.host, own.port)
    for transport, host, port in _CANDIDATE.findall(text):
        if transport.lower() != "udp" or (host, int(port[:9])) != expected:
            return True
    addresses = _RELATED.findall(text) + _ADDRESS_LINE.findall(text)
    if _SPLIT_MARK.search(text):
        addresses += _SPLIT.findall(text)
    return any(_is_another(host, own) for host in addresses)


def _is_another(host: str, own: TransportAddress) -> bool:
    address = ip_address(host)
    return host != own.host and address is not None and not address.is_unspecified


def _names_any(text: str, hidden: Collection[IpAddress]) -> bool:
    return any(ip_address(found) in hidden for found in _IP_LIKE.findall(text))
