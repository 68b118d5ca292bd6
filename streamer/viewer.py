"""One viewer: a peer connection with the picture going out, input and messages coming in."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from enum import StrEnum

from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpCodecCapability,
    RTCRtpSender,
    RTCSessionDescription,
)

from streamer.aiortc_patch import FedTrack, feed, ice_agents
from streamer.delivery import Delivery
from streamer.encoding import EncodedPicture
from streamer.ending import MEDIA_LOST, Ending, backend_failed, ice_timeout
from streamer.inbox import FRAME_TIMINGS, Inbox
from streamer.input import InputEvent
from streamer.media_port import MediaPort
from streamer.offer import BadOffer, check_offer, offers_audio
from streamer.session import BackendSession
from streamer.settings import StreamSettings
from streamer.sound import Listener
from streamer.source import JsonObject, VideoFormat
from streamer.timings import FrameTimings

logger = logging.getLogger(__name__)

VIDEO_DELIVERED = "videoDelivered"

_MAX_BUFFERED_BYTES = 1 << 20


class Role(StrEnum):
    """What a viewer may do: a controller's input counts, a viewer only watches."""

    CONTROLLER = "controller"
    VIEWER = "viewer"


class Viewer:
    """A viewer from its handshake to its end. `on_end` is called once, with the reason of an end from within."""

    def __init__(
        self,
        viewer_id: str,
        role: Role,
        session: BackendSession,
        port: MediaPort,
        settings: StreamSettings,
        *,
        on_end: Callable[[Ending], Awaitable[None]],
    ) -> None:
        self.id = viewer_id
        self.role = role
        self._session = session
        self._port = port
        self._settings = settings
        self._on_end = on_end
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._track = FedTrack("video")
        self._delivery = Delivery(
            session.encodings,
            wished=session.video,
            bitrates=settings.bitrates_for(session.video),
            on_sent=self._follow_frame,
            on_delivered=lambda payload: self._send_own(VIDEO_DELIVERED, payload),
            on_rung=lambda rung: session.stand(viewer_id, rung),
        )
        self._timings = FrameTimings(viewer_id, lambda payload: self._send_own(FRAME_TIMINGS, payload))
        self._sound: Listener | None = None
        self._inbox = Inbox(self, listens=role is Role.CONTROLLER)
        self._messages: RTCDataChannel | None = None
        self._expected_channels = {"motion", "messages"}
        self._connected = asyncio.Event()
        self._clock = asyncio.create_task(self._give_up_in_time(), name=f"ice-clock-{viewer_id}")
        self._ended = False
        self._peer.on("datachannel", self._open_channel)
        self._peer.on("connectionstatechange", self._follow_state)
        self._track.on("ended", self._follow_track)

    async def answer(self, offer: str) -> str:
        """Take the client's offer, return the answer with this backend's one candidate. Raises BadOffer."""
        offer = check_offer(offer)
        try:
            video = self._peer.addTransceiver(self._track, "sendonly")
            feed(video.sender, self._delivery)
            self._offer_sound(offer)
            video.setCodecPreferences(_codecs())  # heeded only if said before the offer is taken
            await self._peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            agents = ice_agents(self._peer)
            if len(agents) != 1:
                raise BadOffer("the offer must bundle all its m-lines (a=group:BUNDLE)")
            self._take_nothing()
            self._port.attach(agents[0])
            await self._peer.setLocalDescription(await self._peer.createAnswer())
        except BadOffer:
            raise
        except Exception as error:  # aiortc raises whatever its parser happens to trip over
            logger.info("an offer could not be answered: %s", type(error).__name__)
            raise BadOffer("the offer cannot be answered: it needs H264 or VP8, ICE and DTLS") from None
        return self._peer.localDescription.sdp

    def _offer_sound(self, offer: str) -> None:
        """Where both sides have something of it."""
        if self._session.audible and offers_audio(offer):
            self._sound = Listener()
            feed(self._peer.addTransceiver(FedTrack("audio"), "sendonly").sender, self._sound)

    def wish(self, video: VideoFormat) -> None:
        """Another format is wished for."""
        self._delivery.wish(video, self._settings.bitrates_for(video))

    def hear(self, event: InputEvent, at: float) -> None:
        """Input of this viewer."""
        self._session.hear(event, self.id, at)

    def tell(self, event_type: str, payload: JsonObject) -> None:
        """An application message of this viewer."""
        self._session.tell(event_type, payload)

    def request_timings(self, on: bool) -> None:
        """This viewer asks for timings of its frames, or no more."""
        self._timings.switch(on)

    def _follow_frame(self, frame: EncodedPicture, rtp_timestamp: int, at: float) -> None:
        self._session.count_frame()
        self._timings.add(frame, rtp_timestamp, at)

    def _send_own(self, event_type: str, payload: JsonObject) -> None:
        if self._messages is not None:
            self.send(json.dumps({"event_type": event_type, "payload": payload}))

    def send(self, message: str) -> bool:
        """Send an application message; False, and dropped, while the viewer cannot be sent one or is too slow."""
        channel = self._messages
        if channel is None or channel.readyState != "open" or channel.bufferedAmount > _MAX_BUFFERED_BYTES:
            self._inbox.counts.unsent += 1
            return False
        channel.send(message)
        return True

    async def close(self, ending: Ending) -> None:
        """End the viewer. Idempotent; bounded in time."""
        if self._ended:
            return
        self._ended = True
        self._session.leave(self.id)
        self._delivery.close()
        if self._sound is not None:
            self._session.sound.leave(self._sound)
            self._session.listen()
        if self._clock is not asyncio.current_task():
            self._clock.cancel()
        await asyncio.gather(self._on_end(ending), self._close_peer())
        logger.info("a viewer left: %s (dropped: %s)", ending.reason, self._inbox.counts, extra={"viewer": self.id})

    def status(self) -> JsonObject:
        """As `GET /v1/status` shows it (docs/protocol.md §4)."""
        agents = ice_agents(self._peer)
        selected = [pair.remote_addr for agent in agents for pair in agent._nominated.values()]
        return {
            "id": self.id,
            "role": self.role.value,
            "remote": _text(selected[0]) if selected else None,
            "remotes": [_text(remote) for agent in agents for remote in self._port.remotes(agent)],
            "ice_state": self._peer.iceConnectionState,
            "dropped": asdict(self._inbox.counts),
            "key_frames_refused": self._delivery.key_frames_refused,
        }

    async def _close_peer(self) -> None:
        try:
            async with asyncio.timeout(self._settings.close_timeout_s):
                await self._peer.close()
        except TimeoutError:
            logger.warning("a peer connection took too long to close", extra={"viewer": self.id})
        self._track.stop()

    def _take_nothing(self) -> None:
        """What a client offers to send is not wanted."""
        for transceiver in self._peer.getTransceivers():
            if transceiver.kind != "video" and self._sound is None:
                transceiver.direction = "inactive"

    def _open_channel(self, channel: RTCDataChannel) -> None:
        if channel.label not in self._expected_channels:
            channel.close()
            return
        self._expected_channels.remove(channel.label)
        channel.on("message", lambda data: self._inbox.take(data, time.time()))
        if channel.label == "messages":
            self._messages = channel
            self._session.catch_up(self)
            self._delivery.tell_again()

    async def _follow_state(self) -> None:
        state = self._peer.connectionState
        if state == "connected" and not self._ended:
            self._connected.set()
            self.wish(self._session.video)
            self._session.join(self.id, self)
            if self._sound is not None:
                self._session.sound.join(self._sound)
                self._session.listen()
            logger.info("a viewer watches", extra={"viewer": self.id})
        elif state in ("failed", "closed"):
            await self.close(MEDIA_LOST)

    async def _follow_track(self) -> None:
        """A track that ends before its viewer and its transport was ended by an encoder's failure, which is logged."""
        if not self._ended and self._peer.connectionState == "connected":
            closed = any(each.receiver.transport.state != "connected" for each in self._peer.getTransceivers())
            alive = not closed and any(agent._nominated for agent in ice_agents(self._peer))
            await self.close(backend_failed("The picture could not be encoded.") if alive else MEDIA_LOST)

    async def _give_up_in_time(self) -> None:
        """ICE agents try for ever or give up too early, as they like; this is our own clock."""
        try:
            async with asyncio.timeout(self._settings.ice_timeout_s):
                await self._connected.wait()
        except TimeoutError:
            await self.close(ice_timeout(self._settings.ice_timeout_s))


def _codecs() -> list[RTCRtpCodecCapability]:
    """H.264 first: at the same quality it costs half the time of VP8 to encode."""
    known = RTCRtpSender.getCapabilities("video").codecs
    order = {"video/h264": 0, "video/vp8": 1}
    return sorted(known, key=lambda codec: order.get(codec.mimeType.lower(), 2))


def _text(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
