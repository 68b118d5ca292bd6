"""Frames on their way to encoders."""

import asyncio

import av
import numpy as np
import pytest

from streamer.frames import LatestPicture, Picture, PictureTrack, check_frame, to_planes

BARS = np.array([[236, 240, 241], [231, 76, 60], [46, 204, 113], [52, 152, 219]], dtype=np.uint8)


def bars(height: int = 48, width: int = 64) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return BARS[np.arange(width) * len(BARS) // width][None].repeat(height, axis=0)


@pytest.mark.parametrize("height", [48, 50])
@pytest.mark.parametrize("view", ["plain", "flipped", "window", "columns", "transposed"])
async def test_colours_survive_from_arrays_of_any_strides(view: str, height: int) -> None:
    frame = bars(height)
    frame[: height // 2] = 255 - frame[: height // 2]
    views = {
        "plain": frame,
        "flipped": np.ascontiguousarray(frame[::-1])[::-1],
        "window": np.pad(frame, ((2, 2), (6, 6), (0, 0)))[2:-2, 6:-6],
        "columns": frame.repeat(2, axis=1)[:, ::2],
        "transposed": np.ascontiguousarray(frame.transpose(2, 1, 0)).transpose(2, 1, 0),
    }
    latest = LatestPicture()
    latest.put(Picture(to_planes(views[view]), 0))
    sent = await PictureTrack(latest, on_sent=lambda: None).recv()
    assert (sent.width, sent.height) == (64, height)
    seen = sent.to_ndarray(format="rgb24").astype(int)
    middles = (slice(4, None, 8), slice(8, None, 16))
    assert np.abs(seen[middles] - frame[middles].astype(int)).max() <= 4


@pytest.mark.parametrize(
    "frame",
    [
        None,
        "frame",
        np.zeros((48, 64, 4), dtype=np.uint8),
        np.zeros((48, 64), dtype=np.uint8),
        np.zeros((48, 64, 3), dtype=np.float32),
        np.zeros((47, 64, 3), dtype=np.uint8),
        np.zeros((48, 63, 3), dtype=np.uint8),
        np.zeros((0, 0, 3), dtype=np.uint8),
        np.zeros((14, 64, 3), dtype=np.uint8),
    ],
)
def test_what_is_no_frame_is_refused_with_what_one_is(frame: object) -> None:
    with pytest.raises(ValueError, match="a frame is a NumPy array of uint8 and shape"):
        check_frame(frame)


async def test_who_is_late_gets_the_newest_picture_only() -> None:
    latest, sent = LatestPicture(), []
    track = PictureTrack(latest, on_sent=lambda: sent.append(1))
    for at_s in (0.0, 0.1, 0.2):
        latest.put(Picture(to_planes(bars()), at_s))
    first = await track.recv()
    waiting = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    assert not waiting.done()
    latest.put(Picture(to_planes(bars()), 0.3))
    second = await waiting
    assert isinstance(first, av.VideoFrame)
    assert [first.pts, second.pts] == [18000, 27000]
    assert len(sent) == 2


async def test_media_time_never_stands_still_or_goes_back() -> None:
    latest = LatestPicture()
    track = PictureTrack(latest, on_sent=lambda: None)
    times = []
    for at_s in (1.0, 1.0, 0.5):
        latest.put(Picture(to_planes(bars()), at_s))
        times.append((await track.recv()).pts)
    assert times == [90000, 90001, 90002]
