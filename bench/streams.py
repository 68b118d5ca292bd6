"""POST to first decoded frame, frame rate and bitrate at 1280x720, with a real Chromium on the same machine.

Frame rate and bitrate are of a picture in motion, since one at rest is sent five times a second: the test pattern moves
by itself, the USD viewer's stage is on its turntable.
"""

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.system.browser import Chromium, running_chromium
from tests.system.ferry import Ferry, running_ferry

COLD_STARTS = 5
WATCHED_S = 10

# What a page of anybody's does: POST, wait for readiness, connect, look. All times are the page's own.
WATCH = """async ({ application, watchedS }) => {
    const { StreamConnection } = await import("/stream-client.js");
    const video = document.body.appendChild(document.createElement("video"));
    video.muted = video.autoplay = video.playsInline = true;
    const started = performance.now();
    const firstFrame = new Promise((resolve) => video.requestVideoFrameCallback(() => resolve(performance.now())));
    const headers = { "Content-Type": "application/json", Prefer: "wait=30" };
    const body = JSON.stringify({ id: application, profile: "default" });
    const session = await (await fetch("/stream", { method: "POST", headers, body })).json();
    const ready = performance.now();
    const [host, ports] = Object.entries(session.routes)[0];
    const port = (name) => ports.find(({ description }) => description === name).source_port;
    const stream = new StreamConnection({
        sessionId: session.id, host, signalingPort: port("signaling"), mediaPort: port("media"),
        video: { width: 1280, height: 720, fps: 30 }, videoElement: video,
    });
    const opened = application !== "usd-viewer" ? null : new Promise((resolve) => {
        stream.addEventListener("message", ({ detail }) => {
            if (detail.eventType === "openedStageResult") resolve(performance.now());
        });
    });
    await stream.ready;
    const seen = await firstFrame, openedAt = await opened;
    const inbound = async () => {
        const reports = [];
        for (const peer of testPeers) reports.push(...(await peer.getStats()).values());
        return reports.find(({ type }) => type === "inbound-rtp");
    };
    // First the encoder finds its rate.
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    if (watchedS && opened) stream.sendMessage("viewOptionsRequest", { turntable: true });
    if (watchedS) await pause(2000);
    const before = await inbound();
    await pause(watchedS * 1000);
    const after = await inbound();
    const seconds = (after.timestamp - before.timestamp) / 1000;
    stream.close();
    await fetch(`/stream/${session.id}`, { method: "DELETE" });
    return {
        ready_ms: ready - started,
        first_frame_ms: seen - started,
        opened_ms: openedAt && openedAt - started,
        frames_per_s: (after.framesDecoded - before.framesDecoded) / seconds,
        kbit_per_s: ((after.bytesReceived - before.bytesReceived) * 8) / seconds / 1000,
        width: after.frameWidth,
        height: after.frameHeight,
    };
}"""


def watch(ferry: Ferry, chromium: Chromium, application: str, *, watched_s: float) -> dict[str, float]:
    tab = chromium.open(ferry.url)
    try:
        figures: dict[str, float] = tab.page.evaluate(WATCH, {"application": application, "watchedS": watched_s})
        return figures
    finally:
        tab.page.close()


def main() -> None:
    with (
        TemporaryDirectory() as folder,
        running_ferry(Path(folder, "ferry")) as ferry,
        running_chromium() as chromium,
    ):
        for application in ("test-pattern", "usd-viewer"):
            starts = [watch(ferry, chromium, application, watched_s=0.1) for _ in range(COLD_STARTS)]
            ready_ms = statistics.median(start["ready_ms"] for start in starts)
            first_ms = [start["first_frame_ms"] for start in starts]
            print(
                f"streams  {application:12}  POST to ready {ready_ms:6.0f} ms, to first decoded frame "
                f"{statistics.median(first_ms):6.0f} ms (worst {max(first_ms):.0f} of {COLD_STARTS})"
            )
            # The USD viewer shows that it is loading until then.
            if opened_ms := [start["opened_ms"] for start in starts if start["opened_ms"]]:
                print(f"streams  {application:12}  POST to opened stage {statistics.median(opened_ms):6.0f} ms")
            seen = watch(ferry, chromium, application, watched_s=WATCHED_S)
            print(
                f"streams  {application:12}  {seen['width']:.0f}x{seen['height']:.0f}  "
                f"{seen['frames_per_s']:5.1f} frames/s  {seen['kbit_per_s']:7.0f} kbit/s  in motion, over {WATCHED_S} s"
            )


if __name__ == "__main__":
    main()
