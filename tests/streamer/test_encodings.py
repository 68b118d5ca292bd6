"""Encodings: shared where they can be, one failure never more than one quality's."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from streamer.encoder import H264, LIBX264, VP8
from streamer.encoding import EncodedPicture, Quality
from streamer.encodings import BestEncoders, Encodings
from streamer.frames import LatestPicture
from streamer.source import VideoFormat
from tests.streamer.pictures import picture
from tests.streamer.waiting import until

FULL = Quality(H264, 1.0, 30, 9)
BROKEN = replace(LIBX264, name="h264_v4l2m2m")


class Viewer:
    """A member that sends at once, unless it is stuck."""

    def __init__(self, bitrate: int = 2_000_000) -> None:
        self.bitrate = bitrate
        self.hungry = True
        self.frames: list[EncodedPicture] = []
        self.failed = False

    def take(self, frame: EncodedPicture) -> None:
        self.frames.append(frame)

    def fail(self) -> None:
        self.failed = True

    @property
    def keys(self) -> list[bool]:
        return [frame.encoded.key for frame in self.frames]


class Studio:
    """A session's encodings, and the pictures that go into them."""

    def __init__(self) -> None:
        self.pictures = LatestPicture()
        self.video = VideoFormat(320, 180, 30)
        self.encoders = BestEncoders()
        self.encodings = Encodings(
            lambda: self.pictures,
            encoders=self.encoders,
            full_size=lambda: self.video,
            ceiling=lambda: 4_000_000,
        )
        self.number = 0

    async def show(self, count: int, *viewers: Viewer, **changes: object) -> None:
        """So many new pictures, each seen by all of these."""
        for _ in range(count):
            self.number += 1
            before = [len(viewer.frames) for viewer in viewers]
            self.pictures.put(picture(self.number, **changes))  # type: ignore[arg-type]
            await until(lambda: all(len(v.frames) > n for v, n in zip(viewers, before, strict=True)))  # noqa: B023


@pytest.fixture
async def studio() -> AsyncIterator[Studio]:
    made = Studio()
    yield made
    await made.encodings.close()
    await made.encodings.close()


async def test_viewers_of_one_quality_share_one_encoding(studio: Studio) -> None:
    one, other = Viewer(), Viewer()
    first = studio.encodings.place(one, FULL, None)
    await studio.show(2, one)
    assert studio.encodings.place(other, FULL, None) is first
    await studio.show(2, one, other)
    assert studio.encodings.count == 1
    assert one.frames[-1] is other.frames[-1]
    assert [frame.picture.number for frame in one.frames] == sorted(frame.picture.number for frame in one.frames)


async def test_newcomer_brings_a_key_frame_for_all_but_not_right_after_another(studio: Studio) -> None:
    one, other = Viewer(), Viewer()
    studio.encodings.place(one, FULL, None)
    await studio.show(1, one)
    studio.encodings.place(other, FULL, None)
    await studio.show(1, one, other)
    assert one.keys == [True, False]
    await until(lambda: one.keys.count(True) == 2)
    assert other.keys[-1]
    assert [frame.repeated for frame in one.frames] == [False, False, True]
    assert one.frames[-1].timestamp - one.frames[0].timestamp > 0.3 * 90000, (
        "the time of a repeated picture stood still"
    )


async def test_another_quality_is_another_encoding_and_an_empty_one_ends(studio: Studio) -> None:
    one, other = Viewer(), Viewer()
    full = studio.encodings.place(one, FULL, None)
    half = studio.encodings.place(other, replace(FULL, scale=0.5, codec=VP8), None)
    await studio.show(1, one, other)
    assert studio.encodings.count == 2
    assert (one.frames[0].video, one.frames[0].encoder) == (VideoFormat(320, 180, 30), "libx264")
    assert (other.frames[0].video, other.frames[0].encoder) == (VideoFormat(160, 90, 30), "libvpx")
    studio.encodings.leave(one, full)
    studio.encodings.leave(one, full)
    assert studio.encodings.count == 1
    studio.encodings.leave(other, half)
    assert studio.encodings.count == 0


