"""What viewers' pages may say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.source import Json, JsonObject
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

TYPES = (
    "openStageRequest",
    "loadingStateQuery",
    "getChildrenRequest",
    "selectPrimsRequest",
    "makePrimsPickable",
    "resetStage",
    "framePrimsRequest",
    "timelineRequest",
    "viewOptionsRequest",
)


@pytest.mark.parametrize(
    ("event_type", "payload", "message"),
    [
        ("openStageRequest", {"url": "./a.usd", "more": 1}, OpenStage("./a.usd")),
        ("loadingStateQuery", {}, AskLoadingState()),
        ("getChildrenRequest", {"prim_path": "/World", "filters": ["USDGeom"]}, GetChildren("/World", ("USDGeom",))),
        ("getChildrenRequest", {"prim_path": "/", "filters": None}, GetChildren("/", None)),
        ("getChildrenRequest", {"prim_path": "/World/"}, GetChildren("/World", None)),
        ("selectPrimsRequest", {"paths": ["/A", "/B", "/A"]}, SelectPrims(("/A", "/B"))),
        ("selectPrimsRequest", {"paths": []}, SelectPrims(())),
        ("selectPrimsRequest", {}, SelectPrims(())),
        ("makePrimsPickable", {"paths": ["/Bücher"]}, MakePickable(("/Bücher",))),
        ("makePrimsPickable", {"paths": None}, MakePickable(())),
        ("resetStage", {}, ResetStage()),
        ("framePrimsRequest", {}, FramePrims(None)),
        ("framePrimsRequest", {"paths": []}, FramePrims(())),
        ("timelineRequest", {}, SetTimeline(None, None)),
        ("timelineRequest", {"playing": False, "time": 2}, SetTimeline(False, 2.0)),
        ("viewOptionsRequest", {"turntable": True}, SetView(True, None)),
        ("viewOptionsRequest", {"wireframe": False}, SetView(None, False)),
    ],
)
def test_messages_are_understood(event_type: str, payload: JsonObject, message: StageMessage) -> None:
    assert parse_message(event_type, payload) == message


@pytest.mark.parametrize(
    ("event_type", "payload"),
    [
        ("openStageRequest", {}),
        ("openStageRequest", {"url": 7}),
        ("openStageRequest", {"url": "a" * 5000}),
        ("getChildrenRequest", {}),
        ("getChildrenRequest", {"prim_path": "World"}),
        ("getChildrenRequest", {"prim_path": "/World//Box"}),
        ("getChildrenRequest", {"prim_path": "/Wor\x00ld"}),
        ("getChildrenRequest", {"prim_path": "/" + "a" * 5000}),
        ("getChildrenRequest", {"prim_path": "/World", "filters": "USDGeom"}),
        ("getChildrenRequest", {"prim_path": "/World", "filters": [1]}),
        ("getChildrenRequest", {"prim_path": "/World", "filters": ["mesh"] * 100}),
        ("selectPrimsRequest", {"paths": "/World"}),
        ("selectPrimsRequest", {"paths": [["/World"]]}),
        ("makePrimsPickable", {"paths": {"0": "/World"}}),
        ("framePrimsRequest", {"paths": [None]}),
        ("timelineRequest", {"playing": 1}),
        ("timelineRequest", {"time": True}),
        ("timelineRequest", {"time": "1"}),
        ("timelineRequest", {"time": -1}),
        ("timelineRequest", {"time": 10**400}),
        ("viewOptionsRequest", {"turntable": "yes"}),
        ("viewOptionsRequest", {"wireframe": []}),
    ],
)
def test_what_does_not_fit_is_refused(event_type: str, payload: JsonObject) -> None:
    with pytest.raises(BadMessage):
        parse_message(event_type, payload)


def test_messages_of_others_are_none() -> None:
    assert parse_message("somethingElse", {"url": 7}) is None


json_values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.just("/World"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(["url", "prim_path", "filters", "paths", "playing", "time", "turntable", "wireframe"])


@given(st.sampled_from(TYPES), st.dictionaries(fields, json_values, max_size=4))
def test_any_payload_is_a_message_or_refused(event_type: str, payload: JsonObject) -> None:
    try:
        message = parse_message(event_type, payload)
    except BadMessage:
        return
    assert message is not None
