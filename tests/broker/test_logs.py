from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from aiohttp.http_exceptions import BadHttpMessage

from broker.logs import set_up
from broker.settings import LogFormat, LogLevel

logger = logging.getLogger("broker.somewhere")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers, root.level = handlers, level
    logging.getLogger("aiohttp.server").filters = []


def test_lines_for_people_say_when_where_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(LogFormat.TEXT, LogLevel.INFO)
    logger.info("hello %s", "you")
    logger.debug("not told")
    line = capsys.readouterr().err
    assert "INFO" in line and "broker.somewhere: hello you" in line and "not told" not in line


def test_json_lines_carry_what_the_call_brought(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(LogFormat.JSON, LogLevel.DEBUG)
    logger.info("hello\n%s", "you", extra={"session": "s", "thing": object})
    try:
        raise ZeroDivisionError("oops")
    except ZeroDivisionError:
        logger.exception("failed")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first.pop("time").endswith("+00:00")
    assert first.pop("thing") == str(object)
    assert first == {"level": "info", "logger": "broker.somewhere", "message": "hello\nyou", "session": "s"}
    assert second["level"] == "error" and "oops" in second["exception"]


def test_bytes_that_are_no_http_are_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(LogFormat.TEXT, LogLevel.INFO)
    for error in (BadHttpMessage("nonsense"), ZeroDivisionError("our own")):
        try:
            raise error
        except Exception:
            logging.getLogger("aiohttp.server").exception("Error handling request")
    told = capsys.readouterr().err
    assert "our own" in told and "nonsense" not in told
