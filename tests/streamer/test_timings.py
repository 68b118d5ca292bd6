"""Timings of frames, for who asks."""

import json

from streamer.encoder import Encoded
from streamer.encoding import EncodedPicture
from streamer.source import JsonObject, VideoFormat
from streamer.timings import FrameTimings
from tests.streamer.pictures import picture


def frame(number: int) -> EncodedPicture:
    encoded = Encoded([b"x" * 10], 10, number == 1)
    return EncodedPicture(
        encoded, picture(number), 3000 * number, VideoFormat(320, 180, 30), "libx264", 3.0, 4.567, repeated=False
    )


def test_nothing_is_sent_to_who_does_not_ask() -> None:
    sent: list[JsonObject] = []
    timings = FrameTimings("viewer-1", sent.append)
    timings.add(frame(1), 99, 1000.5)
    timings.switch(True)
    timings.switch(False)
    timings.add(frame(2), 99, 1001.5)
    assert sent == []


def test_entry_holds_what_the_frame_went_through() -> None:
    sent: list[JsonObject] = []
    timings = FrameTimings("viewer-1", sent.append)
    timings.switch(True)
    timings.add(frame(7), 99, 1000.5)
    assert sent == [
        {
            "frames": [
                {
                    "frame": 7,
                    "rtp": 99,
                    "input": 7,
                    "began_at": 1_000_000.0,
                    "render_ms": 1.0,
                    "convert_ms": 2.0,
                    "wait_ms": 3.0,
                    "encode_ms": 4.57,
                    "sent_at": 1_000_500.0,
                    "bytes": 10,
                    "key": False,
                    "repeated": False,
                }
            ]
        }
    ]


def test_input_of_others_is_not_this_viewers() -> None:
    sent: list[JsonObject] = []
    timings = FrameTimings("viewer-2", sent.append)
    timings.switch(True)
    timings.add(frame(7), 99, 1000.5)
    assert '"input": null' in json.dumps(sent)


def test_entries_come_four_times_a_second_or_thirty_at_a_time() -> None:
    sent: list[JsonObject] = []
    timings = FrameTimings("viewer-1", sent.append)
    timings.switch(True)
    for number in range(61):
        timings.add(frame(number), number, 1000 + number / 1000)
    assert [len(message["frames"]) for message in sent] == [1, 30, 30]  # type: ignore[arg-type]
    for number in range(60):
        timings.add(frame(number), number, 2000 + number / 60)
    assert len(sent) == 3 + 4
