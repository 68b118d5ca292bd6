"""Viewers who may only watch open nothing and change nothing, whatever they send."""

import asyncio
from pathlib import Path

from streamer.server import StreamServer
from streamer.usd_viewer.application import UsdViewer
from streamer.usd_viewer.settings import LoadLimits, UsdSettings
from tests.streamer.client import watching
from tests.streamer.conftest import OpenServer
from tests.streamer.control import claim, status
from tests.streamer.usd_viewer.stages import mesh, world


async def view_only(server: StreamServer) -> int:
    """Messages dropped because of who sent them."""
    viewers = (await status(server))["viewers"]
    assert isinstance(viewers, list)
    return sum(viewer["dropped"]["view_only"] for viewer in viewers)


async def test_a_view_only_viewer_opens_nothing_and_a_controller_does(open_server: OpenServer, tmp_path: Path) -> None:
    (tmp_path / "first.usda").write_text(world(mesh()))
    (tmp_path / "second.usda").write_text(world(mesh()))
    server = await open_server(UsdViewer(UsdSettings(tmp_path, LoadLimits(20.0, 2**30))))
    await claim(server, arguments={"usd_stage_uri": "first.usda"})
    async with (
        watching(server, role="viewer", viewer="watcher") as watcher,
        watching(server, viewer="steersman") as controller,
    ):
        assert (await controller.hear("openedStageResult"))["url"] == "first.usda"
        for message in (
            {"event_type": "openStageRequest", "payload": {"url": "second.usda"}},
            {"event_type": "selectPrimsRequest", "payload": {"paths": ["/World/Quad"]}},
            {"event_type": "getChildrenRequest", "payload": {"prim_path": "/World"}},
        ):
            await watcher.send(watcher.messages, message)
        async with asyncio.timeout(10):
            while await view_only(server) < 3:  # noqa: ASYNC110  what is asked over HTTP has no event
                await asyncio.sleep(0.02)
        await controller.send(controller.messages, {"event_type": "loadingStateQuery", "payload": {}})
        assert await controller.hear("loadingStateResponse") == {"loading_state": "idle", "url": "first.usda"}
        await controller.send(
            controller.messages, {"event_type": "openStageRequest", "payload": {"url": "second.usda"}}
        )
        assert (await controller.hear("openedStageResult"))["url"] == "second.usda"
        told = [(await watcher.hear("openedStageResult"))["url"] for _ in range(2)]
    assert told[-1] == "second.usda"
