from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.audit import ASKED, Asked, Outcome, audit_request, audit_session, log_to, logger
from broker.configuration import ConfigurationError
from broker.core.session import EndReason, ended
from broker.logs import JsonFormatter
from tests.broker.samples import make_session


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Path]:
    """The file that the audit log goes to."""
    path, level = tmp_path / "audit.jsonl", logger.level
    logger.setLevel(logging.INFO)
    handler = log_to(path)
    yield path
    logger.removeHandler(handler)
    handler.close()
    logger.propagate, logger.level = True, level


def told(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_write_is_told_with_the_request_that_made_it(lines: Path) -> None:
    token = ASKED.set(Asked("r1", "10.1.2.3"))
    audit_session(None, make_session())
    ASKED.reset(token)
    (line,) = told(lines)
    assert str(line.pop("at")).endswith("Z")
    assert line == {
        "act": "create session",
        "subject": make_session().id,
        "by": "someone",
        "outcome": "done",
        "request_id": "r1",
        "source": "10.1.2.3",
        "owner": "someone",
        "application": "app",
        "version": "1.0.0",
        "profile": "default",
    }


def test_what_the_broker_does_of_itself_is_of_no_request(lines: Path) -> None:
    token = ASKED.set(Asked("r1", "10.1.2.3"))
    audit_session(make_session(), ended(make_session(), EndReason.IDLE, "", 1001.0))
    ASKED.reset(token)
    (line,) = told(lines)
    assert (line["by"], line["reason"]) == ("pixelferry", "idle")
    assert line["request_id"] is None and line["source"] is None


def test_what_was_refused_is_told_with_its_status_in_one_line_whatever_the_name(lines: Path) -> None:
    audit_request("DELETE /stream/{id}", 'x"\n}', by="m\r\ne", outcome=Outcome.REFUSED, status=403)
    (line,) = told(lines)
    assert (line["subject"], line["by"], line["status"], line["outcome"]) == ('x"\n}', "m\r\ne", 403, "refused")


def test_a_file_that_was_moved_away_is_begun_anew(lines: Path) -> None:
    audit_session(None, make_session())
    lines.rename(lines.with_suffix(".1"))
    audit_session(None, make_session())
    assert len(told(lines)) == len(told(lines.with_suffix(".1"))) == 1
    assert lines.with_suffix(".1").stat().st_mode & 0o077 == 0


def test_a_file_that_cannot_be_written_stops_the_start_and_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"audit_log.*nowhere"):
        log_to(tmp_path / "nowhere" / "audit.jsonl")


def test_without_a_file_of_its_own_it_goes_into_the_usual_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pixelferry.audit"):
        audit_session(None, make_session())
    (record,) = caplog.records
    assert record.getMessage() == f"create session {make_session().id} by someone: done"
    assert json.loads(JsonFormatter().format(record))["audit"]["act"] == "create session"
