"""The picture before there is any renderer."""

import numpy as np
import pytest

from streamer.usd_viewer.backdrop import BOTTOM, TOP, waiting_picture


def test_it_is_a_gradient_of_the_asked_size() -> None:
    picture = waiting_picture(320, 180, 0.0)
    assert picture.shape == (180, 320, 3)
    assert picture.dtype == np.uint8
    assert picture[0, 0] == pytest.approx(np.array(TOP) * 255, abs=1)
    assert picture[-1, -1] == pytest.approx(np.array(BOTTOM) * 255, abs=1)


def test_its_bar_moves() -> None:
    assert (waiting_picture(320, 180, 0.0) != waiting_picture(320, 180, 0.4)).any()


@pytest.mark.parametrize("size", [(2, 2), (16, 2), (3840, 2160)])
def test_any_size_is_drawn(size: tuple[int, int]) -> None:
    assert waiting_picture(*size, 12.3).shape == (size[1], size[0], 3)
