from __future__ import annotations

from dataclasses import replace

import pytest

from broker.core.catalog import Application, ApplicationPattern, ApplicationVersion, Catalog
from broker.core.nimble_catalog import launch_profile, launch_profiles, streaming_image, streaming_images
from broker.errors import NotFound
from signaling.routes import Admission
from tests.broker.samples import make_profile


def make_application(name: str, *versions: str, default: str | None = None) -> Application:
    return Application(name, name.title(), "", (), default, {key: ApplicationVersion(key) for key in versions})


ALL = make_profile()
SOME = replace(ALL, id="fast", name="Fast", applications=(ApplicationPattern("app", ("1.0.0", "3.0.0")),))
OPEN = replace(ALL, id="open", admission=Admission.ADDRESS)
CATALOG = Catalog(
    {
        "app": make_application("app", "1.0.0", "2.0.0", "3.0.0", default="2.0.0"),
        "other": make_application("other", "1.0.0"),
        "empty": make_application("empty"),
    },
    {profile.id: profile for profile in (ALL, SOME, OPEN)},
)


def test_a_launch_profile_is_an_application_under_a_profile_that_serves_it() -> None:
    assert [(item.id, item.name) for item in launch_profiles(CATALOG)] == [
        ("app_default", "App"),
        ("app_fast", "App (Fast)"),
        ("other_default", "Other"),
    ]


def test_its_usual_version_comes_first_and_then_the_highest() -> None:
    assert [image.version for image in launch_profile(CATALOG, "app_default").images] == ["2.0.0", "3.0.0", "1.0.0"]
    assert [image.version for image in launch_profile(CATALOG, "app_fast").images] == ["3.0.0", "1.0.0"]


def test_a_session_runs_the_image_that_it_names_or_the_usual_one() -> None:
    profile = launch_profile(CATALOG, "app_fast")
    usual, named = profile.resolve(None), profile.resolve("app_1-0-0")
    assert usual is not None and (usual.application.id, usual.version.version, usual.profile.id) == (
        "app",
        "3.0.0",
        "fast",
    )
    assert named is not None and named.version.version == "1.0.0"
    assert profile.resolve("app_2-0-0") is None


def test_images_are_listed_once() -> None:
    assert [image.id for image in streaming_images(CATALOG)] == ["app_1-0-0", "app_2-0-0", "app_3-0-0", "other_1-0-0"]
    assert streaming_image(CATALOG, "app_3-0-0").application.id == "app"


def test_what_there_is_not_is_told_by_its_id() -> None:
    with pytest.raises(NotFound, match="launch profile 'app_open'"):
        launch_profile(CATALOG, "app_open")
    with pytest.raises(NotFound, match="streaming image 'nope'"):
        streaming_image(CATALOG, "nope")
