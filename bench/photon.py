"""Frame rate, glass to glass, input to photon with their parts, and CPU: each application at 720p and 1080p.

A page drags across the picture for a while. Backend and page share one machine and one clock; the backend's part of
each frame comes from its `frameTimings` messages (docs/protocol.md §2), the page's from `requestVideoFrameCallback`,
and the RTP timestamp joins the two. A frame counts as seen when the browser hands it to the compositor.
"""

import itertools
import json
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict

import psutil

from bench.figures import percentile
from tests.system.browser import Chromium, running_chromium
from tests.system.ferry import Ferry, running_ferry

WATCHED_S = 12
INPUT_EVERY_MS = 50
FPS = 30
CATALOG = """
[applications.test-pattern]
name = "Test pattern"
[applications.test-pattern.versions."1.0.0"]
[applications.usd-viewer]
name = "USD viewer"
[applications.usd-viewer.versions."1.0.0"]
[profiles.default]
name = "Default"
applications = [{ id = "*" }]
command = ["pixelferry", "streamer", "{application}"]
environment = { PIXELFERRY_VIDEO = "1920x1080@30" }
"""

# Times are in milliseconds since the epoch.
DRAG = """async ({ application, width, height, fps, watchedS, inputEveryMs }) => {
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
        video: { width, height, fps }, videoElement: video, input: false,
    });
    const opened = application !== "usd-viewer" ? null : new Promise((resolve) => {
        stream.addEventListener("message", ({ detail }) => detail.eventType === "openedStageResult" && resolve());
    });
    await stream.ready;
    await opened;
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    await pause(3000);
    const drawn = [], seen = [], sent = [];
    stream.addEventListener("message", ({ detail }) => {
        if (detail.eventType === "frameTimings") drawn.push(...detail.payload.frames);
    });
    stream.sendMessage("frameTimings", { enabled: true });
    const epoch = Date.now() - performance.now();
    let watching = true;
    const look = (now, about) => {
        seen.push({
            rtp: about.rtpTimestamp, received: epoch + about.receiveTime,
            decode_ms: 1000 * (about.processingDuration ?? 0), presented: epoch + about.presentationTime,
        });
        if (watching) video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    document.title = "measuring";
    const first = { event: "pointerdown", x: 0.5, y: 0.5, button: 0, buttons: 1, modifiers: 0 };
    stream.sendInput(first);
    const until = performance.now() + watchedS * 1000;
    for (let count = 0; performance.now() < until; count += 1) {
        sent.push(Date.now());
        stream.sendInput({
            event: "pointermove", x: 0.5 + 0.3 * Math.sin(count / 9), y: 0.5, buttons: 1, modifiers: 0,
        });
        await pause(inputEveryMs * (0.75 + Math.random() / 2));
    }
    document.title = "measured";
    await pause(500);
    watching = false;
    const size = [video.videoWidth, video.videoHeight];
    stream.close();
    await fetch(`/stream/${session.id}`, { method: "DELETE" });
    return { drawn, seen, sent, size };
}"""


class Drawn(TypedDict):
    """A frame as the backend tells of it."""

    rtp: int
    input: int | None
    began_at: float
    render_ms: float
    convert_ms: float
    wait_ms: float
    encode_ms: float
    sent_at: float


class Seen(TypedDict):
    """A frame as the page saw it."""

    rtp: int
    received: float
    decode_ms: float
    presented: float


