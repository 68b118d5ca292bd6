"""Unmodified scripts: boto3's own client with its stock waiters and paginator, in threads as scripts run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.broker.api.nimble.clients import LAUNCH_PROFILE, STUDIO, nimble_client
from tests.broker.api.serving import Served, serving
from tests.broker.samples import make_profile

Script = Callable[[Any], None]
"""What is done with a client of boto3's, which makes its methods at run time."""


async def run(served: Served, script: Script, **who: str) -> None:
    def in_thread() -> None:
        with nimble_client(served.url, **who) as client:
            script(client)

    await asyncio.to_thread(in_thread)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker is on this machine, whatever proxies are set."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.mark.timeout(60)
async def test_a_whole_life_by_the_stock_waiters(served: Served) -> None:
    """The first one's delay of 10 s is waited through: the backend starts once it was found starting."""
    served.provider.hold = True
    loop = asyncio.get_running_loop()

    def start(**_: object) -> None:
        served.provider.hold = False
        loop.call_soon_threadsafe(served.provider.go_on)

    def life(client: Any) -> None:
        client.meta.events.register("after-call.nimble.GetStreamingSession", start, unique_id="once")
        session = client.create_streaming_session(
            studioId=STUDIO, launchProfileId=LAUNCH_PROFILE, ec2InstanceType="g5.xlarge", tags={"shot": "010"}
        )["session"]
        assert session["state"] == "CREATE_IN_PROGRESS"
        assert abs(session["createdAt"] - datetime.now(UTC)) < timedelta(minutes=1)
        one = {"studioId": STUDIO, "sessionId": session["sessionId"]}
        client.get_waiter("streaming_session_ready").wait(**one)
        client.meta.events.unregister("after-call.nimble.GetStreamingSession", unique_id="once")
        stream = client.create_streaming_session_stream(**one, expirationInSeconds=60)["stream"]
        assert stream["state"] == "CREATE_IN_PROGRESS" and "url" not in stream
        named = {**one, "streamId": stream["streamId"]}
        client.get_waiter("streaming_session_stream_ready").wait(**named)
        stream = client.get_streaming_session_stream(**named)["stream"]
        assert stream["url"].startswith(f"{served.url}/#session=")
        assert stream["expiresAt"] - stream["createdAt"] == timedelta(seconds=60)
        assert (
            client.stop_streaming_session(**one, volumeRetentionMode="RETAIN")["session"]["state"] == "STOP_IN_PROGRESS"
        )
        client.get_waiter("streaming_session_stopped").wait(**one)
        assert client.start_streaming_session(**one)["session"]["state"] == "START_IN_PROGRESS"
        client.get_waiter("streaming_session_ready").wait(**one)
        assert client.get_streaming_session(**one)["session"]["statusCode"] == "STREAMING_SESSION_STARTED"
        assert client.delete_streaming_session(**one)["session"]["state"] == "DELETE_IN_PROGRESS"
        client.get_waiter("streaming_session_deleted").wait(**one)

    await run(served, life)


async def test_a_failed_session_ends_the_wait_at_once(served: Served) -> None:
    served.provider.fail = "no graphics card"

    def script(client: Any) -> None:
        session = client.create_streaming_session(studioId=STUDIO, launchProfileId=LAUNCH_PROFILE)["session"]
        with pytest.raises(WaiterError, match="CREATE_FAILED"):
            client.get_waiter("streaming_session_ready").wait(
                studioId=STUDIO, sessionId=session["sessionId"], WaiterConfig={"Delay": 1, "MaxAttempts": 10}
            )

    await run(served, script)


