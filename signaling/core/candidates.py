"""ICE candidates as signaling writes them (RFC 8839 §5.1): found by pattern, edited in place."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from signaling.core.media_path import TransportAddress
from signaling.core.spans import Edit, View

_GAP = r"[ \t]{1,8}"
_CANDIDATE = re.compile(
    rf"candidate:(?P<foundation>\S{{1,64}}){_GAP}(?P<component>[0-9]{{1,5}}){_GAP}(?P<transport>\S{{1,16}}){_GAP}(?P<priority>[0-9]{{1,20}})"
    rf"{_GAP}(?P<host>\S{{1,255}}){_GAP}(?P<port>[0-9]{{1,5}}){_GAP}typ{_GAP}(?P<type>[^\s\"'\\<]{{1,16}})(?P<rest>[^\r\n\"'\\<]*)",
    re.IGNORECASE,
)
_RELATED = re.compile(r"[ \t]{1,8}(?:raddr|rport)[ \t]{1,8}\S+", re.IGNORECASE)
_TCP_TYPE = re.compile(r"[ \t]{1,8}tcptype[ \t]{1,8}\S+", re.IGNORECASE)
_UFRAG = re.compile(r"[ \t]ufrag[ \t]+(\S+)", re.IGNORECASE)

ADDRESSES_OF_NOBODY = frozenset({"127.0.0.1", "::1"})
"""What stacks write where an address must stand that means nothing (RFC 9429 §5.2.1)."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Candidate(Protocol):
    """What decides whether a candidate is passed on, however it is written. `address` None: it cannot be read."""

    @property
    def address(self) -> TransportAddress | None: ...
    @property
    def is_udp(self) -> bool: ...
    @property
    def component(self) -> int: ...
    @property
    def kind(self) -> str: ...


def ip_address(host: str) -> IpAddress | None:
    """The address that a text writes; IPv4 inside IPv6 (`::ffff:10.0.0.1`) is given as IPv4. None for anything else."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@dataclass(frozen=True, slots=True)
class CandidateLine:
    """One `candidate:` attribute in a view."""

    view: View
    match: re.Match[str]

    @property
    def address(self) -> TransportAddress:
        """What it names; the host may be an mDNS or DNS name."""
        return TransportAddress(self.match["host"], int(self.match["port"]))

    @property
    def is_udp(self) -> bool:
        """UDP, however it is written."""
        return self.match["transport"].lower() == "udp"

    @property
    def component(self) -> int:
        """1 for RTP (with RTCP multiplexed), 2 for RTCP."""
        return int(self.match["component"])

    @property
    def kind(self) -> str:
        """host, srflx, prflx or relay."""
        return self.match["type"].lower()

    @property
    def ufrag(self) -> str | None:
        """The `ufrag` extension."""
        found = _UFRAG.search(self.match["rest"])
        return found[1] if found else None

    def put(self, address: TransportAddress) -> Iterator[Edit]:
        """Edits that give it another address and take its related address away."""
        text = f"{address.host} {address.port}"
        if self.view.text[self.match.start("host") : self.match.end("port")] != text:
            yield self.view.edit(self.match.start("host"), self.match.end("port"), text)
        yield from self._without(_RELATED)

    def disguise(self, address: TransportAddress) -> Iterator[Edit]:
        """Edits that turn any candidate into a UDP one of `address`, where it cannot be taken out of its message."""
        yield from self.put(address)
        for group, text in (("component", "1"), ("transport", "udp")):
            if self.match[group].lower() != text:
                yield self.view.edit(*self.match.span(group), text)
        if self.kind == "relay":
            yield self.view.edit(*self.match.span("type"), "host")
        yield from self._without(_TCP_TYPE)

    def _without(self, pattern: re.Pattern[str]) -> Iterator[Edit]:
        for found in pattern.finditer(self.view.text, *self.match.span("rest")):
            yield self.view.edit(found.start(), found.end(), "")


def find_candidates(view: View, start: int, end: int) -> Iterator[CandidateLine]:
    """Every candidate between two positions of a view."""
    for match in _CANDIDATE.finditer(view.text, start, end):
        yield CandidateLine(view, match)