def measure(ferry: Ferry, chromium: Chromium, application: str, width: int, height: int) -> None:
    tab = chromium.open(ferry.url)
    wish = {"application": application, "width": width, "height": height, "fps": FPS}
    tab.page.evaluate(
        "([measure, wish]) => { globalThis.measured = eval(measure)(JSON.parse(wish)); }",
        [f"({DRAG})", json.dumps(wish | {"watchedS": WATCHED_S, "inputEveryMs": INPUT_EVERY_MS})],
    )
    while tab.page.title() != "measuring":
        tab.page.wait_for_timeout(50)
    backend, relay = ferry.backends()[0].process, psutil.Process(ferry.process.pid)
    before = [seconds_of(backend, family=True), seconds_of(relay)]
    while tab.page.title() != "measured":
        tab.page.wait_for_timeout(100)
    after = [seconds_of(backend, family=True), seconds_of(relay)]
    cpu = [100 * (now - was) / WATCHED_S for now, was in zip(after, before, strict=True)]
    found = tab.page.evaluate("() => globalThis.measured")
    tab.page.close()
    name = f"photon   {application:12} {found['size'][0]}x{found['size'][1]}"
    seen: list[Seen] = found["seen"]
    span_s = (seen[-1]["presented"] - seen[0]["presented"]) / 1000
    gap = max(after["presented"] - earlier["presented"] for earlier, after in itertools.pairwise(seen))
    print(
        f"{name}  {len(seen) / span_s:5.1f} frames/s, longest gap {gap:4.0f} ms; CPU of one core: "
        f"backend {cpu[0]:3.0f} %, broker and relay {cpu[1]:3.0f} %"
    )
    tell_of_frames(name, {frame["rtp"]: frame for frame in found["drawn"]}, seen, found["sent"])


def seconds_of(process: psutil.Process, *, family: bool = False) -> float:
    """CPU time of a process, and of those it started, which the USD viewer's loader is among."""
    members = [process, *(process.children(recursive=True) if family else ())]
    return sum(sum(member.cpu_times()[:2]) for member in members)


def tell_of_frames(name: str, drawn: dict[int, Drawn], seen: list[Seen], sent: list[float]) -> None:
    both = [(drawn[frame["rtp"]], frame) for frame in seen if frame["rtp"] in drawn]
    tell(name, "glass to glass", [page["presented"] - backend["began_at"] for backend, page in both])
    for part, key in (("render", "render_ms"), ("copy and convert", "convert_ms"), ("wait", "wait_ms")):
        tell(name, f"  {part}", [float(backend[key]) for backend, _ in both])  # type: ignore[literal-required]
    tell(name, "  encode", [backend["encode_ms"] for backend, _ in both])
    tell(name, "  network", [page["received"] - backend["sent_at"] for backend, page in both])
    tell(name, "  decode", [page["decode_ms"] for _, page in both])
    tell(name, "  display", [page["presented"] - page["received"] - page["decode_ms"] for _, page in both])
    # The backend names the last input that a frame shows; `seq` counts from the press before the first of these.
    shown = {}
    for backend, page in reversed(both):
        if backend["input"] is not None:
            shown[backend["input"]] = page["presented"]
    photons, latest = [], iter(sorted(shown.items()))
    number, presented = next(latest, (None, 0.0))
    first = min(shown, default=0)
    for seq, at in enumerate(sent, start=1):
        while number is not None and number < seq:
            number, presented = next(latest, (None, 0.0))
        if number is not None and seq > first:
            photons.append(presented - at)
    tell(name, "input to photon", photons)


def tell(name: str, what: str, samples_ms: list[float]) -> None:
    if not samples_ms:
        print(f"{name}  {what:20} was not told")
        return
    print(
        f"{name}  {what:20} p50 {statistics.median(samples_ms):6.1f} ms  p95 {percentile(samples_ms, 95):6.1f} ms"
        f"  ({len(samples_ms)} samples)"
    )


def main() -> None:
    with TemporaryDirectory() as folder, running_chromium() as chromium:
        catalog = Path(folder, "catalog.toml")
        catalog.write_text(CATALOG)
        with running_ferry(Path(folder, "ferry"), "--catalog", str(catalog)) as ferry:
            for application in ("test-pattern", "usd-viewer"):
                for width, height in ((1280, 720), (1920, 1080)):
                    measure(ferry, chromium, application, width, height)


if __name__ == "__main__":
    main()
