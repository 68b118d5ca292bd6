"""What a successor reads again puts its parser where the predecessor's was."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from signaling.core.unfinished import UnfinishedMessage

LIMIT = 1 << 20


@dataclass(frozen=True)
class Sent:
    """A frame, and what of the stream is unfinished after it."""

    frame: Frame
    masked: bool

    @property
    def wire(self) -> bytes:
        return self.frame.serialize(mask=self.masked)


def frames(masked: bool) -> st.SearchStrategy[list[Sent]]:
    """Messages in fragments, with control frames between these."""
    data = st.one_of(st.binary(max_size=20), st.integers(120, 70_000).map(bytes))
    control = st.builds(Frame, st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=10))
    pieces = st.lists(st.tuples(data, st.lists(control, max_size=1)), min_size=1, max_size=3)

    def laid_out(messages: list[list[tuple[bytes, list[Frame]]]]) -> list[Sent]:
        found = []
        for message in messages:
            for number, (payload, controls) in enumerate(message):
                opcode = Opcode.CONT if number else Opcode.TEXT
                found.append(Frame(opcode, payload, fin=number == len(message) - 1))
                found += controls
        return [Sent(frame, masked) for frame in found]

    return st.lists(pieces, max_size=3).map(laid_out)


@given(st.booleans().flatmap(frames), st.data())
def test_the_rest_is_the_data_frames_of_the_last_message_and_the_begun_frame(
    sent: list[Sent], data: st.DataObject
) -> None:
    wires = [one.wire for one in sent]
    stream = b"".join(wires)
    cut = data.draw(st.integers(0, len(stream)))
    steps = sorted(data.draw(st.lists(st.integers(0, cut), max_size=5)))
    unfinished = UnfinishedMessage(LIMIT)
    for start, end in zip([0, *steps], [*steps, cut], strict=True):
        unfinished.feed(stream[start:end])
    expected, at = b"", 0
    for one, wire in zip(sent, wires, strict=True):
        if at + len(wire) > cut:
            expected += wire[: cut - at]
            break
        at += len(wire)
        if one.frame.opcode in (Opcode.PING, Opcode.PONG):
            continue
        expected = b"" if one.frame.fin else expected + wire
    assert unfinished.rest == expected


@given(st.binary(max_size=400), st.lists(st.integers(1, 50), max_size=20), st.booleans())
def test_no_bytes_can_break_it_or_make_it_keep_more_than_its_limit(
    stream: bytes, steps: list[int], after_head: bool
) -> None:
    unfinished = UnfinishedMessage(64, after_head=after_head)
    for step in steps:
        unfinished.feed(stream[:step])
        stream = stream[step:]
        assert unfinished.rest is None or len(unfinished.rest) <= 64


def test_a_head_comes_first_where_one_was_announced() -> None:
    unfinished = UnfinishedMessage(LIMIT, after_head=True)
    unfinished.feed(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r")
    unfinished.feed(b"\n" + Frame(Opcode.TEXT, b"whole").serialize(mask=False) + b"\x81")
    assert unfinished.rest == b"\x81"


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_fragments_without_end_are_not_kept(step: int) -> None:
    unfinished = UnfinishedMessage(100)
    unfinished.feed(Frame(Opcode.TEXT, b"a", fin=False).serialize(mask=False))
    for _ in range(100):
        unfinished.feed(Frame(Opcode.CONT, bytes(step), fin=False).serialize(mask=False))
    assert unfinished.rest is None
    unfinished.feed(Frame(Opcode.CONT, b"the end").serialize(mask=False))
    assert unfinished.rest is None, "what is lost stays lost"
