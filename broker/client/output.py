"""What the client prints: lines for people, JSON for scripts, and a line that moves while one waits."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from broker.client.answers import JsonObject, Session

_CLEAR = "\r\x1b[K"


def plain(text: object) -> str:
    """Text from elsewhere in one line that does nothing to a terminal."""
    return "".join(character if character.isprintable() else " " for character in str(text)).strip()


def say(text: str) -> None:
    """A line for people."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say_json(value: object) -> None:
    """A line for scripts."""
    say(json.dumps(value))


def complain(text: str) -> None:
    """A line about what went wrong."""
    sys.stderr.write(f"pixelferry: {plain(text)}\n")


def say_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need to be, the last one as it comes."""
    table = [heads, *([plain(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads) - 1)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        say("  ".join([*cells, row[-1]]).rstrip())


def say_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Names and values, those without a value left out."""
    width = max((len(name) for name, value in fields if value), default=0)
    for name, value in fields:
        if value:
            say(f"{name.ljust(width)}  {plain(value)}")


def age_of(session: Session, now: datetime) -> str:
    """How long ago it was created."""
    try:
        created = datetime.fromisoformat(session.text("created_at"))
    except ValueError:
        return ""
    seconds = int((now - created.astimezone(UTC)).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} s"


def queue_words(queue: object) -> str:
    """Position and estimate."""
    if not isinstance(queue, dict) or queue.get("position") is None:
        return ""
    eta = queue.get("eta_s")
    about = f", about {eta:.0f} s" if isinstance(eta, int | float) else ""
    return f"place {queue['position']} in the queue{about}"


def event_words(name: str, data: JsonObject) -> str:
    """What an event tells, for people; empty for what tells them nothing."""
    match name:
        case "state":
            return f"{data.get('phase') or data.get('state')}: {data.get('message')}"
        case "queue":
            return queue_words(dict(data))
        case "route":
            return f"route: {data.get('host')}, signaling {data.get('signaling_port')}, media {data.get('media_port')}"
        case "viewer":
            return "a viewer came" if data.get("present") else "no viewer is left"
        case "warning":
            return f"warning: {data['message']} (at {data.get('ends_at')})" if data.get("reason") else "no end is near"
        case "ended":
            return f"ended ({data.get('end_reason')}): {data.get('message')}"
        case _:
            return ""


class Progress:
    """One line on a terminal that tells what is waited for; nothing anywhere else."""

    def __init__(self, *, quiet: bool) -> None:
        self._shows = not quiet and sys.stderr.isatty()
        self._shown = False

    def tell(self, text: str, waited_s: float) -> None:
        """Put this in the place of what was there."""
        if self._shows:
            sys.stderr.write(f"{_CLEAR}{waited_s:4.0f} s  {plain(text)[:100]}")
            sys.stderr.flush()
            self._shown = True

    def clear(self) -> None:
        """Leave an empty line."""
        if self._shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
            self._shown = False
