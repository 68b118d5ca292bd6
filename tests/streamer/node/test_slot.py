"""Slots with real processes in them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

from streamer.core.restarts import Restarts
from streamer.node.settings import usage_environment
from streamer.node.slot import Slot, SlotStatus

BACKEND = (sys.executable, str(Path(__file__).with_name("backend.py")))


def free_range(count: int) -> range:
    """Ports next to each other that were free a moment ago."""
    for start in range(20_000 + os.getpid() % 5_000 * 2, 45_000, count):
        try:
            for port in range(start, start + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return range(start, start + count)
    raise AssertionError("no ports are free")


class Kept:
    """A slot that runs, and what it said."""

    def __init__(self, slot: Slot, http: aiohttp.ClientSession, changed: asyncio.Event) -> None:
        self.slot = slot
        self._http = http
        self._changed = changed

    async def until(self, wanted: Callable[[SlotStatus], bool]) -> SlotStatus:
        async with asyncio.timeout(10):
            while not wanted(self.slot.status):
                self._changed.clear()
                await self._changed.wait()
        return self.slot.status

    async def ask(self, method: str, path: str, body: object = None) -> object:
        status = self.slot.status
        headers = {"Authorization": f"Bearer {status.control_token}"}
        url = f"http://127.0.0.1:{status.control_port}/v1/{path}"
        async with self._http.request(method, url, json=body, headers=headers) as answer:
            return await answer.json()


@asynccontextmanager
async def kept(*arguments: str, ports: range | None = None, restarts: Restarts | None = None) -> AsyncIterator[Kept]:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    changed = asyncio.Event()
    async with aiohttp.ClientSession() as http:
        slot = Slot(
            3,
            (*BACKEND, *arguments),
            usage_environment(),
            http,
            host="127.0.0.1",
            ports=ports or free_range(6),
            changed=changed.set,
            restarts=restarts or Restarts(first_s=0.01),
        )
        task = asyncio.create_task(slot.run())
        try:
            yield Kept(slot, http, changed)
        finally:
            task.cancel()
            await asyncio.wait((task,))
    assert {child.pid for child in psutil.Process().children(recursive=True)} == before


def idle(status: SlotStatus) -> bool:
    return status.state == "idle"


async def test_a_backend_is_kept_up_and_used_again() -> None:
    async with kept() as one:
        first = await one.until(idle)
        await one.ask("PUT", "session", {"session_id": "session-1"})
        assert (await one.until(lambda status: status.state == "claimed")).session_id == "session-1"
        await one.slot.release("session-2")
        await one.slot.release("session-1")
        again = await one.until(idle)
        assert (again.instance, again.session_id) == (first.instance, None), "it is the same run"


async def test_a_backend_that_ends_is_followed_by_another_with_other_secrets() -> None:
    async with kept() as one:
        first = await one.until(idle)
        environment = await one.ask("GET", "environment")
        assert isinstance(environment, dict)
        assert environment["PIXELFERRY_CONTROL_TOKEN"] == first.control_token
        with pytest.raises(aiohttp.ClientError):
            await one.ask("PUT", "session", {"session_id": "exit"})
        told = await one.until(lambda status: status.instance != first.instance)
        assert (told.state, told.message) == ("starting", "The streaming backend exited with status 3")
        second = await one.until(idle)
        assert second.control_token != first.control_token
        assert second.signaling_port == first.signaling_port, "its ports are free again"


async def test_a_backend_that_does_not_stay_up_is_broken_and_says_why() -> None:
    async with kept("--fails") as one:
        broken = await one.until(lambda status: status.state == "failed")
        assert "exited with status 1. Its last words: no GPU is free" in broken.message
        assert broken.control_token not in broken.message and "***" in broken.message


async def test_a_command_that_is_not_there_is_told() -> None:
    async with aiohttp.ClientSession() as http:
        changed = asyncio.Event()
        slot = Slot(0, ("/nonexistent",), {}, http, host="127.0.0.1", ports=free_range(3), changed=changed.set)
        task = asyncio.create_task(slot.run())
        try:
            one = Kept(slot, http, changed)
            await one.until(lambda status: "could not be started" in status.message)
        finally:
            task.cancel()
            await asyncio.wait((task,))


async def test_ports_that_others_hold_are_left_to_them() -> None:
    ports = free_range(6)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", ports.start + 1))
        async with kept(ports=ports) as one:
            assert (await one.until(idle)).signaling_port == ports.start + 3


async def test_ports_that_a_backend_found_taken_are_not_tried_again_at_once() -> None:
    ports = free_range(6)
    async with kept("--port-taken", ports=ports) as one:
        await one.until(lambda status: status.signaling_port == ports.start + 3)
        await one.until(lambda status: status.signaling_port == ports.start)


async def test_a_slot_without_any_port_is_broken() -> None:
    ports = free_range(3)
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports.start))
        async with kept(ports=ports) as one:
            broken = await one.until(lambda status: status.state == "failed")
            assert "ports" in broken.message


async def test_a_backend_dies_with_its_node_however_that_dies() -> None:
    script = (
        "import asyncio, sys\n"
        "from streamer.node.child import Child\n"
        "async def main():\n"
        "    child = await Child.start('x', ['sleep', '60'], {'PATH': '/bin:/usr/bin'}, secret='s')\n"
        "    print(child._process.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    node = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert node.stdout is not None
    child = psutil.Process(int(await node.stdout.readline()))
    node.send_signal(signal.SIGKILL)
    await node.wait()
    await asyncio.to_thread(psutil.wait_procs, [child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
