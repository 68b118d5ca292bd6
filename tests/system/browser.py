"""A real Chromium: what it is sent is recorded, its peer connections can be asked."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Error, Page, Response, WebSocket, sync_playwright

from tests.system.ferry import JsonObject

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Every peer connection that the page makes, so that a test can ask for its statistics.
REMEMBER_PEERS = """
    globalThis.testPeers = [];
    globalThis.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(...settings) { super(...settings); globalThis.testPeers.push(this); }
    };
"""
STATISTICS = """async () => {
    const reports = [];
    for (const peer of globalThis.testPeers) reports.push(Object.fromEntries(await peer.getStats()));
    return reports;
}"""
# Part of the picture in 48 x 27 grey values: few enough to hand over, blind to what encoding does to single pixels.
PICTURE = """([left, top, right, bottom]) => {
    const video = document.querySelector("video"), canvas = new OffscreenCanvas(48, 27);
    const context = canvas.getContext("2d"), { videoWidth, videoHeight } = video;
    const size = [(right - left) * videoWidth, (bottom - top) * videoHeight];
    context.drawImage(video, left * videoWidth, top * videoHeight, ...size, 0, 0, 48, 27);
    const grey = [], data = context.getImageData(0, 0, 48, 27).data;
    for (let i = 0; i < data.length; i += 4) grey.push((data[i] + data[i + 1] + data[i + 2]) / 3);
    return grey;
}"""
PICTURE_WIDTH = 48
WHOLE = (0.0, 0.0, 1.0, 1.0)


def chromium_path() -> str | None:
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    return None


@dataclass
class Tab:
    """A page with all that it received: heads and bodies of HTTP answers, and WebSocket frames."""

    page: Page
    received: list[str] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("response", self._keep_response)
        self.page.on("websocket", self._keep_frames)
        self.page.on("console", lambda message: self.console.append(message.text))
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.page.add_init_script(REMEMBER_PEERS)

    def _keep_response(self, response: Response) -> None:
        self.received.append(json.dumps(response.headers))
        with suppress(Error, UnicodeDecodeError):  # no body, or a picture
            self.received.append(response.text())

    def _keep_frames(self, websocket: WebSocket) -> None:
        websocket.on("framereceived", lambda payload: self.frames.append(text_of(payload)))

    def statistics(self, kind: str) -> list[JsonObject]:
        """All reports of that type, of every peer connection of the page."""
        peers: list[dict[str, JsonObject]] = self.page.evaluate(STATISTICS)
        return [report for peer in peers for report in peer.values() if report["type"] == kind]

    def frames_decoded(self) -> int:
        return sum(int(str(report.get("framesDecoded", 0))) for report in self.statistics("inbound-rtp"))

    def selected_remotes(self) -> set[tuple[str, int]]:
        """The remote address of each transport's selected candidate pair."""
        pairs = {str(report["selectedCandidatePairId"]) for report in self.statistics("transport")}
        remotes = {str(pair["remoteCandidateId"]) for pair in self.statistics("candidate-pair") if pair["id"] in pairs}
        return {
            (str(candidate["address"]), int(str(candidate["port"])))
            for candidate in self.statistics("remote-candidate")
            if candidate["id"] in remotes
        }

    def picture(self, part: tuple[float, float, float, float] = WHOLE) -> list[float]:
        """Grey values of what is shown between those fractions of it: left, top, right, bottom."""
        grey: list[float] = self.page.evaluate(PICTURE, list(part))
        return grey

    def screenshot(self, name: str) -> Path:
        ARTIFACTS.mkdir(exist_ok=True)
        path = ARTIFACTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path


def text_of(payload: str | bytes) -> str:
    return payload if isinstance(payload, str) else payload.decode(errors="replace")


def difference(one: list[float], other: list[float]) -> float:
    """Mean difference of the grey values, 0 to 255."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def detail(picture: list[float]) -> float:
    """Mean difference of neighbours in a row: near 0 for a backdrop that only changes from top to bottom."""
    rows = [picture[start : start + PICTURE_WIDTH] for start in range(0, len(picture), PICTURE_WIDTH)]
    return sum(difference(row[:-1], row[1:]) for row in rows) / len(rows)


class Chromium:
    """One browser; tabs of it share nothing but the process."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def open(self, url: str) -> Tab:
        tab = Tab(self._browser.new_page(viewport={"width": 1280, "height": 900}))
        tab.page.goto(url)
        return tab

    def kill(self) -> None:
        """Without a word to anyone, as a crash does."""
        processes = [process for process in psutil.Process().children(recursive=True) if is_chromium(process)]
        assert processes, "no process of the browser was found"
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def is_chromium(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return "chrom" in process.name()
    return False


@contextmanager
def running_chromium() -> Iterator[Chromium]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
        try:
            yield Chromium(browser)
        finally:
            with suppress(Error):
                browser.close()
