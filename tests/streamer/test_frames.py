"""Frames on their way to encoders."""

import numpy as np
import pytest

from streamer.frames import LatestPicture, Picture, to_planes, wrap

BARS = np.array([[236, 240, 241], [231, 76, 60], [46, 204, 113], [52, 152, 219]], dtype=np.uint8)


def bars(height: int = 48, width: int = 64) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return BARS[np.arange(width) * len(BARS) // width][None].repeat(height, axis=0)


@pytest.mark.parametrize("height", [48, 50])
@pytest.mark.parametrize("view", ["plain", "flipped", "window", "columns", "transposed", "alpha", "cut from alpha"])
def test_colours_survive_from_arrays_of_any_strides(view: str, height: int) -> None:
    frame = bars(height)
    frame[: height // 2] = 255 - frame[: height // 2]
    alpha = np.pad(frame, ((0, 0), (0, 0), (0, 1)), constant_values=7)
    views = {
        "plain": frame,
        "flipped": np.ascontiguousarray(frame[::-1])[::-1],
        "window": np.pad(frame, ((2, 2), (6, 6), (0, 0)))[2:-2, 6:-6],
        "columns": frame.repeat(2, axis=1)[:, ::2],
        "transposed": np.ascontiguousarray(frame.transpose(2, 1, 0)).transpose(2, 1, 0),
        "alpha": alpha,
        "cut from alpha": alpha[:, :, :3],
    }
    picture = Picture(to_planes(views[view]), 0)
    sent = wrap(picture.planes)
    assert (sent.width, sent.height) == picture.size == (64, height)
    seen = sent.to_ndarray(format="rgb24").astype(int)
    middles = (slice(4, None, 8), slice(8, None, 16))
    assert np.abs(seen[middles] - frame[middles].astype(int)).max() <= 4


def test_latest_picture_tells_who_listens_until_they_ignore_it() -> None:
    latest, heard = LatestPicture(), []

    def listener() -> None:
        heard.append(latest.picture)

    first, second, third = (Picture(to_planes(bars()), at_s) for at_s in (0.0, 0.1, 0.2))
    latest.put(first)
    latest.listen(listener)
    latest.put(second)
    latest.ignore(listener)
    latest.put(third)
    assert heard == [second]
    assert latest.picture is third
