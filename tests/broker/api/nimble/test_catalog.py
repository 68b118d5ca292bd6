"""What scripts look up: launch profiles, images, studios, and backups, of which there are none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.broker.api.nimble.clients import LAUNCH_PROFILE, ROOT, STUDIO, STUDIO_PATH, Caller, refusal_of
from tests.broker.api.serving import Answer, JsonObject, serving
from tests.broker.samples import CLOCKS, make_profile


def ids_in(answer: Answer, members: str, name: str) -> list[object]:
    assert answer.status == 200, answer
    found = answer.json[members]
    assert isinstance(found, list)
    return [item[name] for item in found if isinstance(item, dict)]


def member(answer: Answer, name: str) -> JsonObject:
    assert answer.status == 200, answer
    found = answer.json[name]
    assert isinstance(found, dict)
    return found


async def test_launch_profiles_name_what_can_be_launched(caller: Caller) -> None:
    answer = await caller.call("GET", f"{STUDIO_PATH}/launch-profiles")
    ids = ids_in(answer, "launchProfiles", "launchProfileId")
    assert ids == ["app_default", "other_default", "other_special"]
    for launch_profile in ids:
        assert (await caller.created(launchProfileId=launch_profile))["launchProfileId"] == launch_profile


async def test_launch_profiles_come_in_pages(caller: Caller) -> None:
    path = f"{STUDIO_PATH}/launch-profiles?maxResults=2"
    first = await caller.call("GET", path)
    token = first.json["nextToken"]
    rest = await caller.call("GET", f"{path}&nextToken={token}")
    names = [*ids_in(first, "launchProfiles", "launchProfileId"), *ids_in(rest, "launchProfiles", "launchProfileId")]
    assert names == ["app_default", "other_default", "other_special"] and "nextToken" not in rest.json


@pytest.mark.parametrize(("query", "count"), [("states=READY&states=DELETED", 3), ("states=DELETED", 0)])
async def test_launch_profiles_are_found_by_state(caller: Caller, query: str, count: int) -> None:
    answer = await caller.call("GET", f"{STUDIO_PATH}/launch-profiles?{query}&principalId=someone")
    assert len(ids_in(answer, "launchProfiles", "launchProfileId")) == count


@pytest.mark.parametrize("query", ["maxResults=0", "maxResults=101", "maxResults=x", "states=NOPE", "nextToken=x"])
async def test_a_query_that_fits_no_model_is_refused(caller: Caller, query: str) -> None:
    answer = await caller.call("GET", f"{STUDIO_PATH}/launch-profiles?{query}")
    assert refusal_of(answer) == (400, "ValidationException")


async def test_a_launch_profile_tells_its_limits() -> None:
    clocks = replace(CLOCKS, max_length_s=90, max_stopped_s=0)
    async with serving(profile=make_profile(clocks=clocks), nimble={"instance_types": ["gpu.1x"]}) as served:
        answer = await Caller(served).call("GET", f"{STUDIO_PATH}/launch-profiles/{LAUNCH_PROFILE}")
        profile = member(answer, "launchProfile")
        assert (profile["state"], profile["statusCode"]) == ("READY", "LAUNCH_PROFILE_CREATED")
        configuration = profile["streamConfiguration"]
        assert isinstance(configuration, dict)
        assert configuration["maxSessionLengthInMinutes"] == 2
        assert configuration["maxStoppedSessionLengthInMinutes"] == 0
        assert configuration["ec2InstanceTypes"] == ["gpu.1x"]


async def test_its_details_hold_its_images(caller: Caller) -> None:
    answer = await caller.call("GET", f"{STUDIO_PATH}/launch-profiles/{LAUNCH_PROFILE}/details")
    assert ids_in(answer, "streamingImages", "streamingImageId") == ["app_1-10-0", "app_1-9-0", "app_1-0-0"]
    assert answer.json["studioComponentSummaries"] == []


async def test_images_are_listed_and_got(caller: Caller) -> None:
    path = f"{STUDIO_PATH}/streaming-images"
    ids = ids_in(await caller.call("GET", path), "streamingImages", "streamingImageId")
    assert ids == ["app_1-0-0", "app_1-10-0", "app_1-9-0", "other_1-0-0"]
    image = member(await caller.call("GET", f"{path}/app_1-9-0"), "streamingImage")
    assert (image["name"], image["owner"], image["platform"]) == ("App 1.9.0", STUDIO, "LINUX")
    own = await caller.call("GET", f"{path}?owner={STUDIO_PATH.rpartition('/')[2]}")
    assert ids_in(own, "streamingImages", "streamingImageId") == ids
    assert ids_in(await caller.call("GET", f"{path}?owner=amazon"), "streamingImages", "streamingImageId") == []


async def test_studios_are_those_configured_or_any() -> None:
    async with serving() as served:
        answer = await Caller(served).call("GET", STUDIO_PATH)
        assert member(answer, "studio")["studioId"] == STUDIO
        assert ids_in(await Caller(served).call("GET", f"{ROOT}/studios"), "studios", "studioId") == ["pixelferry"]
    async with serving(nimble={"studios": ["two", "one"]}) as served:
        caller = Caller(served)
        assert ids_in(await caller.call("GET", f"{ROOT}/studios"), "studios", "studioId") == ["one", "two"]
        assert member(await caller.call("GET", f"{ROOT}/studios/one"), "studio")["state"] == "READY"
        assert refusal_of(await caller.call("GET", STUDIO_PATH)) == (404, "ResourceNotFoundException")


async def test_there_are_no_backups(caller: Caller) -> None:
    path = f"{STUDIO_PATH}/streaming-session-backups"
    assert (await caller.call("GET", f"{path}?ownedBy=me")).json == {"streamingSessionBackups": []}
    assert refusal_of(await caller.call("GET", f"{path}?nextToken=x")) == (400, "ValidationException")
    assert refusal_of(await caller.call("GET", f"{path}/b1")) == (404, "ResourceNotFoundException")


@pytest.mark.parametrize("path", ["launch-profiles/nope", "launch-profiles/nope/details", "streaming-images/nope"])
async def test_what_there_is_not_is_told_by_its_id(caller: Caller, path: str) -> None:
    answer = await caller.call("GET", f"{STUDIO_PATH}/{path}")
    assert refusal_of(answer) == (404, "ResourceNotFoundException")
    assert answer.json["context"] == {"resourceId": "nope"}
