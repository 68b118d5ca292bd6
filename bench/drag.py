"""A minute's drag at 1280x720: the longest gaps between presented frames, for each application.

A page drags in circles without a pause, and notes when the browser presents each frame. A stall is a gap that a person
sees: more than a fifth of a second.
"""

import itertools
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import percentile
from bench.photon import CATALOG, FPS
from tests.system.browser import Chromium, running_chromium
from tests.system.ferry import Ferry, running_ferry

DRAGGED_S = 60
INPUT_EVERY_MS = 16
STALL_MS = 200

DRAG = """async ({ application, fps, draggedS, inputEveryMs }) => {
    const { StreamConnection } = await import("/stream-client.js");
    const video = document.body.appendChild(document.createElement("video"));
    video.muted = video.autoplay = video.playsInline = true;
    const headers = { "Content-Type": "application/json", Prefer: "wait=30" };
    const body = JSON.stringify({ id: application, profile: "default" });
    const session = await (await fetch("/stream", { method: "POST", headers, body })).json();
    const [host, ports] = Object.entries(session.routes)[0];
    const port = (name) => ports.find(({ description }) => description === name).source_port;
    const stream = new StreamConnection({
        sessionId: session.id, host, signalingPort: port("signaling"), mediaPort: port("media"),
        video: { width: 1280, height: 720, fps }, videoElement: video, input: false,
    });
    const opened = application !== "usd-viewer" ? null : new Promise((resolve) => {
        stream.addEventListener("message", ({ detail }) => detail.eventType === "openedStageResult" && resolve());
    });
    await stream.ready;
    await opened;
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const drag = async (seconds) => {
        const until = performance.now() + seconds * 1000;
        for (let count = 0; performance.now() < until; count += 1) {
            const [x, y] = [0.5 + 0.3 * Math.sin(count / 20), 0.5 + 0.1 * Math.cos(count / 20)];
            stream.sendInput({ event: "pointermove", x, y, buttons: 1, modifiers: 0 });
            await pause(inputEveryMs);
        }
    };
    stream.sendInput({ event: "pointerdown", x: 0.5, y: 0.6, button: 0, buttons: 1, modifiers: 0 });
    await drag(3);
    const presented = [];
    const look = (now, about) => {
        presented.push(about.presentationTime);
        video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    await drag(draggedS);
    const size = [video.videoWidth, video.videoHeight];
    stream.close();
    await fetch(`/stream/${session.id}`, { method: "DELETE" });
    return { presented, size };
}"""


def measure(ferry: Ferry, chromium: Chromium, application: str, dragged_s: float) -> None:
    tab = chromium.open(ferry.url)
    wish = {"application": application, "fps": FPS, "draggedS": dragged_s, "inputEveryMs": INPUT_EVERY_MS}
    found = tab.page.evaluate(DRAG, wish)
    tab.page.close()
    presented: list[float] = found["presented"]
    gaps = [after - before for before, after in itertools.pairwise(presented)]
    stalls = sum(gap > STALL_MS for gap in gaps)
    print(
        f"drag     {application:12} {found['size'][0]}x{found['size'][1]}  {dragged_s:.0f} s  "
        f"{1000 * len(gaps) / (presented[-1] - presented[0]):5.1f} frames/s  gaps: p50 {percentile(gaps, 50):4.0f} ms  "
        f"p99 {percentile(gaps, 99):4.0f} ms  longest {max(gaps):4.0f} ms  stalls above {STALL_MS} ms: {stalls}",
        flush=True,
    )


def main() -> None:
    dragged_s = float(sys.argv[1]) if len(sys.argv) > 1 else DRAGGED_S
    with TemporaryDirectory() as folder, running_chromium() as chromium:
        catalog = Path(folder, "catalog.toml")
        catalog.write_text(CATALOG)
        with running_ferry(Path(folder, "ferry"), "--catalog", str(catalog)) as ferry:
            for application in ("test-pattern", "usd-viewer"):
                measure(ferry, chromium, application, dragged_s)


if __name__ == "__main__":
    main()
