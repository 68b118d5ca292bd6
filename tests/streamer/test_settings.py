"""Settings from the environment."""

import pytest

from streamer.settings import BadSettings, StreamSettings, settings_from

ENVIRONMENT = {
    "PIXELFERRY_BACKEND_HOST": "127.0.0.2",
    "PIXELFERRY_SIGNALING_PORT": "47001",
    "PIXELFERRY_MEDIA_PORT": "47002",
    "PIXELFERRY_CONTROL_PORT": "47003",
    "PIXELFERRY_CONTROL_TOKEN": "token",
}


def test_environment_of_the_protocol_is_taken() -> None:
    settings = settings_from(ENVIRONMENT)
    assert settings == StreamSettings(
        host="127.0.0.2", signaling_port=47001, media_port=47002, control_port=47003, control_token="token"
    )
    assert not settings.standalone


def test_without_an_environment_it_is_for_development_on_loopback() -> None:
    settings = settings_from({})
    assert settings.standalone
    assert settings.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PIXELFERRY_BACKEND_HOST", "localhost"),
        ("PIXELFERRY_SIGNALING_PORT", "65536"),
        ("PIXELFERRY_MEDIA_PORT", "-1"),
        ("PIXELFERRY_CONTROL_PORT", "\u0664\u0664"),
        ("PIXELFERRY_CONTROL_PORT", ""),
    ],
)
def test_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=name):
        settings_from(ENVIRONMENT | {name: value})


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_development_mode_is_never_reachable_from_outside(host: str) -> None:
    with pytest.raises(BadSettings, match="loopback"):
        settings_from({"PIXELFERRY_BACKEND_HOST": host})
