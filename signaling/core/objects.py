"""JSON objects of signaling that hold more than strings: candidates split into fields, ICE servers, small values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from signaling.core.media_path import TransportAddress
from signaling.core.spans import Edit, Kind, Node, View

_ICE_URI = re.compile(r"\s*(?:stun|turn)s?:", re.IGNORECASE)
_NULLED = ("relatedaddress", "relatedport", "raddr", "rport", "tcptype")
_TRANSPORTS = ("protocol", "transport")
_COMPONENTS = ("component", "componentid")
_TYPES = ("type", "typ", "candidatetype")
_URLS = ("urls", "url", "uris")


def string_of(view: View, node: Node | None) -> str | None:
    """A string's decoded text; None for anything else."""
    if node is None or node.kind is not Kind.STRING:
        return None
    return view.literal(node.start + 1, node.end - 1).text


def number_of(view: View, node: Node | None) -> int | None:
    """A small number, also one that is written as a string; None for anything else."""
    if node is None or node.kind not in (Kind.SCALAR, Kind.STRING):
        return None
    text = view.text[node.start : node.end].strip('"')
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def is_true(view: View, node: Node | None) -> bool:
    """JSON's `true`."""
    return node is not None and view.text[node.start : node.end] == "true"


@dataclass(frozen=True, slots=True)
class SplitCandidate:
    """An object that spells a candidate out: address or ip, port, and foundation or priority."""

    view: View
    node: Node
    host: Node
    port: Node

    @property
    def address(self) -> TransportAddress | None:
        host, port = string_of(self.view, self.host), number_of(self.view, self.port)
        return None if host is None or port is None else TransportAddress(host, port)

    @property
    def is_udp(self) -> bool:
        return self._word(*_TRANSPORTS) in ("", "udp")

    @property
    def component(self) -> int:
        word = self._word(*_COMPONENTS)
        return 1 if word in ("", "rtp") else number_of(self.view, self.node.get(*_COMPONENTS)) or 0

    @property
    def kind(self) -> str:
        return self._word(*_TYPES)

    def disguise(self, address: TransportAddress) -> Iterator[Edit]:
        """Edits that make it a UDP candidate of `address` and take its related address away."""
        for key, node in self.node.members:
            text = self._corrected(key, address)
            if text is not None:
                yield self._write(node, text)
            elif key in _NULLED:
                yield self.view.edit(node.start, node.end, "null")

    def _corrected(self, key: str, address: TransportAddress) -> str | None:
        """What the field has to say; None where it may stay."""
        if key in ("ip", "address"):
            return address.host
        if key == "port":
            return str(address.port)
        if key in _TRANSPORTS and not self.is_udp:
            return "udp"
        if key in _COMPONENTS and self.component != 1:
            return "1"
        if key in _TYPES and self.kind == "relay":
            return "host"
        return None

    def _word(self, *keys: str) -> str:
        node = self.node.get(*keys)
        if node is None:
            return ""
        text = string_of(self.view, node)
        return (self.view.text[node.start : node.end] if text is None else text).lower()

    def _write(self, node: Node, text: str) -> Edit:
        if node.kind is Kind.STRING:
            return self.view.edit(node.start + 1, node.end - 1, text)
        # A string where a number stood would need quotes, and these escapes: no writer of candidates has that.
        return self.view.edit(node.start, node.end, text if text.isdecimal() else "null")


def split_candidate(view: View, node: Node) -> SplitCandidate | None:
    """The candidate that an object spells out, if it does."""
    host, port = node.get("ip", "address"), node.get("port")
    if host is None or port is None or node.get("foundation", "priority") is None:
        return None
    return SplitCandidate(view, node, host, port)


def without_ice_servers(view: View, node: Node) -> Iterator[Edit]:
    """Edits that leave no ICE server in an object or array itself, and the transport policy `all`."""
    if node.kind is Kind.ARRAY and node.members and all(_is_ice_server(view, child) for _, child in node.members):
        yield view.edit(node.start, node.end, "[]")
    for key, child in node.members:
        if key == "iceservers" or (key in _URLS and child.kind is Kind.ARRAY and _names_ice_uri(view, child)):
            yield from _emptied(view, child)
        if key == "icetransportpolicy" and child.kind is Kind.STRING and string_of(view, child) != "all":
            yield view.edit(child.start + 1, child.end - 1, "all")


def _emptied(view: View, node: Node) -> Iterator[Edit]:
    if node.kind is Kind.STRING and node.end - node.start > 2:
        yield view.edit(node.start + 1, node.end - 1, "[]")
    elif node.members:
        yield view.edit(node.start, node.end, "[]" if node.kind is Kind.ARRAY else "{}")


def _is_ice_server(view: View, node: Node) -> bool:
    urls = node.get(*_URLS) if node.kind is Kind.OBJECT else None
    return urls is not None and _names_ice_uri(view, urls)


def _names_ice_uri(view: View, node: Node) -> bool:
    if node.kind is Kind.STRING:
        return bool(_ICE_URI.match(string_of(view, node) or ""))
    return any(_names_ice_uri(view, child) for _, child in node.members)
