"""A client of a streaming backend: signaling over WebSocket, an aiortc peer, all on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamTrack
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from streamer.aiortc_patch import ice_agents
from streamer.media_port import MediaPort
from streamer.server import StreamServer
from streamer.source import Frame, JsonObject
from streamer.stamp import Stamp, read_stamp

SESSION, SECRET = "session-1", "a secret"
WAIT_S = 10.0


def relay_headers(**changes: str) -> dict[str, str]:
    """What the relay adds to a handshake."""
    headers = {"Backend-Secret": SECRET, "Session": SESSION, "Viewer": "viewer-1", "Role": "controller"}
    headers |= {name.replace("_", "-").title(): value for name, value in changes.items()}
    return {f"Pixelferry-{name}": value for name, value in headers.items()}


@asynccontextmanager
async def signaling(
    server: StreamServer, *, path: str = f"/session/{SESSION}", **headers: str
) -> AsyncIterator[ClientConnection]:
    """A WebSocket to the backend, as the relay would open it."""
    async with connect(
        f"ws://127.0.0.1:{server.signaling_port}{path}",
        subprotocols=[Subprotocol(f"x-nv-sessionid.{SESSION}")],
        additional_headers=relay_headers(**headers),
        proxy=None,
        open_timeout=WAIT_S,
    ) as socket:
        yield socket


async def receive(socket: ClientConnection) -> dict[str, Any]:
    """The next signaling message."""
    async with asyncio.timeout(WAIT_S):
        message = json.loads(await socket.recv())
    assert isinstance(message, dict)
    return message


async def close_code(socket: ClientConnection) -> int | None:
    """With which code the backend closes."""
    async with asyncio.timeout(WAIT_S):
        await socket.wait_closed()
    return socket.close_code


class Client:
    """A viewer's end: `offer`, `take`, then frames and messages."""

    def __init__(self, socket: ClientConnection, *, audio: bool = False) -> None:
        self.socket = socket
        self.port = MediaPort("127.0.0.1", 0)
        self.port.open()
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.track: MediaStreamTrack | None = None
        self.heard: asyncio.Queue[JsonObject] = asyncio.Queue()
        self.opened = asyncio.Event()
        self.sound: MediaStreamTrack | None = None
        self.video = self.peer.addTransceiver("video", direction="recvonly")
        if audio:
            self.peer.addTransceiver("audio", direction="recvonly")
        self.motion = self.peer.createDataChannel("motion", ordered=False, maxRetransmits=0)
        self.messages: RTCDataChannel = self.peer.createDataChannel("messages")
        self.messages.on("open", self.opened.set)
        self.messages.on("message", lambda data: self.heard.put_nowait(json.loads(data)))
        self.peer.on("track", self._take_track)

    async def offer(self, **fields: object) -> dict[str, Any]:
        """Offer, return what the backend says."""
        self.port.attach(ice_agents(self.peer)[0])
        await self.peer.setLocalDescription(await self.peer.createOffer())
        await self.socket.send(json.dumps({"type": "offer", "sdp": self.peer.localDescription.sdp, **fields}))
        return await receive(self.socket)

    async def take(self, answer: dict[str, Any]) -> None:
        """Take the answer and connect."""
        assert answer["type"] == "answer", answer
        await self.peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))

    async def frame(self) -> Frame:
        """The next decoded frame."""
        assert self.track is not None
        async with asyncio.timeout(WAIT_S):
            frame = await self.track.recv()
        return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)  # type: ignore[union-attr]

    async def stamp(self) -> Stamp:
        """What the next frame says of itself."""
        stamp = read_stamp(await self.frame())
        assert stamp is not None
        return stamp

    async def hear(self, event_type: str) -> JsonObject:
        """The payload of the next message of this type."""
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await self.heard.get()
                if message["event_type"] == event_type:
                    assert isinstance(message["payload"], dict)
                    return message["payload"]

    async def send(self, channel: RTCDataChannel, message: object) -> None:
        """Send JSON, or a text as it is, once the channel is open."""
        async with asyncio.timeout(WAIT_S):
            await self.opened.wait()
        channel.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def close(self) -> None:
        """Give everything back."""
        await self.peer.close()
        self.port.close()

    def _take_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self.sound = track
        else:
            self.track = track


@asynccontextmanager
async def watching(
    server: StreamServer, *, video: JsonObject | None = None, audio: bool = False, **headers: str
) -> AsyncIterator[Client]:
    """A client that has connected."""
    async with signaling(server, **headers) as socket:
        assert (await receive(socket))["type"] == "hello"
        client = Client(socket, audio=audio)
        try:
            await client.take(await client.offer(**({"video": video} if video else {})))
            yield client
        finally:
            await client.close()
