"""Kit's messages, from a browser through the relay to the USD viewer: what a page made for Kit says and hears."""

from pathlib import Path

from tests.streamer.usd_viewer.stages import world
from tests.system.browser import Chromium, Tab, detail
from tests.system.ferry import Ferry, JsonObject, eventually, running_ferry

CONNECT = """async (session) => {
    const { connect } = await import("/stream-client.js");
    const videoElement = Object.assign(document.createElement("video"), { muted: true, width: 960, height: 540 });
    videoElement.style = "position: fixed; left: 0; top: 0; z-index: 9; width: 960px; height: 540px";
    document.body.prepend(videoElement);
    globalThis.told = [];
    globalThis.kit = await connect({ ...session, videoElement, video: { width: 960, height: 540, fps: 30 } });
    kit.addEventListener("message", ({ detail }) => told.push(detail));
}"""
SAY = "([eventType, payload]) => kit.sendMessage(eventType, payload)"
TOLD = "(eventType) => told.filter((message) => message.eventType === eventType).map(({ payload }) => payload)"
CUBE = """def Cube "{name}" {{
    color3f[] primvars:displayColor = [({color})]
    double3 xformOp:translate = ({x}, 0, 0)
    uniform token[] xformOpOrder = ["xformOp:translate"]
}}
"""
PAIR = CUBE.format(name="Red", color="1, 0, 0", x=-2) + CUBE.format(name="Blue", color="0, 0, 1", x=2)
SUCCESS: JsonObject = {"result": "success", "error": ""}


class KitPage:
    """A page that speaks to the application."""

    def __init__(self, ferry: Ferry, chromium: Chromium) -> None:
        session = ferry.start_session("usd-viewer")
        route = ferry.route(session)
        self.tab: Tab = chromium.open(ferry.url)
        place = {"host": route.host, "signalingPort": route.signaling_port, "mediaPort": route.media_port}
        self.tab.page.evaluate(CONNECT, {"sessionId": session["id"], **place})

    def say(self, event_type: str, **payload: object) -> None:
        self.tab.page.evaluate(SAY, [event_type, payload])

    def hear(self, event_type: str, count: int = 1) -> JsonObject:
        """The payload of the `count`th message of this type."""

        def told() -> list[JsonObject] | None:
            messages: list[JsonObject] = self.tab.page.evaluate(TOLD, event_type)
            return messages if len(messages) >= count else None

        return eventually(told, within_s=30, what=f"{event_type} number {count}")[count - 1]

    def click(self, x: float, y: float) -> None:
        self.tab.page.mouse.click(x * 960, y * 540)


def sharpest(one: list[float], other: list[float]) -> float:
    """The largest difference of a grey value: an outline is thin."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def test_a_page_made_for_kit_opens_lists_selects_and_hears_of_clicks(tmp_path: Path, chromium: Chromium) -> None:
    stages = tmp_path / "stages"
    stages.mkdir()
    (stages / "pair.usda").write_text(world(f'def Xform "Pair" {{ {PAIR} }}'))
    with running_ferry(tmp_path / "ferry", "--usd-root", str(stages)) as ferry:
        page = KitPage(ferry, chromium)
        page.hear("openedStageResult")  # of the sample that a session begins with

        page.say("openStageRequest", url="./pair.usda")
        assert page.hear("openedStageResult", 2) == {"url": "./pair.usda", **SUCCESS}
        assert page.hear("updateProgressActivity")["text"]
        assert page.hear("updateProgressAmount")["progress"] is not None
        page.say("loadingStateQuery")
        assert page.hear("loadingStateResponse") == {"url": "./pair.usda", "loading_state": "idle"}

        page.say("getChildrenRequest", prim_path="/World", filters=["USDGeom"])
        pair = {"name": "Pair", "path": "/World/Pair", "children": {}}
        assert page.hear("getChildrenResponse") == {"prim_path": "/World", "children": [pair]}
        page.say("makePrimsPickable", paths=["/World/Pair/Red", "/World/Pair/Blue"])
        assert page.hear("makePrimsPickableResponse") == SUCCESS

        eventually(lambda: detail(page.tab.picture()) > 1, within_s=20, what="a picture of the stage")
        page.tab.page.wait_for_timeout(500)
        plain = page.tab.picture()
        page.say("selectPrimsRequest", paths=["/World/Pair"])
        eventually(lambda: sharpest(plain, page.tab.picture()) > 5, within_s=10, what="an outline in the picture")
        page.tab.screenshot("kit-selection")

        page.click(0.3, 0.5)
        assert page.hear("stageSelectionChanged") == {"prims": ["/World/Pair/Red"]}
        page.click(0.7, 0.5)
        assert page.hear("stageSelectionChanged", 2) == {"prims": ["/World/Pair/Blue"]}
        page.tab.screenshot("kit-clicked")
        page.click(0.02, 0.02)
        assert page.hear("stageSelectionChanged", 3) == {"prims": []}

        page.say("resetStage")
        assert page.hear("resetStageResponse") == SUCCESS
        page.say("openStageRequest", url="../../etc/passwd")
        assert page.hear("openedStageResult", 3)["result"] == "error"
        page.say("loadingStateQuery")
        assert page.hear("loadingStateResponse", 2)["url"] == "./pair.usda"
        assert not page.tab.console
