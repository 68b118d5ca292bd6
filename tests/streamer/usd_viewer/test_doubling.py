"""Pictures at twice their size."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streamer.usd_viewer.doubling import doubled


def picture(rows: list[list[int]]) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.array(rows, np.uint8)[..., None].repeat(4, axis=2)


def test_new_pixels_are_the_mean_of_their_neighbours() -> None:
    assert doubled(picture([[0, 100], [200, 255]]), 4, 4)[..., 0].tolist() == [
        [0, 50, 100, 100],
        [100, 138, 177, 177],
        [200, 227, 255, 255],
        [200, 227, 255, 255],
    ]


def test_odd_sizes_are_cut() -> None:
    assert doubled(picture([[1, 2], [3, 4]]), 3, 3).shape == (3, 3, 4)
    assert doubled(picture([[7]]), 1, 1).tolist() == [[[7, 7, 7, 7]]]


@settings(deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(4))))
def test_every_channel_stays_within_its_neighbours_and_old_pixels_stay(
    small: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]",
) -> None:
    height, width, _ = small.shape
    large = doubled(small, width * 2, height * 2)
    assert (large[::2, ::2] == small).all()
    assert (large.min(axis=(0, 1)) >= small.min(axis=(0, 1))).all()
    assert (large.max(axis=(0, 1)) <= small.max(axis=(0, 1))).all()
    between = (small[:, :-1].astype(int) + small[:, 1:]) // 2
    assert (large[::2, 1:-1:2] == between).all()
