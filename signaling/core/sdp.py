"""Session descriptions and their fragments (RFC 8866, 8839, 8840) in a view: sections, and edits of single lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from signaling.core.candidates import ADDRESSES_OF_NOBODY, CandidateLine, find_candidates, ip_address
from signaling.core.media_path import TransportAddress
from signaling.core.spans import Edit, Parts, View

_LINE = re.compile(r"[^\r\n]+")
_LINE_END = re.compile(r"\r\n?|\n")
_COST_OF_EDIT = 10
_COST_OF_CANDIDATE = 20
_PORT = re.compile(r"m=\S{1,64}[ \t]+([0-9]{1,5})(?=(?:/[0-9]+)?[ \t]+\S)")
_NET_ADDRESS = re.compile(r"(?:c=|o=.{1,512}?[ \t])(IN[ \t]+IP[46][ \t]+(\S+))")
_RTCP = re.compile(r"a=rtcp:([0-9]{1,5})(?:[ \t]+(IN[ \t]+IP[46][ \t]+(\S+)))?")


@dataclass(slots=True)
class Section:
    """What precedes the first `m=` line (`index` None), or one `m=` line with what follows it."""

    index: int | None
    mid: str | None = None
    ufrag: str | None = None
    pwd: str | None = None
    candidates: list[tuple[CandidateLine, Edit]] = field(default_factory=list)
    """Each with the edit that takes its whole line out."""
    ends: list[Edit] = field(default_factory=list)
    """Edits that take an `a=end-of-candidates` out."""


@dataclass(slots=True)
class Description:
    """The lines of one text. `loose`: candidates that are no `a=candidate` line of a text of several lines."""

    sections: list[Section] = field(default_factory=lambda: [Section(None)])
    loose: list[CandidateLine] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    lite: bool = False
    lines: int = 0

    @property
    def is_sdp(self) -> bool:
        """True where there is more than trickled candidates."""
        return len(self.sections) > 1 or any(section.ufrag for section in self.sections)


def read_description(view: View, start: int, end: int, own: TransportAddress, parts: Parts) -> Description:
    """Read the lines between two positions; `edits` put `own` in the place of addresses outside candidates."""
    text = Description()
    may_hold_candidates = "candidate:" in view.text[start:end].lower()
    lines = [line.span() for line in _LINE.finditer(view.text, start, end) if not line[0].isspace()]
    text.lines = len(lines)
    for line_start, line_end in lines:
        parts.take()
        if may_hold_candidates and "candidate:" in view.text[line_start:line_end].lower():
            parts.take(_COST_OF_CANDIDATE * view.text.count(":", line_start, line_end))
            _read_candidates(text, view, line_start, line_end)
        else:
            known = len(text.edits)
            _read_line(text, view, line_start, line_end, own)
            parts.take(_COST_OF_EDIT * (len(text.edits) - known))
    return text


def _read_candidates(text: Description, view: View, start: int, end: int) -> None:
    found = list(find_candidates(view, start, end))
    if len(found) == 1 and text.lines > 1 and view.text[start : start + 12].lower() == "a=candidate:":
        text.sections[-1].candidates.append((found[0], _removal(view, start, end)))
    else:
        text.loose += found


def _read_line(text: Description, view: View, start: int, end: int, own: TransportAddress) -> None:
    line = view.text[start:end]
    name, _, value = line.partition(":")
    section = text.sections[-1]
    match name:
        case "a=ice-ufrag":
            section.ufrag = value.strip()
        case "a=ice-pwd":
            section.pwd = value.strip()
        case "a=mid":
            section.mid = value.strip()
        case "a=ice-lite":
            text.lite = True
        case "a=end-of-candidates":
            section.ends.append(_removal(view, start, end))
        case "a=remote-candidates":
            text.edits.append(_removal(view, start, end))
        case "a=rtcp":
            text.edits += _put_rtcp(view, start, end, own)
        case _ if line.startswith(("c=", "o=")):
            text.edits += _put_net_address(view, _NET_ADDRESS.match(view.text, start, end), 1, own, line[0])
        case _ if port := _PORT.match(view.text, start, end):
            text.sections.append(Section(len(text.sections) - 1))
            text.edits += _put_port(view, port, own)


def _removal(view: View, start: int, end: int) -> Edit:
    line_end = _LINE_END.match(view.text, end)
    return view.edit(start, line_end.end() if line_end else end, "")


def _put_port(view: View, match: re.Match[str], own: TransportAddress) -> Iterator[Edit]:
    # 0 rejects the m-line, 9 says that candidates follow (RFC 8840 §4.1.1).
    if int(match[1]) not in (0, 9, own.port):
        yield view.edit(*match.span(1), str(own.port))


def _put_rtcp(view: View, start: int, end: int, own: TransportAddress) -> Iterator[Edit]:
    if match := _RTCP.match(view.text, start, end):
        yield from _put_port(view, match, own)
        yield from _put_net_address(view, match, 2, own, "a")


def _put_net_address(
    view: View, match: re.Match[str] | None, group: int, own: TransportAddress, line: str
) -> Iterator[Edit]:
    if match is None or match[group] is None:
        return
    host = match[group + 1]
    address = ip_address(host)
    if host == own.host or (address is not None and address.is_unspecified):
        return
    if line == "o" and host in ADDRESSES_OF_NOBODY:
        return
    yield view.edit(*match.span(group), f"IN IP{'6' if ':' in own.host else '4'} {own.host}")
