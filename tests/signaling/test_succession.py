"""Relays in processes of their own that follow one another, or fail to."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from websockets.asyncio.client import ClientConnection

from signaling.routes import Route
from tests.signaling.media_rig import until
from tests.signaling.test_relay import backend, route, view
from tests.system.failures.nursery import Child, Nursery, nursery


async def start(children: Nursery, folder: Path, *options: str) -> Child:
    """A relay's process."""
    log = folder / f"log-{secrets.token_hex(4)}"
    log.touch()
    arguments = ["--folder", str(folder), *options]
    return await children.spawn("tests.signaling.relay_process:main", arguments, log=log)


async def says(child: Child, word: str) -> None:
    await until(lambda: word in child.log.read_text(), timeout_s=10)


async def still_passes(viewer: ClientConnection, word: str) -> None:
    await viewer.send(word)
    async with asyncio.timeout(5):
        assert await viewer.recv() == word


def write(folder: Path, *routes: Route) -> None:
    (folder / "routes.json").write_text(json.dumps([one.to_json() for one in routes]))


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Nursery, Child, Route, ClientConnection]]:
    """A relay's process, its route, and a viewer that talks to a backend through it."""
    async with backend() as port, nursery(["tests.signaling.relay_process"]) as children:
        wanted = route(backend_port=port)
        write(folder, wanted)
        first = await start(children, folder)
        await says(first, "serving")
        viewer = await view(wanted)
        yield children, first, wanted, viewer
        await viewer.close()


async def test_a_viewer_talks_on_through_each_process_that_follows(tmp_path: Path) -> None:
    async with served(tmp_path) as (children, first, wanted, viewer):
        for word in ("through the second", "through the third"):
            second = await start(children, tmp_path, "--takeover")
            await says(second, "serving")
            await says(first, "handed over 1 routes")
            await first.ended.wait()
            assert first.status == 0
            await still_passes(viewer, word)
            first = second
        newcomer = await view(wanted)
        await newcomer.close()


async def test_who_fails_to_follow_leaves_the_predecessor_serving(tmp_path: Path) -> None:
    async with served(tmp_path) as (children, first, wanted, viewer):
        for options, status, word in (
            (("--takeover", "--die", "untaken"), -signal.SIGKILL, ""),
            (("--takeover", "--die", "taken"), -signal.SIGKILL, ""),
            (("--takeover", "--stranger"), 1, "refused: the predecessor serves on: this is relay r1"),
        ):
            second = await start(children, tmp_path, *options)
            async with asyncio.timeout(10):
                await second.ended.wait()
            assert second.status == status
            await says(second, word)
            await still_passes(viewer, "through the first")
        newcomer = await view(wanted)
        await newcomer.close()
        last = await start(children, tmp_path, "--takeover")
        await says(last, "serving")
        await says(first, "handed over 1 routes")
        await still_passes(viewer, "through the last")


async def test_a_predecessor_that_is_killed_keeps_no_successor_out(tmp_path: Path) -> None:
    async with served(tmp_path) as (children, first, wanted, viewer):
        second = await start(children, tmp_path, "--takeover", "--kill", str(first.pid))
        await says(second, "serving")
        await first.ended.wait()
        assert first.status == -signal.SIGKILL
        await still_passes(viewer, "through the second, which was told all before")
        await second.end(signal.SIGKILL)
        third = await start(children, tmp_path, "--takeover")
        await says(third, "serving")
        newcomer = await view(wanted)
        await newcomer.close()
