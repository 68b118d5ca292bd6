"""What is said on the data channel about one session's stage: requests obeyed and answered, changes told."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable

from streamer.source import Json, JsonObject, Outbox
from streamer.usd_viewer.children import children_response
from streamer.usd_viewer.prim_tree import PrimTree
from streamer.usd_viewer.selection import TooManyPrims
from streamer.usd_viewer.stage_messages import (
    AskLoadingState,
    BadMessage,
    FramePrims,
    GetChildren,
    MakePickable,
    OpenStage,
    ResetStage,
    SelectPrims,
    SetTimeline,
    SetView,
    StageMessage,
    parse_message,
)
from streamer.usd_viewer.stage_view import Change, StageView

logger = logging.getLogger(__name__)

MAX_UNANSWERED = 256
_ANSWERING_S = 0.01
"""Of a picture's time, at most, for lists of children: a flood of requests does not stop the picture."""
_NO_PRIMS = PrimTree.of(())


class Conversation:
    """Of one session, on the stage that `turn_to` named last.

    Args:
        open_stage: begins to open the stage of a URL.
        opening: the URL of the stage that is being opened, None for none.
    """

    def __init__(self, outbox: Outbox, *, open_stage: Callable[[str], None], opening: Callable[[], str | None]) -> None:
        self._outbox = outbox
        self._open_stage = open_stage
        self._opening = opening
        self._url = ""
        self._view = StageView(None)
        self._tree = _NO_PRIMS
        self._unanswered: deque[GetChildren] = deque()
        self.dropped: Counter[str] = Counter()
        """Messages that came in vain, by cause."""

    def turn_to(self, url: str, view: StageView, tree: PrimTree) -> None:
        """Another stage is shown now: tell so. What was asked about the one before is not answered any more."""
        self._url, self._view, self._tree = url, view, tree
        self._unanswered.clear()
        self.tell_result(url, "")
        if view.playback.moves:
            self.tell(Change.TIMELINE)

    def take(self, event_type: str, payload: JsonObject) -> None:
        """Do what a message asks for. What does not fit is dropped and counted."""
        try:
            message = parse_message(event_type, payload)
        except BadMessage as error:
            self.dropped["malformed"] += 1
            if event_type == "openStageRequest":  # who asked waits for a result
                self.tell_result("", f"openStageRequest does not fit: {error}")
            return
        if message is None:
            self.dropped["of other applications"] += 1
        else:
            self._obey(message)

    def answer(self) -> None:
        """Answer questions that wait, for a part of a picture's time."""
        deadline = time.monotonic() + _ANSWERING_S
        while self._unanswered and time.monotonic() < deadline:
            self._send("getChildrenResponse", children_response(self._tree, self._unanswered.popleft()))

    def tell(self, change: Change | None) -> None:
        """Tell viewers what has changed."""
        match change:
            case Change.TIMELINE:
                self._send("timelineChanged", {**self._view.playback.describe()})
            case Change.OPTIONS:
                self._send("viewOptionsChanged", {**self._view.options()})
            case Change.SELECTION:
                self._send("stageSelectionChanged", {"prims": list[Json](self._view.selection.paths)})
            case None:
                pass

    def tell_result(self, url: str, error: str) -> None:
        """Tell that a stage was opened, or why it was not."""
        self._send("openedStageResult", {"url": url, **_result(error)})

    def tell_framed(self, error: str) -> None:
        """Tell that the prims that were asked for are in the picture, or why they are not."""
        self._send("framePrimsResponse", _result(error))

    def notify(self, level: str, message: str) -> None:
        """Tell people something."""
        self._send("notice", {"level": level, "message": message})

    def _obey(self, message: StageMessage) -> None:
        match message:
            case OpenStage(url):
                self._open_stage(url)
            case AskLoadingState():
                opening = self._opening()
                state = ("idle", self._url) if opening is None else ("busy", opening)
                self._send("loadingStateResponse", {"loading_state": state[0], "url": state[1]})
            case GetChildren():
                self._queue(message)
            case SelectPrims(paths):
                # As in Kit: the page that asks knows, so nobody is told.
                self._view.selection.choose(paths)
            case MakePickable(paths):
                self._send("makePrimsPickableResponse", _result(self._make_pickable(paths)))
            case ResetStage():
                self._view.reset()
                self._send("resetStageResponse", _result(""))
            case FramePrims(paths):
                self._view.ask_framing(paths)
            case SetTimeline(playing, time_s):
                self._view.playback.set(playing, time_s)
                self.tell(Change.TIMELINE)
            case SetView(turntable, wireframe):
                self._view.set_options(turntable, wireframe)
                self.tell(Change.OPTIONS)

    def _queue(self, question: GetChildren) -> None:
        if len(self._unanswered) < MAX_UNANSWERED:
            self._unanswered.append(question)
        else:
            self.dropped["flooding"] += 1

    def _make_pickable(self, paths: tuple[str, ...]) -> str:
        try:
            self._view.selection.make_pickable(paths)
        except TooManyPrims as error:
            return str(error)
        return ""

    def _send(self, event_type: str, payload: JsonObject) -> None:
        self._outbox.send(event_type, payload)


def _result(error: str) -> JsonObject:
    return {"result": "error" if error else "success", "error": error}