async def test_errors_are_raised_as_the_models_own() -> None:
    async with serving() as served:

        def script(client: Any) -> None:
            raised = client.exceptions
            with pytest.raises(raised.ResourceNotFoundException) as missing:
                client.get_streaming_session(studioId=STUDIO, sessionId="yeG7lDwNQEiwNTRT7DrV7Q")
            assert missing.value.response["context"] == {"resourceId": "yeG7lDwNQEiwNTRT7DrV7Q"}
            assert missing.value.response["code"] == "SESSION_NOT_FOUND"
            assert missing.value.response["ResponseMetadata"]["RetryAttempts"] == 0
            assert len(missing.value.response["ResponseMetadata"]["RequestId"]) == 36
            with pytest.raises(raised.ValidationException):
                client.create_streaming_session(
                    studioId=STUDIO, launchProfileId=LAUNCH_PROFILE, ec2InstanceType="t2.nano"
                )
            with pytest.raises(raised.ValidationException):
                client.list_streaming_sessions(studioId=STUDIO, nextToken="made up")
            with pytest.raises(raised.ValidationException):
                client.get_streaming_session(studioId=STUDIO, sessionId="")
            session = client.create_streaming_session(studioId=STUDIO, launchProfileId=LAUNCH_PROFILE)["session"]
            one = {"studioId": STUDIO, "sessionId": session["sessionId"]}
            with pytest.raises(raised.ConflictException):
                client.start_streaming_session(**one)
            with pytest.raises(raised.ValidationException):
                client.create_streaming_session_stream(**one, expirationInSeconds=99999)
            with pytest.raises(ClientError, match="UnknownOperationException"):
                client.list_studio_components(studioId=STUDIO)

        await run(served, script)


async def test_a_wrong_secret_raises_and_is_not_retried(served: Served) -> None:
    def script(client: Any) -> None:
        with pytest.raises(ClientError, match="InvalidSignatureException") as refused:
            client.list_streaming_sessions(studioId=STUDIO)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert refused.value.response["ResponseMetadata"]["RetryAttempts"] == 0

    await run(served, script, secret="wrong")


async def test_the_paginator_walks_all_sessions_and_a_repeated_token_makes_none() -> None:
    async with serving(profile=make_profile(slots=60)) as served:

        def script(client: Any) -> None:
            token = str(uuid4())
            made = set()
            for number in range(52):
                given = {"clientToken": token} if number < 2 else {}
                answer = client.create_streaming_session(studioId=STUDIO, launchProfileId=LAUNCH_PROFILE, **given)
                made.add(answer["session"]["sessionId"])
            assert len(made) == 51
            pages = list(client.get_paginator("list_streaming_sessions").paginate(studioId=STUDIO))
            assert [len(page["sessions"]) for page in pages] == [50, 1]
            assert {session["sessionId"] for page in pages for session in page["sessions"]} == made
            one = client.list_streaming_sessions(studioId=STUDIO, sessionIds=next(iter(made)), ownedBy="anonymous")
            assert len(one["sessions"]) == 1

        await run(served, script)


async def test_what_scripts_look_up_is_there(served: Served) -> None:
    def script(client: Any) -> None:
        profiles = client.list_launch_profiles(studioId=STUDIO, states=["READY", "DELETED"], maxResults=10)
        ids = [profile["launchProfileId"] for profile in profiles["launchProfiles"]]
        assert LAUNCH_PROFILE in ids
        details = client.get_launch_profile_details(studioId=STUDIO, launchProfileId=LAUNCH_PROFILE)
        (image, *_) = details["streamingImages"]
        assert client.get_streaming_image(studioId=STUDIO, streamingImageId=image["streamingImageId"])["streamingImage"]
        client.get_waiter("launch_profile_ready").wait(studioId=STUDIO, launchProfileId=LAUNCH_PROFILE)
        client.get_waiter("streaming_image_ready").wait(studioId=STUDIO, streamingImageId=image["streamingImageId"])
        client.get_waiter("studio_ready").wait(studioId=STUDIO)
        assert client.list_studios()["studios"]
        assert client.list_streaming_session_backups(studioId=STUDIO)["streamingSessionBackups"] == []
        session = client.create_streaming_session(studioId=STUDIO, launchProfileId=LAUNCH_PROFILE)["session"]
        client.tag_resource(resourceArn=session["arn"], tags={"a": "b", "c": "d"})
        client.untag_resource(resourceArn=session["arn"], tagKeys=["a", "x"])
        assert client.list_tags_for_resource(resourceArn=session["arn"])["tags"] == {"c": "d"}

    await run(served, script)
