"""How a session lies in Redis, and how its changes are told there: texts that Lua reads by lines and words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from broker.core.events import Event, EventDraft
from broker.core.ledger import claims_of, pools_of
from broker.core.session import Session
from broker.stores.session_json import load_events, load_session
from signaling.redis_link import Reply

_PLAIN = re.compile(r"[!-$&-~]+", re.ASCII)
_STAMP = re.compile(r"([0-9]{1,16})-([0-9]{1,12})", re.ASCII)
_SEQUENCE = 1_000_000_000_000


def word(name: str) -> str:
    """A name as one word without spaces: names of pools hold whatever an owner is called."""
    return name if _PLAIN.fullmatch(name) else quote(name, safe="/", errors="surrogatepass")


def name_of(word: str) -> str:
    """The name that became this word."""
    return unquote(word, errors="surrogatepass")


def words(names: Iterable[str]) -> str:
    """Names as one line, the same for the same names."""
    return " ".join(sorted(map(word, names)))


def pairs(values: Mapping[str, float]) -> str:
    """Names and numbers, in turn, as one line."""
    return " ".join(f"{word(name)} {value!r}" for name, value in values.items())


@dataclass(frozen=True, slots=True)
class Holding:
    """What a session holds and counts in, and the same for the scripts: two lines."""

    claims: frozenset[str]
    pools: frozenset[str]
    header: str

    @classmethod
    def of(cls, session: Session, before: Holding | None = None) -> Holding:
        """Of a session; where it is that of `before`, that is returned."""
        claims, pools = claims_of(session), pools_of(session)
        if before is not None and before.claims == claims and before.pools == pools:
            return before
        return cls(claims, pools, f"{words(claims)}\n{words(pools)}")


NOTHING = Holding(frozenset(), frozenset(), "\n")


def place_of(stamp: str) -> int:
    """Where in the order of changes the one with this stamp stands; raises ValueError."""
    match = _STAMP.fullmatch(stamp)
    if match is None:
        raise ValueError("no stamp")
    return int(match[1]) * _SEQUENCE + int(match[2])


@dataclass(frozen=True, slots=True)
class Record:
    """A session as it was written by the change that `stamp` names."""

    stamp: str
    session: Session

    @classmethod
    def parse(cls, session_id: str, text: bytes) -> Record:
        """Read what the script `write` makes; raises ValueError for anything else."""
        stamp, *_, json = _lines(text, 4)
        record = cls(stamp.decode(), load_session(json))
        place_of(record.stamp)
        if record.session.id != session_id:
            raise ValueError("another session's record")
        return record


def _lines(text: bytes, count: int) -> list[bytes]:
    lines = text.split(b"\n", count - 1)
    if len(lines) < count:
        raise ValueError("no record")
    return lines


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the stream of changes: a session as written, events, or both. `number` counts up by one.

    `json` is left as it is, for most changes are known already.
    """

    stamp: str
    number: int
    writer: str
    session_id: str | None
    json: bytes
    linger: Mapping[str, float]
    events: bytes
    first_event: int

    @classmethod
    def parse(cls, entry: Reply) -> Change:
        """Read an entry; raises ValueError."""
        match entry:
            case [bytes(stamp), [*fields]] if all(isinstance(field, bytes) for field in fields):
                texts = [field for field in fields if isinstance(field, bytes)]
            case _:
                raise ValueError("no change")
        found = dict(zip(texts[::2], texts[1::2], strict=True))
        session_id = found.get(b"i")
        return cls(
            stamp=stamp.decode(),
            number=int(found.get(b"n", b"")),
            writer=found.get(b"w", b"").decode(),
            session_id=None if session_id is None else session_id.decode(),
            json=found.get(b"j", b""),
            linger=_pairs_of(found.get(b"l", b"").decode()),
            events=found.get(b"e", b""),
            first_event=int(found.get(b"f", b"0")),
        )

    def session(self) -> Session:
        """The session as written; raises ValueError."""
        return load_session(self.json)

    def numbered_events(self) -> list[Event]:
        """Its events; raises ValueError."""
        drafts: tuple[EventDraft, ...] = load_events(self.events) if self.events else ()
        return [Event(self.first_event + at, draft) for at, draft in enumerate(drafts)]


def _pairs_of(text: str) -> dict[str, float]:
    found = text.split()
    return {name_of(name): float(at) for name, at in zip(found[::2], found[1::2], strict=True)}
