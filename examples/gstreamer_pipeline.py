"""A GStreamer pipeline, streamed by webrtcbin behind `protocol = "plain"`. For Debian's own Python and packages."""

import asyncio
import json
import os
import re

import gi
import websockets

gi.require_versions({"Gst": "1.0", "GstSdp": "1.0", "GstWebRTC": "1.0"})
from gi.repository import Gst, GstSdp, GstWebRTC  # noqa: E402 (versions are named before the import)

HOST, PORT, MEDIA_PORT = (os.environ[f"PIXELFERRY_{name}"] for name in ("BACKEND_HOST", "SIGNALING_PORT", "MEDIA_PORT"))
PIPELINE = """videotestsrc is-live=true pattern=zone-plate kx2=9 ky2=9 kt=2 ! video/x-raw,width=1280,height=720
    ! videoconvert ! vp8enc deadline=1 cpu-used=8 ! rtpvp8pay pt={} ! webrtcbin name=peer bundle-policy=max-bundle"""


async def serve(socket):
    """One viewer: the page makes the offer (docs/protocol.md §1), webrtcbin answers and trickles."""
    loop, pipeline = asyncio.get_running_loop(), None

    def tell(message):
        asyncio.run_coroutine_threadsafe(socket.send(json.dumps(message)), loop)

    def answer(promise, peer):
        made = (reply := promise.get_reply()).get_value("answer")  # noqa: F841 (the answer goes with its reply)
        peer.emit("set-local-description", made, None)
        tell({"type": "answer", "sdp": made.sdp.as_text()})

    def trickle(_, line, text):
        tell({"type": "candidate", "candidate": {"candidate": text, "sdpMLineIndex": line}})

    tell({"type": "hello", "protocol": 1, "role": "controller"})
    async for message in socket:
        match json.loads(message):
            case {"type": "offer", "sdp": sdp} if pipeline is None:
                pipeline = Gst.parse_launch(PIPELINE.format(re.search("rtpmap:([0-9]+) VP8", sdp)[1]))
                agent = (peer := pipeline.get_by_name("peer")).props.ice_agent
                agent.props.min_rtp_port = agent.props.max_rtp_port = int(MEDIA_PORT)
                agent.emit("add-local-ip-address", HOST)
                peer.connect("on-ice-candidate", trickle)
                pipeline.set_state(Gst.State.PLAYING)
                _, sdp = GstSdp.SDPMessage.new_from_text(sdp)
                offer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.OFFER, sdp)
                peer.emit("set-remote-description", offer, None)
                peer.emit("create-answer", None, Gst.Promise.new_with_change_func(answer, peer))
            case {"candidate": {"candidate": str(text), "sdpMLineIndex": line}} if pipeline and text:
                peer.emit("add-ice-candidate", line, text)
    if pipeline:
        pipeline.set_state(Gst.State.NULL)


async def main():
    await (await websockets.serve(serve, HOST, int(PORT))).wait_closed()


Gst.init(None)
asyncio.run(main())
