"""An editor that goes on where another was decides as that one would have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from signaling.core.frames import SignalingEditor
from signaling.core.snapshots import EditorSnapshot
from tests.signaling.core.test_frames import BACKEND, recorded
from tests.signaling.paths import NotedPath
from tests.signaling.told import told

MESSAGES = st.one_of(
    st.tuples(st.just(True), st.sampled_from([message["frame"] for message in recorded("from-backends.json")])),
    st.tuples(st.just(False), st.sampled_from([message["frame"] for message in recorded("from-clients.json")])),
)


def decide(editor: SignalingEditor, message: tuple[bool, str]) -> object:
    from_backend, text = message
    return editor.to_client(text) if from_backend else editor.to_backend(text)


@given(st.lists(MESSAGES, max_size=6), st.lists(MESSAGES, max_size=6))
def test_a_successor_s_editor_decides_as_the_predecessor_s(
    before: list[tuple[bool, str]], after: list[tuple[bool, str]]
) -> None:
    path, other = NotedPath(), NotedPath()
    editor, successor = SignalingEditor(path, BACKEND), SignalingEditor(other, BACKEND)
    for message in before:
        decide(editor, message)
    successor.restore(told(EditorSnapshot, editor.snapshot()))
    path.candidates.clear()
    assert [decide(successor, message) for message in after] == [decide(editor, message) for message in after]
    assert other.candidates == path.candidates


def test_an_address_that_was_hidden_stays_hidden() -> None:
    editor, successor = (SignalingEditor(NotedPath(), BACKEND) for _ in range(2))
    editor.to_client("candidate:1 1 udp 1 198.51.100.7 5 typ srflx")
    assert editor.leaks_to_client("198.51.100.7")
    assert not successor.leaks_to_client("198.51.100.7")
    successor.restore(told(EditorSnapshot, editor.snapshot()))
    assert successor.leaks_to_client("198.51.100.7")


def test_what_cannot_be_encoded_is_not_told() -> None:
    editor = SignalingEditor(NotedPath(), BACKEND)
    half = '{"sdpMid": "\\ud800", "sdpMLineIndex": 1, "usernameFragment": "%s\\udfff", "pwd": "longer"}'
    for ufrag in ("a", "b"):
        editor.to_client(half % ufrag)
        editor.to_backend(half % ufrag)
    editor.to_client('{"candidate": "candidate:1 1 udp 1 192.0.2.2 5 typ host", "sdpMid": "\\udbff"}')
    transports = told(EditorSnapshot, editor.snapshot()).to_client.transports
    assert (transports.by_mid, transports.by_index, transports.latest, transports.told) == ((), (), None, ())
