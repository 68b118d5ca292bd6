"""The main program as a process: start, signals, exit status, and the example of the documentation."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.streamer.client import Client, receive

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "streaming-backend.md"
FAILS = """
import streamer
class Broken:
    def start(self, arguments, outbox): raise RuntimeError("no licence")
    def render(self, video, at_s): return None
    def on_input(self, event): pass
    def on_message(self, event_type, payload): pass
    def stop(self): pass
streamer.run(Broken())
"""
HANGS = FAILS.replace('raise RuntimeError("no licence")', 'print("hanging", flush=True); import time; time.sleep(60)')


def free_ports() -> tuple[int, int, int]:
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        for sock in (one, two, three):
            sock.bind(("127.0.0.1", 0))
        signaling, media, control = (sock.getsockname()[1] for sock in (one, two, three))
        return signaling, media, control


def environment(signaling: int, media: int, control: int, **more: str) -> dict[str, str]:
    ours = {
        "PIXELFERRY_BACKEND_HOST": "127.0.0.1",
        "PIXELFERRY_SIGNALING_PORT": str(signaling),
        "PIXELFERRY_MEDIA_PORT": str(media),
        "PIXELFERRY_CONTROL_PORT": str(control),
    }
    foreign = {name: value for name, value in os.environ.items() if not name.startswith("PIXELFERRY_")}
    return foreign | {"PYTHONPATH": str(ROOT)} | ours | more


@asynccontextmanager
async def running(*command: str, env: Mapping[str, str]) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def last_words(process: Process) -> tuple[int | None, str]:
    async with asyncio.timeout(15):
        _, stderr = await process.communicate()
    return process.returncode, stderr.decode()


async def standalone_is_up(process: Process) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(15):
        while line := (await process.stderr.readline()).decode():
            if line.startswith("Streaming on"):
                return line
    raise AssertionError("the process ended before it streamed")


async def first_frame_of(signaling: int) -> tuple[int, ...]:
    async with connect(f"ws://127.0.0.1:{signaling}/", proxy=None) as websocket:
        await receive(websocket)
        client = Client(websocket)
        await client.take(await client.offer())
        shape = (await client.frame()).shape
        await client.close()
    return shape


def code_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


async def test_first_example_of_the_document_streams_in_ten_lines(tmp_path: Path) -> None:
    code = code_blocks()[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    (tmp_path / "my_app.py").write_text(code)
    signaling, media, control = free_ports()
    async with running(str(tmp_path / "my_app.py"), env=environment(signaling, media, control)) as process:
        line = await standalone_is_up(process)
        assert f"signaling port {signaling} (TCP), media port {media} (UDP)" in line
        assert await first_frame_of(signaling) == (720, 1280, 3)
        process.send_signal(signal.SIGINT)
        assert (await last_words(process))[0] == 0


async def test_every_whole_example_of_the_document_starts(tmp_path: Path) -> None:
    examples = [code for code in code_blocks()[1:] if "streamer.run(" in code]
    assert examples
    for number, code in enumerate(examples):
        path = tmp_path / f"example{number}.py"
        path.write_text(code)
        signaling, media, control = free_ports()
        async with running(str(path), env=environment(signaling, media, control)) as process:
            await standalone_is_up(process)
            assert len(await first_frame_of(signaling)) == 3
            process.terminate()
            assert (await last_words(process))[0] == 0


async def test_taken_port_exits_with_75_and_names_the_port() -> None:
    signaling, media, control = free_ports()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", signaling))
        holder.listen()
        env = environment(signaling, media, control, PIXELFERRY_CONTROL_TOKEN="t")
        async with running("-m", "streamer", "test-pattern", env=env) as process:
            code, words = await last_words(process)
    assert code == 75
    assert f"The signaling port 127.0.0.1:{signaling} is taken" in words


async def test_wrong_setting_exits_with_a_line_that_names_it() -> None:
    env = environment(0, 0, 0, PIXELFERRY_MEDIA_PORT="many")
    async with running("-m", "streamer", "test-pattern", env=env) as process:
        assert await last_words(process) == (2, "PIXELFERRY_MEDIA_PORT must be a port from 0 to 65535, not 'many'\n")


async def test_application_that_cannot_start_says_why_last(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(FAILS)
    async with running(str(tmp_path / "app.py"), env=environment(0, 0, 0)) as process:
        code, words = await last_words(process)
    assert code == 1
    assert words.splitlines()[-1] == "The application failed: RuntimeError: no licence"


async def test_sigterm_ends_even_a_hanging_application_in_time(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(HANGS)
    async with running(str(tmp_path / "app.py"), env=environment(0, 0, 0)) as process:
        assert process.stdout is not None
        async with asyncio.timeout(15):
            assert await process.stdout.readline() == b"hanging\n"
        process.terminate()
        async with asyncio.timeout(6):
            await process.communicate()
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [([], "name an application (test-pattern"), (["nothing"], "'test-pattern'"), (["test-pattern", "more"], "more")],
)
async def test_unknown_application_is_a_usage_error(arguments: list[str], told: str) -> None:
    async with running("-m", "streamer", *arguments, env=environment(0, 0, 0)) as process:
        code, words = await last_words(process)
    assert code == 2
    assert told in words


async def test_starting_loads_nothing_of_usd_vtk_or_the_broker() -> None:
    code = "import sys, streamer.run, streamer.server, streamer.test_pattern; print(sorted(sys.modules))"
    async with running("-c", code, env=environment(0, 0, 0)) as process:
        stdout, _ = await process.communicate()
    loaded = {name.partition(".")[0] for name in eval(stdout)}
    assert "aiortc" in loaded
    assert not loaded & {"pxr", "vtkmodules", "broker", "signaling", "pydantic"}
