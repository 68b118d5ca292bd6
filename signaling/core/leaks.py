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
    rf"candidate\s{{0,8}}:\s{{0,8}}\S{{1,128}}{_SPACE}[0-9]+{_SPACE}(\S{{1,32}}){_SPACE}[0-9]+{_SPACE}(\S{{1,260}}){_SPACE}([0-9]+)"
)
_RELATED = re.compile(r"\braddr\s{1,8}([^\s\"'\\]{1,64})", re.IGNORECASE)
_ADDRESS_LINE = re.compile(
    r"(?<![^\r\n\"'])(?:c=|a=rtcp:[0-9]{1,9}\s)IN\s{1,8}IP[46]\s{1,8}([^\s\"'\\]{1,64})", re.IGNORECASE
)
_SPLIT = re.compile(r"\b(?:ip|address|addr|hostname)[\"'\s]{0,4}[:=][\"'\s]{0,4}([0-9a-f.:]{3,45})")
_IPV4_LIKE = re.compile(r"(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9])")
_IPV6_LIKE = re.compile(r"(?<![0-9a-fA-F:])(?=[0-9a-fA-F]{0,4}:[0-9a-fA-F]{0,4}:)[0-9a-fA-F:]{2,39}")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{40,}={0,2}")


def leaks(text: str, own: TransportAddress, hidden: Collection[IpAddress]) -> bool:
    """Whether `text` names a media address other than `own`, or any of the `hidden` addresses, in whatever escapes."""
    for _ in range(_MAX_LAYERS):
        if any(_names_another(layer, own) or _names_any(layer, hidden) for layer in (text, *_inside(text))):
            return True
        if "\\" not in text or (resolved := unescaped(text)) == text:
            return False
        text = resolved
    return True


def _inside(text: str) -> Iterator[str]:
    """What other codes than JSON's escapes may hold."""
    if "%" in text:
        yield unquote_plus(text)
    for found in _BASE64.findall(text):
        if (decoded := _debased(found)) is not None:
            yield decoded


def _debased(text: str) -> str | None:
    padded = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(padded + "=" * (-len(padded) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _names_another(text: str, own: TransportAddress) -> bool:
    lower = text.lower()  # patterns that ignore case are slow: only where their words are
    if "candidate" in lower:
        for transport, host, port in _CANDIDATE.findall(lower):
            if transport != "udp" or host != own.host.lower() or int(port[:9]) != own.port:
                return True
    addresses = _RELATED.findall(text) if "raddr" in lower else []
    if "c=in" in lower or "a=rtcp" in lower:
        addresses += _ADDRESS_LINE.findall(text)
    if "foundation" in lower or "priority" in lower:
        addresses += _SPLIT.findall(lower)
    return any(_is_another(host, own) for host in addresses)


def _is_another(host: str, own: TransportAddress) -> bool:
    address = ip_address(host)
    return host != own.host and address is not None and not address.is_unspecified


def _names_any(text: str, hidden: Collection[IpAddress]) -> bool:
    if not hidden:
        return False
    found = {*_IPV4_LIKE.findall(text), *_IPV6_LIKE.findall(text)}
    return any(ip_address(host) in hidden for host in found)
