"""Settings from the environment."""

from pathlib import Path

import pytest

from streamer.settings import BadSettings
from streamer.usd_viewer.settings import SAMPLE_STAGE, SAMPLES, LoadLimits, UsdSettings, settings_from
from streamer.usd_viewer.web_policy import Origin, WebPolicy


def test_without_any_the_samples_are_served() -> None:
    assert settings_from({}) == UsdSettings(SAMPLES, LoadLimits())
    assert settings_from({"PIXELFERRY_USD_ROOT": ""}).root == SAMPLES
    assert (SAMPLES / SAMPLE_STAGE).is_file()


def test_each_can_be_set() -> None:
    made = settings_from(
        {
            "PIXELFERRY_USD_ROOT": "/stages",
            "PIXELFERRY_USD_LOAD_S": "5",
            "PIXELFERRY_USD_LOAD_MEMORY_MIB": "1024",
            "PIXELFERRY_USD_HTTP_HOSTS": "assets.example, http://*.plain.example:8080",
            "PIXELFERRY_USD_HTTP_MIB": "3",
        }
    )
    web = WebPolicy((Origin("https", "assets.example", 443), Origin("http", "*.plain.example", 8080)))
    assert made == UsdSettings(Path("/stages"), LoadLimits(5.0, 2**30, 3 * 2**20), web)
    assert made.limits.output_bytes == 2**29


NUMBERS = ("PIXELFERRY_USD_LOAD_S", "PIXELFERRY_USD_LOAD_MEMORY_MIB", "PIXELFERRY_USD_HTTP_MIB")


@pytest.mark.parametrize("hosts", ["assets.example,,", "", " ", ","])
def test_empty_parts_of_a_list_are_none(hosts: str) -> None:
    assert len(settings_from({"PIXELFERRY_USD_HTTP_HOSTS": hosts}).web.origins) == ("assets" in hosts)


@pytest.mark.parametrize("hosts", ["*", "ftp://a.example", "a.example/stages", "a.example;b.example", "a_b"])
def test_a_wrong_host_is_named_with_the_mend(hosts: str) -> None:
    with pytest.raises(BadSettings, match=r"PIXELFERRY_USD_HTTP_HOSTS.*write example\.com"):
        settings_from({"PIXELFERRY_USD_HTTP_HOSTS": hosts})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["", "0", "-5", "1.5", "soon", "٣", "9" * 40])
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=name):
        settings_from({name: value})
