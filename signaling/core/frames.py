"""One viewer's signaling messages, edited on their way: each side is told the relay's media address and no other.

Rules: towards the client the relay's own address stands in the place of the backend's candidates, once per m-line;
towards the backend the viewer's upstream address stands in the place of each of the client's. What cannot be an
address of the relay goes; and a message that still names another address after the edit is refused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from enum import StrEnum

from signaling.core.candidates import ADDRESSES_OF_NOBODY, Candidate, CandidateLine, IpAddress, ip_address
from signaling.core.leaks import leaks
from signaling.core.media_path import IceCredentials, Side, TransportAddress, ViewerPath
from signaling.core.objects import is_true, number_of, split_candidate, string_of, without_ice_servers
from signaling.core.sdp import Description, Section, read_description
from signaling.core.snapshots import DirectionSnapshot, EditorSnapshot
from signaling.core.spans import MAX_PARTS, Edit, Kind, Node, Parts, TooManyParts, View, apply, json_regions, parse
from signaling.core.transports import MAX_REMEMBERED, Place, Transports

_MAX_STRINGS_IN_STRINGS = 8
_UFRAGS = ("usernamefragment", "iceufrag", "ufrag")
_PWDS = ("password", "icepwd", "pwd")


class Fate(StrEnum):
    """What becomes of a message. `WITHHELD`: nothing that the other side may know was in it; not an error."""

    PASSED = "passed"
    WITHHELD = "withheld"
    FOREIGN = "foreign"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`text` is what to send on; empty unless passed, and the very same string where nothing was changed."""

    fate: Fate
    text: str = ""


@dataclass(slots=True)
class _Findings:
    """What one message held."""

    edits: list[Edit] = field(default_factory=list)
    disguises: list[Edit] = field(default_factory=list)
    """What to do with unwanted candidates that cannot be taken out, if the message goes."""
    has_description: bool = False
    kept: int = 0
    unwanted: int = 0
    ends: int = 0
    parts: Parts = field(default_factory=lambda: Parts(MAX_PARTS))


class SignalingEditor:
    """Edits one viewer's messages both ways, and tells the viewer's media path what they teach."""

    def __init__(self, path: ViewerPath, backend_host: str) -> None:
        self._to_client = _ToClient(path, backend_host)
        self._to_backend = _ToBackend(path)

    def to_client(self, text: str, *, may_withhold: bool = True) -> Verdict:
        """A message of the backend."""
        return self._to_client.pass_on(text, may_withhold)

    def to_backend(self, text: str, *, may_withhold: bool = True) -> Verdict:
        """A message of the client. `may_withhold` False: an unwanted candidate is overwritten instead (HTTP bodies)."""
        return self._to_backend.pass_on(text, may_withhold)

    def snapshot(self) -> EditorSnapshot:
        """What both directions remember."""
        return EditorSnapshot(self._to_client.snapshot(), self._to_backend.snapshot())

    def restore(self, snapshot: EditorSnapshot) -> None:
        """Remember what a predecessor did."""
        self._to_client.restore(snapshot.to_client)
        self._to_backend.restore(snapshot.to_backend)

    def leaks_to_client(self, text: str) -> bool:
        """Whether a text that is not edited (a header, bytes) names an address that the client must not learn."""
        return self._to_client.leaks(text)

    def leaks_to_backend(self, text: str) -> bool:
        """The same the other way."""
        return self._to_backend.leaks(text)


