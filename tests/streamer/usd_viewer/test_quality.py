"""When a picture is drawn, and how."""

from streamer.usd_viewer.quality import SETTLE_S, Quality


def wants(quality: Quality, at_s: float, *, changed: bool, still: bool = False) -> bool | None:
    return quality.wants(changed=changed, still_before=still, at_s=at_s, fps=30)


def test_movement_is_drawn_roughly_and_finely_once_it_rests() -> None:
    quality = Quality()
    quality.took(0.2, fine=True)
    assert wants(quality, 1.0, changed=True) is False
    assert wants(quality, 1.0 + SETTLE_S / 2, changed=False) is None
    assert wants(quality, 1.01 + SETTLE_S, changed=False) is True
    assert wants(quality, 2.0, changed=False) is None


def test_what_appears_by_itself_is_drawn_finely_at_once() -> None:
    quality = Quality()
    assert wants(quality, 0.0, changed=True, still=True) is True
    assert wants(quality, 0.1, changed=False) is None


def test_a_fast_machine_draws_everything_finely() -> None:
    quality = Quality()
    quality.took(0.002, fine=True)
    assert wants(quality, 0.0, changed=True) is True


def test_a_machine_that_becomes_slow_goes_back_to_rough_pictures() -> None:
    quality = Quality()
    quality.took(0.002, fine=True)
    for _ in range(8):
        quality.took(0.1, fine=True)
    quality.took(0.001, fine=False)
    assert wants(quality, 0.0, changed=True) is False


def test_a_slow_machine_draws_fewer_pixels_and_a_faster_one_all_again() -> None:
    quality = Quality()
    assert not quality.coarse
    quality.took(0.036, fine=False, fps=30)
    assert quality.coarse
    for _ in range(20):
        quality.took(0.010, fine=False, fps=30)
    assert quality.coarse
    for _ in range(20):
        quality.took(0.001, fine=False, fps=30)
    assert not quality.coarse


def test_what_fits_into_the_frame_is_drawn_with_all_pixels() -> None:
    quality = Quality()
    for _ in range(20):
        quality.took(0.012, fine=False, fps=30)
        quality.took(0.500, fine=True, fps=30)
    assert not quality.coarse
    quality.took(0.036, fine=False, fps=10)
    assert not quality.coarse