async def test_who_is_alone_takes_its_encoding_along_without_a_key_frame(studio: Studio) -> None:
    one = Viewer()
    first = studio.encodings.place(one, FULL, None)
    await studio.show(2, one)
    assert studio.encodings.place(one, replace(FULL, rate=10), first) is first
    one.bitrate = 3_000_000
    await studio.show(2, one)
    assert one.keys == [True, False, False, False]


async def test_who_shared_moves_to_the_others_of_its_new_quality(studio: Studio) -> None:
    one, two, three = Viewer(), Viewer(), Viewer()
    rich, poor = FULL, replace(FULL, rate=5)
    shared = studio.encodings.place(one, rich, None)
    studio.encodings.place(two, rich, None)
    there = studio.encodings.place(three, poor, None)
    assert studio.encodings.place(two, poor, shared) is there
    assert studio.encodings.place(one, poor, shared) is there
    assert studio.encodings.count == 1
    assert there.members == [three, two, one]


async def test_slowest_of_those_who_share_sets_the_rate(studio: Studio) -> None:
    rich, poor = Viewer(4_000_000), Viewer(400_000)
    studio.encodings.place(rich, FULL, None)
    studio.encodings.place(poor, FULL, None)
    await studio.show(40, rich, poor)
    bits = sum(frame.encoded.size_bytes for frame in rich.frames[10:]) * 8 * 30 / len(rich.frames[10:])
    assert bits < 800_000


async def test_nothing_is_encoded_for_who_has_no_time_and_then_only_the_latest(studio: Studio) -> None:
    one = Viewer()
    encoding = studio.encodings.place(one, FULL, None)
    await studio.show(1, one)
    one.hungry = False
    for number in range(10, 20):
        studio.pictures.put(picture(number))
        await asyncio.sleep(0)
    assert len(one.frames) <= 2
    seen = len(one.frames)
    one.hungry = True
    encoding.wake()
    await until(lambda: len(one.frames) == seen + 1)
    assert one.frames[-1].picture.number == 19


async def test_fewer_frames_are_sent_than_drawn_where_that_is_wanted(studio: Studio) -> None:
    one, slow = Viewer(), Viewer()
    studio.encodings.place(one, FULL, None)
    studio.encodings.place(slow, replace(FULL, fps=10), None)
    await studio.show(31, one)
    await until(lambda: len(slow.frames) >= 10)
    assert 10 <= len([frame for frame in slow.frames if not frame.repeated]) <= 12


async def test_application_that_draws_its_own_size_is_scaled_from_that(studio: Studio) -> None:
    half = Viewer()
    studio.encodings.place(half, replace(FULL, scale=0.5), None)
    await studio.show(1, half, width=400, height=200, asked=VideoFormat(320, 180, 30))
    assert half.frames[0].video == VideoFormat(200, 100, 30)


async def test_picture_that_is_drawn_at_the_rungs_size_is_not_scaled_again(studio: Studio) -> None:
    half = Viewer()
    studio.encodings.place(half, replace(FULL, scale=0.5), None)
    await studio.show(1, half, width=160, height=90)
    assert half.frames[0].video == VideoFormat(160, 90, 30)


async def test_hardware_that_fails_gives_way_to_software(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    one = Viewer()
    studio.encoders.prefer(BROKEN)
    studio.encodings.place(one, FULL, None)
    await studio.show(2, one)
    assert [frame.encoder for frame in one.frames] == ["libx264", "libx264"]
    assert not one.failed
    assert "h264_v4l2m2m failed; encoding in software from now on" in caplog.text


async def test_picture_that_no_encoder_takes_fails_its_viewers(
    studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    one = Viewer()
    studio.encodings.place(one, FULL, None)
    wide = replace(picture(1), planes=np.zeros((24, 20000), dtype=np.uint8))
    studio.pictures.put(wide)
    await until(lambda: one.failed)
    assert "a picture could not be encoded" in caplog.text


async def test_load_says_how_much_of_the_time_encoding_takes(studio: Studio) -> None:
    one = Viewer()
    encoding = studio.encodings.place(one, FULL, None)
    assert encoding.load == 0
    await studio.show(20, one)
    assert 0 < encoding.load < 5
