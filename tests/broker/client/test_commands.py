"""The client's commands against a real broker."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from broker.cli import main
from tests.broker.api.serving import SaidProvider, Served, serving
from tests.broker.client.command import Done, begun, ended, pixelferry
from tests.broker.samples import make_profile

UNKNOWN = "00000000-0000-4000-8000-000000000000"
ESCAPE = "\x1b[31mred"


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(provider=SaidProvider()) as it:
        yield it


async def line_of(process: Process, pattern: str) -> str:
    """The first line on standard output that matches."""
    assert process.stdout is not None
    async with asyncio.timeout(15):
        while line := (await process.stdout.readline()).decode():
            if re.search(pattern, line):
                return line
    raise AssertionError(f"{pattern} never came")


def assert_complaint(done: Done, status: int, *told: str) -> None:
    assert done.status == status, done
    assert len(done.err.splitlines()) == 1 and done.err.startswith("pixelferry: "), done.err
    assert all(part in done.err for part in told), done.err


async def test_apps_lists_the_catalog(served: Served) -> None:
    done = await pixelferry(served.url, "apps")
    assert done.status == 0 and done.err == ""
    heads, app, other = done.out.splitlines()
    assert heads.split() == ["ID", "NAME", "VERSIONS", "PROFILES"]
    assert app.split()[:2] == ["app", "App"] and "1.10.0, 1.9.0, 1.0.0" in app and app.endswith("default")
    assert other.startswith("other")
    tagged = await pixelferry(served.url, "apps", "--tag", "a", "--json")
    assert [(item["id"], item["versions"][0]) for item in json.loads(tagged.out)] == [("app", "1.10.0")]


async def test_start_waits_for_readiness_and_tells_routes_and_page(served: Served) -> None:
    done = await pixelferry(served.url, "start", "app", "--arg", "stage=a=b")
    assert done.status == 0, done
    assert done.err == "", "no progress line where there is no terminal"
    fields = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert fields["State"] == "ready" and fields["Host"] == "127.0.0.1"
    assert fields["Signaling"].startswith("TCP ") and fields["Media"].startswith("UDP ")
    assert fields["Page"] == f"{served.url}/#session={fields['Session']}"
    assert served.provider.orders[0].arguments == {"stage": "a=b"}


async def test_the_list_tells_the_place_of_who_waits() -> None:
    async with serving(profile=replace(make_profile(slots=1), queue=1)) as served:
        for _ in range(2):
            await pixelferry(served.url, "start", "app", "--wait", "0")
        row = (await pixelferry(served.url, "list")).out.splitlines()[2]
    assert row.endswith("waiting for a free slot, place 1 in the queue")


async def test_a_session_is_shown_listed_and_stopped_by_how_its_id_begins(served: Served) -> None:
    started = (await pixelferry(served.url, "start", "app", "--json")).json
    stream = str(started["id"])
    assert started["page"] == f"{served.url}/#session={stream}"
    shown = (await pixelferry(served.url, "show", stream[:8], "--json")).json
    assert shown["id"] == stream and shown["routes"] == started["routes"]
    told = (await pixelferry(served.url, "show", stream)).out
    assert f"Ends         {shown['ends_at']} (ends: never connected)" in told
    (row,) = (await pixelferry(served.url, "list")).out.splitlines()[1:]
    assert row.split()[:4] == [stream, "app", "ready", "anonymous"]
    stopped = await pixelferry(served.url, "stop", stream[:8])
    assert (stopped.status, stopped.out) == (0, f"Session {stream} ended.\n")
    assert (await pixelferry(served.url, "list")).out == "There is no session.\n"
    assert json.loads((await pixelferry(served.url, "list", "--json")).out) == []


async def test_start_without_waiting_tells_what_there_is(served: Served) -> None:
    served.provider.hold = True
    done = await pixelferry(served.url, "start", "app", "--wait", "0", "--json")
    assert done.status == 0
    status = done.json["status"]
    assert isinstance(status, dict) and status["condition"] == "pending"


async def test_start_gives_up_waiting_with_a_status_of_its_own_and_leaves_the_session(served: Served) -> None:
    served.provider.hold = True
    done = await pixelferry(served.url, "start", "app", "--wait", "1")
    assert_complaint(done, 5, "not ready within 1 s", "pixelferry watch", "pixelferry stop")
    assert len((await served.call("GET", "/stream")).items) == 1


async def test_start_tells_why_a_session_ended_and_nothing_to_the_terminal(served: Served) -> None:
    served.provider.fail = f"no licence {ESCAPE}"
    done = await pixelferry(served.url, "start", "app")
    assert done.status == 1
    assert "no licence" in done.err and "\x1b" not in done.out + done.err


async def test_the_same_key_starts_one_session(served: Served) -> None:
    ids = {
        (await pixelferry(served.url, "start", "app", "--idempotency-key", "k", "--json")).json["id"] for _ in range(2)
    }
    assert len(ids) == 1


async def test_an_interrupted_start_ends_what_it_began() -> None:
    provider = SaidProvider()
    provider.hold = True
    async with serving(provider=provider) as served:
        process = await begun(served.url, "start", "app")
        stream = ""
        for _ in range(500):
            if items := (await served.call("GET", "/stream")).items:
                stream = str(items[0]["id"])
                break
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        done = await ended(process)
        assert done.status == 130 and "Traceback" not in done.err
        assert f"session {stream} was ended" in done.err
        assert (await served.call("GET", "/stream")).items == []


async def test_watch_tells_what_happens_until_the_end(served: Served) -> None:
    stream = str((await served.start()).json["id"])
    process = await begun(served.url, "watch", stream)
    await line_of(process, "ready: Session is active")
    await line_of(process, "route: 127.0.0.1")
    await served.call("DELETE", f"/stream/{stream}")
    done = await ended(process)
    assert done.status == 0 and "ended (deleted): Session was deleted" in done.out


async def test_watch_of_all_tells_of_each_and_ends_quietly_when_interrupted(served: Served) -> None:
    process = await begun(served.url, "watch", "--json")
    await line_of(process, '"event": "reset"')
    stream = str((await served.start()).json["id"])
    assert json.loads(await line_of(process, "ready"))["session_id"] == stream
    process.send_signal(signal.SIGINT)
    done = await ended(process)
    assert (done.status, done.err) == (130, "")


async def test_what_is_not_there_has_a_status_of_its_own(served: Served) -> None:
    assert_complaint(await pixelferry(served.url, "show", UNKNOWN), 3, UNKNOWN)
    assert_complaint(await pixelferry(served.url, "watch", UNKNOWN), 3, UNKNOWN)
    assert_complaint(await pixelferry(served.url, "stop", "beef"), 3, "beef", "pixelferry list")
    assert_complaint(await pixelferry(served.url, "start", "nothing"), 3, "nothing")


async def test_a_session_that_has_ended_is_shown_with_its_reason(served: Served) -> None:
    stream = str((await served.start()).json["id"])
    served.provider.kill_all("out of memory")
    await served.until(f"/stream/{stream}", 410)
    done = await pixelferry(served.url, "show", stream)
    assert done.status == 3
    assert "backend_failed" in done.out and "out of memory" in done.out


async def test_an_address_that_is_none_of_the_api_is_said_to_be_so(served: Served) -> None:
    done = await pixelferry(served.url + "/elsewhere", "list")
    assert done.status == 6
    assert "is no address of a broker's API" in done.err


async def test_stopping_several_stops_those_that_are_there(served: Served) -> None:
    stream = str((await served.start()).json["id"])
    done = await pixelferry(served.url, "stop", UNKNOWN, stream)
    assert done.status == 3 and f"Session {stream} ended." in done.out


async def test_a_wrong_argument_is_named(served: Served) -> None:
    done = await pixelferry(served.url, "start", "app", "--arg", "colour=red")
    assert_complaint(done, 2, "colour")


async def test_no_capacity_has_a_status_of_its_own() -> None:
    async with serving(profile=make_profile(slots=1), quota_total=1) as served:
        await served.start()
        assert_complaint(await pixelferry(served.url, "start", "app"), 5, "Try again")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("start",), "application"),
        (("start", "app", "--arg", "noequals"), "NAME=VALUE"),
        (("start", "app", "--wait", "-1"), "0 to 86400"),
        (("start", "app", "--wait", "nan"), "0 to 86400"),
        (("show",), "session"),
        (("list", "--url", "ftp://x"), "http://127.0.0.1:8080"),
        (("list", "--url", "http://user:pass@127.0.0.1:1"), "http://127.0.0.1:8080"),
        (("list", "--token", "a\nb"), "token"),
    ],
)
def test_a_wrong_command_is_told_before_anything_is_done(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status: object = main(arguments)
    except SystemExit as stopped:
        status = stopped.code
    assert status == 2 and told in capsys.readouterr().err


async def test_nobody_there_has_a_status_of_its_own_and_the_address_is_named(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    for command in (("list",), ("watch", UNKNOWN), ("start", "app")):
        assert_complaint(await pixelferry(url, *command), 6, url, "--url")


async def test_something_else_that_answers_there_is_no_broker() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert_complaint(await pixelferry(url, "list"), 6, "no Pixelferry broker")


async def test_the_option_comes_before_the_environment(served: Served, unused_tcp_port: int) -> None:
    done = await pixelferry(f"http://127.0.0.1:{unused_tcp_port}", "list", "--url", served.url + "/")
    assert done.status == 0


async def test_a_reader_that_has_enough_ends_the_watch_without_a_trace(served: Served) -> None:
    await served.start()
    process = await begun(served.url, "watch", "--json")
    await line_of(process, "reset")
    assert process.stdout is not None
    process.stdout._transport.close()  # type: ignore[attr-defined]
    await served.start()
    assert process.stderr is not None
    async with asyncio.timeout(15):
        assert await process.wait() == 130
    assert b"Traceback" not in await process.stderr.read()
