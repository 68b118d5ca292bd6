"""Settings from the environment."""

from pathlib import Path

import pytest

from streamer.settings import BadSettings
from streamer.usd_viewer.settings import SAMPLE_STAGE, SAMPLES, LoadLimits, UsdSettings, settings_from


def test_without_any_the_samples_are_served() -> None:
    assert settings_from({}) == UsdSettings(SAMPLES, LoadLimits())
    assert settings_from({"PIXELFERRY_USD_ROOT": ""}).root == SAMPLES
    assert (SAMPLES / SAMPLE_STAGE).is_file()


def test_each_can_be_set() -> None:
    made = settings_from(
        {"PIXELFERRY_USD_ROOT": "/stages", "PIXELFERRY_USD_LOAD_S": "5", "PIXELFERRY_USD_LOAD_MEMORY_MIB": "1024"}
    )
    assert made == UsdSettings(Path("/stages"), LoadLimits(5.0, 2**30))
    assert made.limits.output_bytes == 2**29


@pytest.mark.parametrize("name", ["PIXELFERRY_USD_LOAD_S", "PIXELFERRY_USD_LOAD_MEMORY_MIB"])
@pytest.mark.parametrize("value", ["", "0", "-5", "1.5", "soon", "٣", "9" * 40])
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=name):
        settings_from({name: value})
