"""One viewer's share: what is queued, what is told, what a receiver's reports change."""

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from streamer.core.ladder import Rung
from streamer.core.rate import Bitrates
from streamer.delivery import Delivery
from streamer.encoding import EncodedPicture
from streamer.encodings import BestEncoders, Encodings
from streamer.frames import LatestPicture, Picture
from streamer.source import JsonObject, VideoFormat
from tests.streamer.pictures import picture

VIDEO = VideoFormat(640, 360, 30)
BOUNDS = Bitrates(start=2_000_000, floor=100_000, ceiling=4_000_000)


class Studio:
    """Encodings, and deliveries that remember what they say."""

    def __init__(self) -> None:
        self.pictures = LatestPicture()
        self.encodings = Encodings(
            lambda: self.pictures,
            encoders=BestEncoders(),
            full_size=lambda: VIDEO,
            ceiling=lambda: BOUNDS.ceiling,
        )
        self.sent: list[tuple[EncodedPicture, int, float]] = []
        self.told: list[JsonObject] = []
        self.rungs: list[Rung] = []

    def delivery(self, **changes: Callable[[], float]) -> Delivery:
        return Delivery(
            self.encodings,
            wished=VIDEO,
            bitrates=BOUNDS,
            on_sent=lambda frame, rtp, at: self.sent.append((frame, rtp, at)),
            on_delivered=self.told.append,
            on_rung=self.rungs.append,
            **changes,
        )

    def show(self, number: int) -> None:
        self.pictures.put(picture(number, width=640, height=360))


@pytest.fixture
async def studio() -> AsyncIterator[Studio]:
    made = Studio()
    yield made
    await made.encodings.close()


async def frames(studio: Studio, delivery: Delivery, numbers: range) -> list[int]:
    """The timestamps of so many frames, each shown and sent."""
    stamps = []
    for number in numbers:
        studio.show(number)
        async with asyncio.timeout(5):
            stamps.append((await delivery.next("H264")).timestamp)
        delivery.sent(number, 1000.0 + number)
    return stamps


async def test_frames_come_with_rising_times_and_are_told_of_once_sent(studio: Studio) -> None:
    delivery = studio.delivery()
    stamps = await frames(studio, delivery, range(1, 6))
    assert stamps == sorted(set(stamps))
    assert [(frame.picture.number, rtp, at) for frame, rtp, at in studio.sent] == [
        (number, number, 1000.0 + number) for number in range(1, 6)
    ]
    delivery.sent(9, 0.0)
    assert len(studio.sent) == 5, "a frame was told of twice"
    delivery.close()


async def test_what_is_delivered_is_told_once_and_again_to_who_comes_later(studio: Studio) -> None:
    delivery = studio.delivery()
    await frames(studio, delivery, range(1, 4))
    size: JsonObject = {"width": 640, "height": 360, "fps": 30}
    assert studio.told == [
        {
            "wished": size,
            "delivered": size,
            "limited_by": "none",
            "bitrate": BOUNDS.start,
            "codec": "H264",
            "encoder": "libx264",
        }
    ]
    delivery.tell_again()
    await frames(studio, delivery, range(4, 6))
    assert len(studio.told) == 2
    delivery.close()


async def test_network_that_carries_little_gets_a_smaller_picture_and_is_told_why(studio: Studio) -> None:
    clock = [1000.0]
    delivery = studio.delivery(monotonic=lambda: clock[0])
    for number in range(1, 30):
        clock[0] += 1.0
        delivery.lost(1.0)
        await frames(studio, delivery, range(number, number + 1))
        if studio.rungs:
            break
    await frames(studio, delivery, range(50, 52))
    assert studio.rungs[0] == Rung(0.75, 30)
    assert studio.told[-1]["limited_by"] == "network"
    assert studio.told[-1]["delivered"] == {"width": 480, "height": 270, "fps": 30}
    assert studio.told[-1]["wished"] == {"width": 640, "height": 360, "fps": 30}
    delivery.close()


async def test_who_falls_behind_goes_on_with_a_key_frame(studio: Studio) -> None:
    slow, fast = studio.delivery(), studio.delivery()
    await asyncio.gather(frames(studio, slow, range(1, 2)), frames(studio, fast, range(1, 2)))
    assert studio.encodings.count == 1
    await frames(studio, fast, range(2, 12))
    async with asyncio.timeout(5):
        await slow.next("H264")
    slow.sent(0, 0.0)
    behind = studio.sent[-1][0]
    assert behind.encoded.key or behind.picture.number <= 3
    slow.close()
    fast.close()


async def test_key_frames_come_when_asked_for_but_not_in_a_flood(studio: Studio) -> None:
    delivery = studio.delivery()
    await frames(studio, delivery, range(1, 3))
    for _ in range(100):
        delivery.key_frame_wanted()
    assert delivery.key_frames_refused == 99
    async with asyncio.timeout(5):
        await delivery.next("H264")  # of the picture that stays
    delivery.sent(0, 0.0)
    assert studio.sent[-1][0].encoded.key
    assert [frame.encoded.key for frame, _, _ in studio.sent].count(True) == 2
    delivery.close()


async def test_lost_packets_are_sent_again_up_to_a_bound(studio: Studio) -> None:
    delivery = studio.delivery()
    waits = [delivery.resend_wait_s() for _ in range(10_000)]
    allowed = [wait for wait in waits if wait is not None]
    assert 64 <= len(allowed) < 1000
    assert allowed[:10] == [0.0] * 10 and 0.01 < allowed[63] < 0.25, "they left in one burst"
    delivery.close()


async def test_key_frame_is_spread_and_a_small_frame_leaves_at_once(studio: Studio) -> None:
    delivery = studio.delivery()
    delivery.lost(1.0)
    noise = np.random.default_rng(1).integers(0, 255, (540, 640), dtype=np.uint8)
    studio.pictures.put(Picture(noise, at_s=0.0, number=1))
    first = await delivery.next("H264")
    assert len(first.parts) > 10
    assert len(first.due_s) == len(first.parts)
    assert 0.005 < first.due_s[-1] < 1 / 30
    studio.pictures.put(Picture(noise, at_s=0.1, number=2))
    assert set((await delivery.next("H264")).due_s) == {0.0}
    delivery.close()


async def test_another_wish_begins_anew_at_the_top(studio: Studio) -> None:
    delivery = studio.delivery()
    await frames(studio, delivery, range(1, 2))
    delivery.wish(VIDEO, BOUNDS)
    assert studio.rungs == []
    delivery.wish(VideoFormat(320, 180, 15), Bitrates(1_000_000, 100_000, 2_000_000))
    assert studio.rungs == [Rung(1.0, 15)]
    assert delivery.bitrate == 1_000_000
    await frames(studio, delivery, range(2, 4))
    assert studio.told[-1]["wished"] == {"width": 320, "height": 180, "fps": 15}
    delivery.close()


async def test_closed_delivery_ends_its_sender_and_leaves_its_encoding(studio: Studio) -> None:
    delivery = studio.delivery()
    await frames(studio, delivery, range(1, 2))
    waiting = asyncio.create_task(delivery.next("H264"))
    await asyncio.sleep(0)
    delivery.close()
    delivery.close()
    with pytest.raises(MediaStreamError):
        await waiting
    assert studio.encodings.count == 0
