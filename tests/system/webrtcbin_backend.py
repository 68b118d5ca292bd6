"""A streaming backend that is not ours: GStreamer's webrtcbin, which makes the offer and trickles its candidates.

Run by the system's Python, which has GStreamer's bindings; the first argument names the folder that holds `websockets`.
Its signaling is that of GStreamer's demos: `{"sdp": {"type", "sdp"}}` and `{"ice": {"candidate", "sdpMLineIndex"}}`.
"""

# ruff: noqa: E402 (the bindings want versions named, and the path set, before they are imported)

import json
import os
import sys
import threading

sys.path.insert(0, sys.argv[1])

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

PIPELINE = """
    webrtcbin name=peer bundle-policy=max-bundle
    videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=30/1
    ! vp8enc deadline=1 cpu-used=8 keyframe-max-dist=30 ! rtpvp8pay pt=96
    ! application/x-rtp,media=video,encoding-name=VP8,payload=96 ! peer.
"""


class Viewer:
    """One WebSocket and the pipeline that feeds it."""

    def __init__(self, websocket: ServerConnection) -> None:
        self._websocket = websocket
        self._pipeline = Gst.parse_launch(PIPELINE)
        self._peer = self._pipeline.get_by_name("peer")
        host, media_port = os.environ["PIXELFERRY_BACKEND_HOST"], int(os.environ["PIXELFERRY_MEDIA_PORT"])
        # Kept: the binding takes over the only reference to it.
        self._agent = agent = self._peer.props.ice_agent
        agent.props.min_rtp_port = agent.props.max_rtp_port = media_port
        agent.emit("add-local-ip-address", host)
        self._peer.connect("on-negotiation-needed", self._make_offer)
        self._peer.connect("on-ice-candidate", self._send_candidate)

    def run(self) -> None:
        self._pipeline.set_state(Gst.State.PLAYING)
        try:
            for message in self._websocket:
                self._receive(json.loads(message))
        except ConnectionClosed:
            pass
        finally:
            self._pipeline.set_state(Gst.State.NULL)

    def _receive(self, message: dict[str, dict[str, str | int]]) -> None:
        if "sdp" in message:
            _, sdp = GstSdp.SDPMessage.new_from_text(message["sdp"]["sdp"])
            answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
            self._peer.emit("set-remote-description", answer, Gst.Promise.new())
        elif message.get("ice", {}).get("candidate"):
            self._peer.emit("add-ice-candidate", message["ice"]["sdpMLineIndex"], message["ice"]["candidate"])

    def _make_offer(self, peer: Gst.Element) -> None:
        peer.emit("create-offer", None, Gst.Promise.new_with_change_func(self._send_offer))

    def _send_offer(self, promise: Gst.Promise) -> None:
        # Held by a name: the offer lies in the reply and goes with it.
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        self._peer.emit("set-local-description", offer, Gst.Promise.new())
        self._send({"sdp": {"type": "offer", "sdp": offer.sdp.as_text()}})

    def _send_candidate(self, _peer: Gst.Element, line_index: int, candidate: str) -> None:
        self._send({"ice": {"candidate": candidate, "sdpMLineIndex": line_index}})

    def _send(self, message: dict[str, dict[str, str | int]]) -> None:
        try:
            self._websocket.send(json.dumps(message))
        except ConnectionClosed:
            pass


def main() -> None:
    Gst.init(None)
    threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
    address = os.environ["PIXELFERRY_BACKEND_HOST"], int(os.environ["PIXELFERRY_SIGNALING_PORT"])
    with serve(lambda websocket: Viewer(websocket).run(), *address) as server:
        server.serve_forever()


main()
