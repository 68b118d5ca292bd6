"""One viewer: a peer connection with the picture going out, input and messages coming in."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum

from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpCodecCapability,
    RTCRtpSender,
    RTCSessionDescription,
)

from streamer.aiortc_patch import ice_agents
from streamer.frames import PictureTrack
from streamer.inbox import Inbox
from streamer.media_port import MediaPort
from streamer.session import BackendSession
from streamer.settings import StreamSettings
from streamer.source import JsonObject

logger = logging.getLogger(__name__)

_MAX_BUFFERED_BYTES = 1 << 20


class Role(StrEnum):
    """What a viewer may do: a controller's input counts, a viewer only watches."""

    CONTROLLER = "controller"
    VIEWER = "viewer"


class BadOffer(ValueError):
    """The client's offer cannot be answered; the text says why."""


class Viewer:
    """A viewer from its offer to its end. `on_end` is called once, with a signaling error code or None."""

    def __init__(
        self,
        viewer_id: str,
        role: Role,
        session: BackendSession,
        port: MediaPort,
        settings: StreamSettings,
        *,
        on_end: Callable[[str | None, str], Awaitable[None]],
    ) -> None:
        self.id = viewer_id
        self.role = role
        self._session = session
        self._port = port
        self._settings = settings
        self._on_end = on_end
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._track = PictureTrack(session.pictures)
        self._inbox = Inbox(session, listens=role is Role.CONTROLLER)
        self._messages: RTCDataChannel | None = None
        self._connected = asyncio.Event()
        self._clock: asyncio.Task[None] | None = None
        self._ended = False
        self._remotes: tuple[tuple[str, int], ...] = ()
        self._peer.on("datachannel", self._open_channel)
        self._peer.on("connectionstatechange", self._follow_state)

    async def answer(self, offer: str) -> str:
        """Take the client's offer, return the answer with this backend's one candidate. Raises BadOffer."""
        try:
            video = self._peer.addTransceiver(self._track, "sendonly")
            video.setCodecPreferences(_codecs())  # heeded only if said before the offer is taken
            await self._peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            if video.mid is None:
                raise BadOffer("the offer has no video m-line to receive the picture")
            for agent in ice_agents(self._peer):
                self._port.attach(agent)
            await self._peer.setLocalDescription(await self._peer.createAnswer())
        except BadOffer:
            raise
        except Exception as error:  # aiortc raises what its parser happens to trip over
            logger.info("an offer could not be answered: %s", type(error).__name__)
            raise BadOffer(
                "the offer cannot be answered: it needs a video m-line with H264 or VP8, ICE and DTLS"
            ) from None
        self._clock = asyncio.create_task(self._give_up_in_time(), name=f"ice-clock-{self.id}")
        return self._peer.localDescription.sdp

    def send(self, event_type: str, payload: JsonObject) -> None:
        """Send an application message; dropped for a viewer who does not keep up."""
        channel = self._messages
        if channel is None or channel.readyState != "open" or channel.bufferedAmount > _MAX_BUFFERED_BYTES:
            self._inbox.counts.unsent += 1
            return
        channel.send(json.dumps({"event_type": event_type, "payload": payload}))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the viewer. Idempotent; bounded in time."""
        if self._ended:
            return
        self._ended = True
        self._remotes = self._seen_remotes()
        self._session.leave(self.id)
        if self._clock is not None and self._clock is not asyncio.current_task():
            self._clock.cancel()
        try:
            async with asyncio.timeout(self._settings.close_timeout_s):
                await self._peer.close()
        except TimeoutError:
            logger.warning("a peer connection took too long to close", extra={"viewer": self.id})
        await self._on_end(reason if code == 4000 else None, reason)

    def status(self) -> JsonObject:
        """As `GET /v1/status` shows it (docs/protocol.md §4)."""
        remotes = self._seen_remotes()
        selected = self._selected_remote()
        return {
            "id": self.id,
            "role": self.role.value,
            "remote": _text(selected) if selected is not None else None,
            "remotes": [_text(remote) for remote in remotes],
            "ice_state": self._peer.iceConnectionState,
        }

    @property
    def frames_sent(self) -> int:
        """Frames handed to the encoder."""
        return self._track.frames_sent

    def _seen_remotes(self) -> tuple[tuple[str, int], ...]:
        found = tuple(remote for agent in ice_agents(self._peer) for remote in self._port.remotes(agent))
        return found or self._remotes

    def _selected_remote(self) -> tuple[str, int] | None:
        for agent in ice_agents(self._peer):
            for pair in agent._nominated.values():
                return pair.remote_addr
        return None

    def _open_channel(self, channel: RTCDataChannel) -> None:
        if channel.label == "messages":
            self._messages = channel
        elif channel.label != "motion":
            channel.close()
            return
        channel.on("message", lambda data: self._inbox.take(data, time.time()))

    async def _follow_state(self) -> None:
        state = self._peer.connectionState
        if state == "connected":
            self._connected.set()
            if not self._ended:
                self._session.join(self.id, self)
        elif state in ("failed", "closed"):
            await self.close(reason="media connection lost")

    async def _give_up_in_time(self) -> None:
        """ICE agents try for ever or give up too early, as they like; this is our own clock."""
        try:
            async with asyncio.timeout(self._settings.ice_timeout_s):
                await self._connected.wait()
        except TimeoutError:
            await self.close(4000, "ice_timeout")


def _codecs() -> list[RTCRtpCodecCapability]:
    """H.264 first: at the same quality it costs a third of the time of VP8 to encode."""
    known = RTCRtpSender.getCapabilities("video").codecs
    order = {"video/h264": 0, "video/vp8": 1}
    return sorted(known, key=lambda codec: order.get(codec.mimeType.lower(), 2))


def _text(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