class _Direction(ABC):
    """What both directions have in common: finding, replacing, the last look."""

    source: Side

    def __init__(self, path: ViewerPath) -> None:
        self._path = path
        self._transports = Transports()
        self._hidden: set[IpAddress] = set()

    def snapshot(self) -> DirectionSnapshot:
        return DirectionSnapshot(self._transports.snapshot(), tuple(map(str, self._hidden)))

    def restore(self, snapshot: DirectionSnapshot) -> None:
        self._transports.restore(snapshot.transports)
        self._hidden |= {address for host in snapshot.hidden if (address := ip_address(host)) is not None}

    @property
    @abstractmethod
    def _own(self) -> TransportAddress:
        """The relay's address that the other side is told."""

    def pass_on(self, text: str, may_withhold: bool) -> Verdict:
        found = _Findings()
        try:
            found.parts.take(text.count("\\"))
            self._scan(View(text), Place(), found, 0)
            if not found.has_description and not found.kept and self._is_empty(found, may_withhold):
                return Verdict(Fate.WITHHELD)
            edited = apply(text, found.edits + found.disguises)
        except TooManyParts:
            return Verdict(Fate.MALFORMED)
        if self.leaks(edited):
            return Verdict(Fate.FOREIGN)
        return Verdict(Fate.PASSED, text if edited == text else edited)

    def leaks(self, text: str) -> bool:
        return leaks(text, self._own, self._hidden)

    @abstractmethod
    def _is_wanted(self, candidate: Candidate, place: Place) -> bool:
        """Whether the other side may know of this candidate, under the relay's address."""

    @abstractmethod
    def _is_news(self, place: Place) -> bool:
        """Note that a candidate of this m-line is passed on by itself; False where that adds nothing."""

    def _may_end(self, place: Place) -> bool:
        """Whether the other side may hear that a transport has no more candidates."""
        return True

    def _is_empty(self, found: _Findings, may_withhold: bool) -> bool:
        return may_withhold and found.unwanted > 0

    def _scan(self, view: View, place: Place, found: _Findings, depth: int) -> None:
        done = 0
        for start, end in json_regions(view.text):
            self._read(view, done, start, place, found)
            self._walk(view, parse(view, start, end, found.parts), place, found, depth)
            done = end
        self._read(view, done, len(view.text), place, found)

    def _walk(self, view: View, node: Node, place: Place, found: _Findings, depth: int) -> None:
        if node.kind is Kind.STRING and depth < _MAX_STRINGS_IN_STRINGS:
            self._scan(view.literal(node.start + 1, node.end - 1), place, found, depth + 1)
        if node.kind is Kind.OBJECT:
            place = _place(view, node, place)
            self._read_object(view, node, place, found)
        for _, child in node.members:
            self._walk(view, child, place, found, depth)

    def _read(self, view: View, start: int, end: int, place: Place, found: _Findings) -> None:
        text = read_description(view, start, end, self._own, found.parts)
        found.edits += text.edits
        if text.is_sdp:
            found.has_description = True
            for section in text.sections:
                self._read_section(text, section, found)
        else:
            text.loose += [line for line, _ in text.sections[0].candidates]
            found.ends += len(text.sections[0].ends)
        for line in text.loose:
            self._read_trickled(line, _named(line, place), found)

    def _read_section(self, text: Description, section: Section, found: _Findings) -> None:
        ufrag = section.ufrag or text.sections[0].ufrag
        pwd = section.pwd or text.sections[0].pwd
        if ufrag and pwd:
            self._path.learn_credentials(self.source, IceCredentials(ufrag, pwd, text.lite))
            self._transports.learn(section.mid, section.index, ufrag)
        place = Place(ufrag, section.mid, section.index)
        kept = 0
        for line, removal in section.candidates:
            if self._is_wanted(line, _named(line, place)) and not kept:
                kept = 1
                self._transports.tell(place)
                found.edits += line.put(self._own)
            else:
                found.edits.append(removal)
        found.kept += kept
        if not self._may_end(place):
            found.edits += section.ends

    def _read_trickled(self, line: CandidateLine, place: Place, found: _Findings) -> None:
        if self._is_wanted(line, place) and self._is_news(place):
            found.kept += 1
            found.edits += line.put(self._own)
        else:
            found.unwanted += 1
            found.disguises += line.disguise(self._own)

    def _read_object(self, view: View, node: Node, place: Place, found: _Findings) -> None:
        ufrag, pwd = string_of(view, node.get(*_UFRAGS)), string_of(view, node.get(*_PWDS))
        if ufrag and pwd:
            self._path.learn_credentials(self.source, IceCredentials(ufrag, pwd, is_true(view, node.get("icelite"))))
            self._transports.learn(place.mid, place.index, ufrag)
            found.has_description = True
        mark = node.get("candidate", "ice", "icecandidate")
        if mark is not None and view.text[mark.start : mark.end] in ('""', "null"):
            found.ends += 1
        if (split := split_candidate(view, node)) is None:
            return
        if self._is_wanted(split, place) and self._is_news(place):
            found.kept += 1
        elif node.get("candidate") is None:
            found.unwanted += 1
        found.edits += split.disguise(self._own)


