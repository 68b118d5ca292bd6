"""The audit log: one line for each act, done or refused, with who, from where, in which request. Never a secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from logging.handlers import WatchedFileHandler
from pathlib import Path

from broker.configuration import ConfigurationError
from broker.core.acts import Act, acts_between
from broker.core.principal import ITSELF
from broker.core.session import Session

logger = logging.getLogger("pixelferry.audit")

Value = str | int | float | None


class Outcome(StrEnum):
    """How an act went. `FAILED`: it was not the caller's fault."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Asked:
    """The request in which something is done."""

    request_id: str
    source: str


ASKED: ContextVar[Asked | None] = ContextVar("asked", default=None)
"""The request that the running task serves; None for what the broker does of itself."""


def audit_session(before: Session | None, after: Session) -> None:
    """Tell what a write did: as `Store.listen` wants it."""
    for act in acts_between(before, after):
        _tell_act(act)


def audit_request(
    act: str, subject: str, *, by: str, outcome: Outcome, status: int, detail: Mapping[str, Value] | None = None
) -> None:
    """Tell what a request did, or was not let do, that no write of a session tells."""
    _tell(act, subject, by, outcome, {"status": status, **(detail or {})})


def _tell_act(act: Act) -> None:
    name = f"{act.kind.value} session"
    _tell(name, act.session_id, act.by, Outcome.DONE, {"owner": act.owner, **act.detail}, own=act.by == ITSELF.name)


def _tell(act: str, subject: str, by: str, outcome: Outcome, detail: Mapping[str, Value], *, own: bool = False) -> None:
    asked = None if own else ASKED.get()
    line: dict[str, Value] = {
        "act": act,
        "subject": subject,
        "by": by,
        "outcome": outcome.value,
        "request_id": asked.request_id if asked is not None else None,
        "source": asked.source if asked is not None else None,
        **detail,
    }
    logger.info("%s %s by %s: %s", act, subject, by, outcome.value, extra={"audit": line})


class AuditFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json.dumps({"at": at, **getattr(record, "audit", {})})


def log_to(path: Path) -> logging.Handler:
    """Append the audit log to this file and nowhere else; one that was moved away is begun anew.

    Raises ConfigurationError when it cannot be written.
    """
    try:
        path.touch(mode=0o600)
        handler = WatchedFileHandler(path, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError("settings", "audit_log", f"{path} cannot be written: {error.strerror}") from error
    handler.setFormatter(AuditFormatter())
    logger.addHandler(handler)
    logger.propagate = False
    return handler
