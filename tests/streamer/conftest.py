"""A stream server for each test that asks for one."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from streamer.server import StreamServer
from streamer.settings import Bitrates, StreamSettings
from streamer.source import Application, VideoFormat

TOKEN = "the control token"
VIDEO = VideoFormat(320, 180, 30)

OpenServer = Callable[..., Awaitable[StreamServer]]


@pytest.fixture
async def open_server() -> AsyncIterator[OpenServer]:
    """Opens servers on free loopback ports; they are closed after the test."""
    servers: list[StreamServer] = []

    async def open_one(application: Application, **changes: object) -> StreamServer:
        fixed: dict[str, object] = {
            "signaling_port": 0,
            "media_port": 0,
            "control_token": TOKEN,
            "video": VIDEO,
            "bitrates": Bitrates(start=1_000_000),
        }
        server = StreamServer(application, StreamSettings(**(fixed | changes)))  # type: ignore[arg-type]
        servers.append(server)
        await server.open()
        return server

    yield open_one
    for server in servers:
        await server.close()