class _ToClient(_Direction):
    source = Side.BACKEND

    def __init__(self, path: ViewerPath, backend_host: str) -> None:
        super().__init__(path)
        self._backend_host = backend_host
        self._version = getattr(ip_address(path.backend_facing.host), "version", None)
        self._hide(ip_address(backend_host))

    @property
    def _own(self) -> TransportAddress:
        return self._path.client_facing

    def _hide(self, address: IpAddress | None) -> None:
        """Never let this address out. Addresses that mean nothing elsewhere stay usable, as descriptions hold them."""
        if address is None or address == ip_address(self._own.host) or len(self._hidden) >= MAX_REMEMBERED:
            return
        if not address.is_unspecified and str(address) not in ADDRESSES_OF_NOBODY:
            self._hidden.add(address)

    def _is_wanted(self, candidate: Candidate, place: Place) -> bool:
        if candidate.address is None:
            return False
        host, port = candidate.address.host, candidate.address.port
        # A backend that hides its address behind an mDNS name still stands where its route says.
        address = ip_address(self._backend_host if host.lower().endswith(".local") else host)
        self._hide(address)
        if address is None or address.is_link_local or address.is_unspecified or address.is_multicast:
            return False
        if not candidate.is_udp or candidate.component != 1 or candidate.kind == "relay" or not 0 < port < 65536:
            return False
        if address.version != self._version:
            return False
        return self._path.learn_backend_candidate(
            TransportAddress(str(address), port), ufrag=self._transports.ufrag(place)
        )

    def _is_news(self, place: Place) -> bool:
        return self._transports.tell(place)

    def _walk(self, view: View, node: Node, place: Place, found: _Findings, depth: int) -> None:
        # A backend's TURN servers and policy would keep the client from the relay.
        found.edits += without_ice_servers(view, node)
        super()._walk(view, node, place, found, depth)


class _ToBackend(_Direction):
    source = Side.CLIENT

    @property
    def _own(self) -> TransportAddress:
        return self._path.backend_facing  # may change with what the backend names

    def _is_wanted(self, candidate: Candidate, place: Place) -> bool:
        return candidate.is_udp and candidate.component == 1

    def _is_news(self, place: Place) -> bool:
        self._transports.tell(place)
        return True

    def _is_empty(self, found: _Findings, may_withhold: bool) -> bool:
        # A backend that hears the end before any candidate gives up at once.
        return super()._is_empty(found, may_withhold) or (found.ends > 0 and not self._transports.told)

    def _may_end(self, place: Place) -> bool:
        return self._transports.has_told(place.ufrag)


def _named(line: CandidateLine, place: Place) -> Place:
    return replace(place, ufrag=line.ufrag) if line.ufrag else place


def _place(view: View, node: Node, around: Place) -> Place:
    mid = string_of(view, node.get("sdpmid", "mid"))
    index = number_of(view, node.get("sdpmlineindex", "mlineindex"))
    return Place(
        string_of(view, node.get(*_UFRAGS)) or around.ufrag,
        around.mid if mid is None else mid,
        around.index if index is None else index,
    )
