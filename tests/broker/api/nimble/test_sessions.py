"""The six operations on sessions, request by request."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote

import pytest

from broker.core.nimble_ids import session_id_of
from signaling.routes import Admission
from tests.broker.api.nimble.clients import LAUNCH_PROFILE, SESSIONS, Caller, refusal_of, session_of
from tests.broker.api.nimble.people import KEYS, alice, bob, root
from tests.broker.api.serving import JsonObject, serving
from tests.broker.samples import CLOCKS, make_profile

CONFLICT = (409, "ConflictException")
ALWAYS = {
    "arn",
    "automaticTerminationMode",
    "backupMode",
    "createdAt",
    "createdBy",
    "launchProfileId",
    "maxBackupsToRetain",
    "ownedBy",
    "sessionId",
    "sessionPersistenceMode",
    "state",
    "statusCode",
    "statusMessage",
    "streamingImageId",
    "tags",
    "updatedAt",
    "updatedBy",
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def status_of(session: JsonObject) -> tuple[object, object]:
    return session["state"], session["statusCode"]


async def listed(caller: Caller, query: str = "") -> list[object]:
    answer = await caller.call("GET", SESSIONS + query)
    assert answer.status == 200, answer
    sessions = answer.json["sessions"]
    assert isinstance(sessions, list)
    return [session["sessionId"] for session in sessions if isinstance(session, dict)]


async def test_a_created_session_is_under_way_and_readable_at_once(caller: Caller) -> None:
    caller.served.provider.hold = True
    tags = {"project": "Brücke", "empty": ""}
    made = await caller.created(streamingImageId="app_1-9-0", ec2InstanceType="g5.xlarge", tags=tags)
    assert status_of(made) == ("CREATE_IN_PROGRESS", "STREAMING_SESSION_CREATE_IN_PROGRESS")
    assert set(made) == ALWAYS | {"ec2InstanceType"}
    assert (made["launchProfileId"], made["streamingImageId"]) == (LAUNCH_PROFILE, "app_1-9-0")
    assert (made["ec2InstanceType"], made["tags"]) == ("g5.xlarge", tags)
    assert TIME.fullmatch(str(made["createdAt"])) and TIME.fullmatch(str(made["updatedAt"]))
    assert made["arn"] == f"arn:aws:nimble:us-west-2:000000000000:streaming-session/{made['sessionId']}"
    assert (await caller.session(made["sessionId"]))["sessionId"] == made["sessionId"]
    assert [order.version for order in caller.served.provider.orders] == ["1.9.0"]


async def test_a_ready_session_tells_when_its_clocks_end_it(caller: Caller) -> None:
    ready = await caller.ready()
    assert status_of(ready) == ("READY", "STREAMING_SESSION_READY")
    assert set(ready) == ALWAYS | {"terminateAt"}
    assert TIME.fullmatch(str(ready["terminateAt"])) and str(ready["terminateAt"]) > str(ready["createdAt"])


async def test_its_relay_asks_for_a_token_whatever_the_profile_says(caller: Caller) -> None:
    ready = await caller.ready()
    route = caller.served.relay.served[str(session_id_of(str(ready["sessionId"])))]
    assert route.admission is Admission.TOKEN


async def test_a_session_of_another_api_is_the_same_session_here(caller: Caller) -> None:
    made = (await caller.served.start()).json
    (short,) = await listed(caller)
    assert session_id_of(str(short)) == made["id"]
    assert (await caller.session(short))["state"] == "READY"


async def test_a_session_is_stopped_and_started_anew_under_its_id(caller: Caller) -> None:
    session_id = (await caller.ready())["sessionId"]
    path, provider = f"{SESSIONS}/{session_id}", caller.served.provider
    stopping = session_of(await caller.call("POST", f"{path}/stop", {"volumeRetentionMode": "DELETE"}))
    assert status_of(stopping) == ("STOP_IN_PROGRESS", "STREAMING_SESSION_STOP_IN_PROGRESS")
    stopped = await caller.until(session_id, "STOPPED")
    assert {"stoppedAt", "stoppedBy"} <= set(stopped) and "startedAt" not in stopped
    assert caller.served.relay.served == {}
    starting = session_of(await caller.call("POST", f"{path}/start", {}))
    assert status_of(starting) == ("START_IN_PROGRESS", "STREAMING_SESSION_START_IN_PROGRESS")
    started = await caller.until(session_id, "READY")
    assert started["statusCode"] == "STREAMING_SESSION_STARTED"
    assert {"startedAt", "startedBy"} <= set(started)
    assert len(provider.orders) == 2
    assert [order.session_id for order in provider.activations] == [session_id_of(str(session_id))] * 2


async def test_a_deleted_session_stays_readable_and_gives_all_back(caller: Caller) -> None:
    session_id = (await caller.ready())["sessionId"]
    deleting = session_of(await caller.call("DELETE", f"{SESSIONS}/{session_id}"))
    assert status_of(deleting) == ("DELETE_IN_PROGRESS", "STREAMING_SESSION_DELETE_IN_PROGRESS")
    deleted = await caller.until(session_id, "DELETED")
    assert "terminateAt" not in deleted
    assert await listed(caller) == []
    assert await listed(caller, f"?sessionIds={session_id}") == [session_id]
    assert caller.served.relay.served == {}


async def test_a_stopped_session_is_deleted_too(caller: Caller) -> None:
    session_id = (await caller.ready())["sessionId"]
    await caller.call("POST", f"{SESSIONS}/{session_id}/stop")
    await caller.until(session_id, "STOPPED")
    answer = session_of(await caller.call("DELETE", f"{SESSIONS}/{session_id}"))
    assert answer["state"] == "DELETE_IN_PROGRESS"
    await caller.until(session_id, "DELETED")


async def test_nothing_may_be_asked_of_a_session_while_something_is_under_way(caller: Caller) -> None:
    caller.served.provider.hold = True
    path = f"{SESSIONS}/{(await caller.created())['sessionId']}"
    for method, rest in (("POST", "/stop"), ("POST", "/start"), ("POST", "/streams"), ("DELETE", "")):
        answer = await caller.call(method, path + rest)
        assert refusal_of(answer) == CONFLICT, rest
        assert answer.json["message"] == "Another operation is in progress."


async def test_what_does_not_fit_the_state_is_a_conflict(caller: Caller) -> None:
    session_id = (await caller.ready())["sessionId"]
    path = f"{SESSIONS}/{session_id}"
    assert refusal_of(await caller.call("POST", f"{path}/start")) == CONFLICT
    await caller.call("POST", f"{path}/stop")
    await caller.until(session_id, "STOPPED")
    for rest in ("/stop", "/streams"):
        assert refusal_of(await caller.call("POST", path + rest)) == CONFLICT
    await caller.call("DELETE", path)
    await caller.until(session_id, "DELETED")
    for method, rest in (("POST", "/stop"), ("POST", "/start"), ("POST", "/streams"), ("DELETE", "")):
        answer = await caller.call(method, path + rest)
        assert refusal_of(answer) == CONFLICT
        assert "DELETED" in str(answer.json["message"])


async def test_a_session_that_cannot_be_made_has_failed_and_can_be_deleted(caller: Caller) -> None:
    caller.served.provider.fail = "no such program"
    session_id = (await caller.created())["sessionId"]
    failed = await caller.until(session_id, "CREATE_FAILED")
    assert (failed["statusCode"], failed["statusMessage"]) == ("INTERNAL_ERROR", "no such program")
    assert await listed(caller) == [session_id]
    assert refusal_of(await caller.call("POST", f"{SESSIONS}/{session_id}/start")) == CONFLICT
    deleting = session_of(await caller.call("DELETE", f"{SESSIONS}/{session_id}", X_Amz_Client_Token="d1"))
    assert deleting["state"] == "DELETE_IN_PROGRESS"
    await caller.until(session_id, "DELETED")
    again = session_of(await caller.call("DELETE", f"{SESSIONS}/{session_id}", X_Amz_Client_Token="d1"))
    assert again["sessionId"] == session_id
    assert refusal_of(await caller.call("DELETE", f"{SESSIONS}/{session_id}")) == CONFLICT
    assert await listed(caller) == []


async def test_a_session_for_which_no_slot_becomes_free_fails_for_want_of_capacity() -> None:
    clocks = replace(CLOCKS, placement_s=0.2)
    async with serving(profile=make_profile(slots=1, clocks=clocks)) as served:
        caller = Caller(served)
        await caller.ready()
        waiting = await caller.created()
        assert waiting["state"] == "CREATE_IN_PROGRESS"
        failed = await caller.until(waiting["sessionId"], "CREATE_FAILED")
        assert failed["statusCode"] == "INSUFFICIENT_CAPACITY"


async def test_a_full_queue_is_throttled() -> None:
    profile = replace(make_profile(slots=1), queue=0)
    async with serving(profile=profile) as served:
        caller = Caller(served)
        await caller.ready()
        answer = await caller.call("POST", SESSIONS, {"launchProfileId": LAUNCH_PROFILE})
        assert refusal_of(answer) == (429, "ThrottlingException")
        assert answer.json["code"] == "INSUFFICIENT_CAPACITY" and int(answer.headers["Retry-After"]) > 0


async def test_a_quota_is_told_as_one() -> None:
    async with serving(quota_per_owner=1, nimble=KEYS) as served:
        await alice(served).ready()
        await bob(served).created()
        answer = await alice(served).call("POST", SESSIONS, {"launchProfileId": LAUNCH_PROFILE})
        assert refusal_of(answer) == (402, "ServiceQuotaExceededException")


async def test_a_profile_that_stops_nothing_refuses_to() -> None:
    async with serving(profile=make_profile(clocks=replace(CLOCKS, max_stopped_s=0))) as served:
        caller = Caller(served)
        session_id = (await caller.ready())["sessionId"]
        answer = await caller.call("POST", f"{SESSIONS}/{session_id}/stop")
        assert refusal_of(answer) == CONFLICT and "cannot be stopped" in str(answer.json["message"])


# Client tokens.


async def test_a_create_that_is_repeated_makes_no_second_session(caller: Caller) -> None:
    body = {"launchProfileId": LAUNCH_PROFILE, "tags": {"a": "b"}}
    first = session_of(await caller.call("POST", SESSIONS, body, X_Amz_Client_Token="t1"))
    again = session_of(await caller.call("POST", SESSIONS, body, X_Amz_Client_Token="t1"))
    assert first["sessionId"] == again["sessionId"]
    assert len(await listed(caller)) == 1


@pytest.mark.parametrize("other", [{"tags": {"a": "c"}}, {"streamingImageId": "app_1-9-0"}, {"ownedBy": "someone"}])
async def test_a_token_with_another_body_is_a_conflict(caller: Caller, other: JsonObject) -> None:
    body = {"launchProfileId": LAUNCH_PROFILE, "tags": {"a": "b"}}
    await caller.call("POST", SESSIONS, body, X_Amz_Client_Token="t1")
    assert refusal_of(await caller.call("POST", SESSIONS, body | other, X_Amz_Client_Token="t1")) == CONFLICT
    assert len(await listed(caller)) == 1


async def test_stop_start_and_delete_are_done_once_for_each_token(caller: Caller) -> None:
    session_id = (await caller.ready())["sessionId"]
    path = f"{SESSIONS}/{session_id}"
    for method, rest, state in (("POST", "/stop", "STOPPED"), ("POST", "/start", "READY"), ("DELETE", "", "DELETED")):
        first = await caller.call(method, path + rest, X_Amz_Client_Token="same-token")
        assert first.status == 200
        await caller.until(session_id, state)
        again = await caller.call(method, path + rest, X_Amz_Client_Token="same-token")
        assert session_of(again)["sessionId"] == session_id
    assert len(caller.served.provider.orders) == 2


async def test_a_stop_with_another_body_is_a_conflict(caller: Caller) -> None:
    path = f"{SESSIONS}/{(await caller.ready())['sessionId']}/stop"
    await caller.call("POST", path, {"volumeRetentionMode": "RETAIN"}, X_Amz_Client_Token="t")
    assert refusal_of(await caller.call("POST", path, {}, X_Amz_Client_Token="t")) == CONFLICT


@pytest.mark.parametrize("token", ["x" * 65, "Brücke"])
async def test_a_token_that_is_none_is_refused(caller: Caller, token: str) -> None:
    answer = await caller.call("POST", SESSIONS, {"launchProfileId": LAUNCH_PROFILE}, X_Amz_Client_Token=token)
    assert answer.status in (400, 403)
    assert await listed(caller) == []


# What is asked for, checked.


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"launchProfileId": ""},
        {"launchProfileId": None},
        {"launchProfileId": 7},
        {"streamingImageId": "a.b"},
        {"streamingImageId": "x" * 23},
        {"ec2InstanceType": "t2.nano"},
        {"ec2InstanceType": ""},
        {"ownedBy": ""},
        {"ownedBy": "a\nb"},
        {"tags": []},
        {"tags": {"": "x"}},
        {"tags": {"a": 1}},
        {"tags": {"aws:mine": "x"}},
        {"tags": {"a": "x" * 257}},
        {"tags": {str(number): "" for number in range(51)}},
        [],
        "text",
        {"streamingImageId": "other_1-0-0"},
    ],
)
async def test_a_create_that_fits_no_model_is_refused(caller: Caller, body: object) -> None:
    whole = {"launchProfileId": LAUNCH_PROFILE, **body} if isinstance(body, dict) and body else body
    answer = await caller.call("POST", SESSIONS, whole)
    assert refusal_of(answer) == (400, "ValidationException"), answer
    assert answer.json["context"]
    assert await listed(caller) == []


async def test_own_instance_types_may_be_asked_for() -> None:
    async with serving(nimble={"instance_types": ["gpu.1x"]}) as served:
        made = await Caller(served).created(ec2InstanceType="gpu.1x")
        assert made["ec2InstanceType"] == "gpu.1x"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"launchProfileId": "nope"}, "LAUNCH_PROFILE_NOT_FOUND"),
        ({"launchProfileId": LAUNCH_PROFILE, "streamingImageId": "nope"}, "STREAMING_IMAGE_NOT_FOUND"),
    ],
)
async def test_what_there_is_not_is_not_launched(caller: Caller, body: JsonObject, code: str) -> None:
    answer = await caller.call("POST", SESSIONS, body)
    assert refusal_of(answer) == (404, "ResourceNotFoundException")
    assert answer.json["code"] == code and answer.json["context"] == {"resourceId": "nope"}


async def test_there_are_no_backups_to_start_from(caller: Caller) -> None:
    path = f"{SESSIONS}/{(await caller.ready())['sessionId']}/start"
    answer = await caller.call("POST", path, {"backupId": "b1"})
    assert refusal_of(answer) == (404, "ResourceNotFoundException")
    assert answer.json["context"] == {"resourceId": "b1"}


@pytest.mark.parametrize(
    "name",
    ["nope", "3c1d5c1e-94d5-4b6f-8d3a-0b1c2d3e4f50", "A" * 22, "AAAAAAAAQACAAAAAAAAAAA", "%00", "a%2Fb", "%C3%A9"],
)
async def test_a_session_there_is_not_is_told_by_the_id_that_was_sent(caller: Caller, name: str) -> None:
    for method, rest in (("GET", ""), ("DELETE", ""), ("POST", "/stop"), ("POST", "/start"), ("POST", "/streams")):
        answer = await caller.call(method, f"{SESSIONS}/{name}{rest}")
        assert refusal_of(answer) == (404, "ResourceNotFoundException")
        assert (answer.json["code"], answer.json["context"]) == ("SESSION_NOT_FOUND", {"resourceId": unquote(name)})


# Whose sessions they are.


async def test_users_see_and_touch_their_own_sessions_alone() -> None:
    async with serving(nimble=KEYS) as served:
        made = await alice(served).ready()
        assert (made["createdBy"], made["ownedBy"]) == ("alice", "alice")
        path = f"{SESSIONS}/{made['sessionId']}"
        for method, rest in (("GET", ""), ("DELETE", ""), ("POST", "/stop"), ("POST", "/start"), ("POST", "/streams")):
            assert refusal_of(await bob(served).call(method, path + rest)) == (403, "AccessDeniedException")
        assert await listed(bob(served)) == []
        assert await listed(root(served)) == [made["sessionId"]]
        stopping = session_of(await root(served).call("POST", f"{path}/stop"))
        assert (stopping["stoppedBy"], stopping["updatedBy"]) == ("root", "root")


async def test_only_admins_make_sessions_for_others() -> None:
    async with serving(nimble=KEYS) as served:
        body = {"launchProfileId": LAUNCH_PROFILE, "ownedBy": "bob"}
        assert refusal_of(await alice(served).call("POST", SESSIONS, body)) == (403, "AccessDeniedException")
        made = session_of(await root(served).call("POST", SESSIONS, body))
        assert (made["createdBy"], made["ownedBy"]) == ("root", "bob")
        assert await listed(bob(served)) == [made["sessionId"]]


async def test_the_lists_filters_hold_together() -> None:
    async with serving(nimble=KEYS) as served:
        own = (await alice(served).ready())["sessionId"]
        given = (await root(served).created(ownedBy="alice"))["sessionId"]
        other = (await bob(served).ready())["sessionId"]
        admin, user = root(served), alice(served)
        assert await listed(admin) == [own, given, other]
        assert await listed(admin, "?ownedBy=alice") == [own, given]
        assert await listed(admin, "?ownedBy=alice&createdBy=root") == [given]
        assert await listed(user, "?createdBy=root") == [given]
        assert await listed(user, "?ownedBy=alice") == [own, given]
        assert await listed(admin, f"?sessionIds={own},{other}") == [own, other]
        assert await listed(admin, f"?sessionIds={own}&sessionIds={other}&ownedBy=bob") == [other]
        assert await listed(user, f"?sessionIds={own}%2C{other}%2Cnope") == [own]
        assert refusal_of(await user.call("GET", f"{SESSIONS}?ownedBy=bob")) == (403, "AccessDeniedException")


async def test_configured_studios_have_sessions_of_their_own() -> None:
    async with serving(nimble={"studios": ["one", "two"]}) as served:
        caller = Caller(served)
        one, two = (SESSIONS.replace("us-west-2%3Astid-EXAMPLE11111", name) for name in ("one", "two"))
        body = {"launchProfileId": LAUNCH_PROFILE}
        first = session_of(await caller.call("POST", one, body))["sessionId"]
        second = session_of(await caller.call("POST", two, body))["sessionId"]
        elsewhere = (await served.start()).json["id"]
        found = (await caller.call("GET", one)).json["sessions"]
        assert isinstance(found, list) and len(found) == 2
        assert {session_id_of(str(item["sessionId"])) for item in found if isinstance(item, dict)} == {
            session_id_of(str(first)),
            elsewhere,
        }
        assert refusal_of(await caller.call("GET", f"{one}/{second}")) == (404, "ResourceNotFoundException")
        assert (await caller.call("GET", f"{two}/{second}")).status == 200
        unknown = await caller.call("GET", SESSIONS)
        assert refusal_of(unknown) == (404, "ResourceNotFoundException") and unknown.json["code"] == "STUDIO_NOT_FOUND"


# Pages.


async def test_a_list_comes_in_pages_that_inserts_do_not_move() -> None:
    async with serving(profile=make_profile(slots=60)) as served:
        caller = Caller(served)
        made = [(await caller.created())["sessionId"] for _ in range(52)]
        first = await caller.call("GET", SESSIONS)
        sessions, token = first.json["sessions"], str(first.json["nextToken"])
        assert isinstance(sessions, list) and len(sessions) == 50
        late = (await caller.created())["sessionId"]
        assert await listed(caller, f"?nextToken={token}") == [*made[50:], late]
        await caller.until(made[0], "READY")
        await caller.call("DELETE", f"{SESSIONS}/{made[0]}")
        assert await listed(caller, f"?nextToken={token}") == [*made[50:], late]
        for wrong in (f"?nextToken={token}&ownedBy=anonymous", f"?nextToken={token[:-2]}"):
            assert refusal_of(await caller.call("GET", SESSIONS + wrong)) == (400, "ValidationException")


@pytest.mark.parametrize("token", ["x", "AAAAAAAAAAAA", "%00", "%C3%A9", "=", "x" * 600, "%ff"])
async def test_a_made_up_token_is_refused(caller: Caller, token: str) -> None:
    assert refusal_of(await caller.call("GET", f"{SESSIONS}?nextToken={token}")) == (400, "ValidationException")


async def test_a_hundred_ids_may_be_asked_for_and_no_more(caller: Caller) -> None:
    ids = ",".join(f"id{number}" for number in range(101))
    assert refusal_of(await caller.call("GET", f"{SESSIONS}?sessionIds={ids}")) == (400, "ValidationException")
    assert await listed(caller, f"?sessionIds={ids.rpartition(',')[0]}") == []


async def test_a_filter_is_given_once(caller: Caller) -> None:
    answer = await caller.call("GET", f"{SESSIONS}?ownedBy=a&ownedBy=b")
    assert refusal_of(answer) == (400, "ValidationException")
