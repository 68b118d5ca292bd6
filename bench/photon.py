"""Glass to glass and input to photon: from the test pattern's own clock, and from a key, to the frame in the page.

The pattern draws its frame number and clock into every picture (streamer/stamp.py) and says which frame first shows an
input, so both ends are read from what a viewer sees. Page and backend share one machine and one clock.
"""

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import percentile
from tests.system.browser import Chromium, running_chromium
from tests.system.ferry import Ferry, running_ferry

WATCHED_S = 12
INPUT_EVERY_MS = 130
FPS = 30

# Every time is in milliseconds since the epoch. A frame counts as seen when the browser hands it to the compositor.
MEASURE = """async ({ width, height, fps, watchedS, inputEveryMs }) => {
    const { StreamConnection } = await import("/stream-client.js");
    const video = document.body.appendChild(document.createElement("video"));
    video.muted = video.autoplay = video.playsInline = true;
    const headers = { "Content-Type": "application/json", Prefer: "wait=30" };
    const body = JSON.stringify({ id: "test-pattern", profile: "default" });
    const session = await (await fetch("/stream", { method: "POST", headers, body })).json();
    const [host, ports] = Object.entries(session.routes)[0];
    const port = (name) => ports.find(({ description }) => description === name).source_port;
    const stream = new StreamConnection({
        sessionId: session.id, host, signalingPort: port("signaling"), mediaPort: port("media"),
        video: { width, height, fps }, videoElement: video, input: false,
    });
    await stream.ready;
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    await pause(3000);
    const epoch = Date.now() - performance.now();
    const canvas = new OffscreenCanvas(48, 1), context = canvas.getContext("2d", { willReadFrequently: true });
    const stampOf = () => {
        context.drawImage(video, 0, 0, video.videoWidth, Math.max(1, Math.floor(video.videoHeight / 45)), 0, 0, 48, 1);
        const data = context.getImageData(0, 0, 48, 1).data;
        const bits = Array.from({ length: 48 }, (_, cell) => (data[4 * cell + 1] > 127 ? 1 : 0));
        const number = (from, count) => bits.slice(from, from + count).reduce((sum, bit) => 2 * sum + bit, 0);
        const even = bits.slice(2, 47).reduce((sum, bit) => sum ^ bit, 0) === 0;
        return bits[0] && !bits[1] && bits[47] && even ? { frame: number(2, 24), clock: number(26, 20) } : null;
    };
    const frames = [], inputs = new Map();
    let watching = true;
    const look = (now, about) => {
        const stamp = stampOf();
        if (stamp !== null) frames.push({
            ...stamp,
            received: about.receiveTime === undefined ? null : epoch + about.receiveTime,
            decode: (about.processingDuration ?? 0) * 1000,
            presented: epoch + about.presentationTime,
            displayed: epoch + about.expectedDisplayTime,
        });
        if (watching) video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    stream.addEventListener("message", ({ detail }) => {
        if (detail.eventType === "inputEcho") inputs.set(detail.payload.seq, detail.payload.frame);
    });
    const sent = [];
    const until = performance.now() + watchedS * 1000;
    for (let count = 0; performance.now() < until; count += 1) {
        sent.push(Date.now());
        stream.sendInput({ event: count % 2 ? "keyup" : "keydown", code: "KeyP", key: "p", repeat: false, modifiers: 0 });
        await pause(inputEveryMs * (0.75 + Math.random() / 2));
    }
    await pause(500);
    watching = false;
    const size = [video.videoWidth, video.videoHeight];
    stream.close();
    await fetch(`/stream/${session.id}`, { method: "DELETE" });
    return { frames, sent, inputs: [...inputs], size };
}"""


def wrapped(value: float, modulus: int = 2**20) -> float:
    """A difference of two clocks of which one is known modulo about 17 minutes."""
    return (value + modulus / 2) % modulus - modulus / 2


def measure(ferry: Ferry, chromium: Chromium, width: int, height: int) -> None:
    tab = chromium.open(ferry.url)
    wish = {"width": width, "height": height, "fps": FPS, "watchedS": WATCHED_S, "inputEveryMs": INPUT_EVERY_MS}
    seen = tab.page.evaluate(MEASURE, wish)
    tab.page.close()
    frames = seen["frames"]
    glass = [wrapped(frame["presented"] - frame["clock"]) for frame in frames]
    name = f"photon   {seen['size'][0]}x{seen['size'][1]}"
    tell(name, "glass to glass", glass)
    arrived = [wrapped(frame["received"] - frame["clock"]) for frame in frames if frame["received"] is not None]
    if arrived:
        tell(name, "  drawn to received (copy, encode, network)", arrived)
        held = [frame["presented"] - frame["received"] for frame in frames if frame["received"] is not None]
        tell(name, "  received to presented (jitter buffer, decode)", held)
    tell(name, "  of which decode", [frame["decode"] for frame in frames])
    first = {}
    for frame in reversed(frames):
        first[frame["frame"]] = frame["presented"]
    numbers = sorted(first)
    photons = []
    for (_, shown_by), at in zip(sorted(seen["inputs"]), seen["sent"], strict=False):
        later = next((number for number in numbers if number >= shown_by), None)
        if later is not None:
            photons.append(first[later] - at)
    tell(name, "input to photon", photons)
    gaps = [after["presented"] - before["presented"] for before, after in zip(frames, frames[1:], strict=False)]
    tell(name, "between frames", gaps)


def tell(name: str, what: str, samples_ms: list[float]) -> None:
    print(
        f"{name}  {what:48} p50 {statistics.median(samples_ms):6.1f} ms  p95 {percentile(samples_ms, 95):6.1f} ms"
        f"  ({len(samples_ms)} samples)"
    )


def main() -> None:
    with (
        TemporaryDirectory() as folder,
        running_ferry(Path(folder, "ferry")) as ferry,
        running_chromium() as chromium,
    ):
        for width, height in ((1280, 720), (1920, 1080)):
            measure(ferry, chromium, width, height)


if __name__ == "__main__":
    main()
