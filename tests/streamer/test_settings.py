"""Settings from the environment."""

import pytest

from streamer.settings import BadSettings, Bitrates, StreamSettings, settings_from
from streamer.source import VideoFormat

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


def test_bitrates_follow_the_picture_up_to_what_is_configured() -> None:
    free = settings_from({})
    assert free.bitrates_for(VideoFormat(1280, 720, 30)) == Bitrates()
    assert free.bitrates_for(VideoFormat(3840, 2160, 30)).ceiling == 60_000_000
    bound = settings_from({"PIXELFERRY_MAX_BITRATE": "6000000"})
    assert bound.bitrates_for(VideoFormat(3840, 2160, 30)).ceiling == 6_000_000
    fixed = StreamSettings(bitrates=Bitrates(1, 1, 1))
    assert fixed.bitrates_for(VideoFormat(3840, 2160, 30)) == Bitrates(1, 1, 1)


@pytest.mark.parametrize("text", ["", "6M", "-1", "299999", "99999999999", "\u0661"])
def test_bitrate_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(BadSettings, match="PIXELFERRY_MAX_BITRATE"):
        settings_from({"PIXELFERRY_MAX_BITRATE": text})


def test_hardware_is_looked_for_unless_software_is_asked_for() -> None:
    assert settings_from({}).hardware
    assert not settings_from({"PIXELFERRY_ENCODER": "software"}).hardware
    with pytest.raises(BadSettings, match="PIXELFERRY_ENCODER must be auto or software"):
        settings_from({"PIXELFERRY_ENCODER": "h264_nvenc"})


@pytest.mark.parametrize(
    ("text", "video"), [("1920x1080@60", VideoFormat(1920, 1080, 60)), ("640x360", VideoFormat(640, 360, 30))]
)
def test_format_can_be_set_from_outside(text: str, video: VideoFormat) -> None:
    assert settings_from({"PIXELFERRY_VIDEO": text}).video == video


@pytest.mark.parametrize("text", ["", "1920", "1921x1080", "62x64", "8194x64", "640x360@0", "640x360@241", "640x360@"])
def test_format_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(BadSettings, match="PIXELFERRY_VIDEO must be such as 1920x1080@60"):
        settings_from({"PIXELFERRY_VIDEO": text})
