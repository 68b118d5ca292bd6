"""Logging, set up in one place: lines for people, or one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from aiohttp.http_exceptions import HttpProcessingError

from broker.settings import LogFormat, LogLevel

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Time, level, logger, message, and whatever the call's `extra` brought (session, route, relay, …)."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD and name not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def is_ours(record: logging.LogRecord) -> bool:
    """Whether a record of the HTTP library is about us: that somebody sent no HTTP is answered 400, and no news."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def set_up(form: LogFormat, level: LogLevel) -> None:
    """Log to standard error from here on."""
    handler = logging.StreamHandler(sys.stderr)
    if form is LogFormat.JSON:
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=level.value.upper(), handlers=[handler], force=True)
    logging.getLogger("aiohttp.server").addFilter(is_ours)
