"""The client's commands: apps, start, list, show, watch, stop. Each returns its exit status."""

from __future__ import annotations

import argparse
import asyncio
import webbrowser
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit

from broker.client.answers import JsonObject, Session
from broker.client.api import Api, Heard, calling
from broker.client.errors import EXIT_OK, Busy, ClientError, Missing
from broker.client.following import follow
from broker.client.output import (
    Progress,
    age_of,
    complain,
    event_words,
    plain,
    queue_words,
    say,
    say_fields,
    say_json,
    say_table,
)

_END_S = 5.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Options:
    """A command as it was given, whatever it is."""

    command: str
    url: str
    token: str | None
    json: bool
    given: argparse.Namespace


async def run(options: Options) -> int:
    """Carry out a command. Raises ClientError."""
    if options.token and options.url.startswith("http://") and urlsplit(options.url).hostname not in _LOOPBACK:
        complain("the token travels in the clear: use https for --url")
    command = {"apps": _apps, "start": _start, "list": _list, "show": _show, "watch": _watch, "stop": _stop}
    async with calling(options.url, options.token) as api:
        return await command[options.command](api, options)


async def _apps(api: Api, options: Options) -> int:
    found: list[JsonObject] = []
    for application in await api.applications(options.given.tag):
        application_id = str(application.get("id", ""))
        versions = await api.versions(application_id)
        profiles = await api.profiles(application_id, versions[0]) if versions else []
        named = [str(profile.get("id", "")) for profile in profiles]
        found.append({**application, "versions": versions, "profiles": named})
    if options.json:
        say_json(found)
    elif not found:
        say("The catalog has no application" + (" with these tags." if options.given.tag else "."))
    else:
        rows = [
            (str(item.get("id")), str(item.get("name")), _listed(item["versions"]), _listed(item["profiles"]))
            for item in found
        ]
        say_table(("ID", "NAME", "VERSIONS", "PROFILES"), rows)
    return EXIT_OK


async def _start(api: Api, options: Options) -> int:
    given = options.given
    session = await _asked_for(api, given)
    if session.state == "pending" and given.wait > 0:
        session = await _prepared(api, session, given.wait)
    _say_session(api, options, session)
    if session.state == "ended":
        raise ClientError(f"Session {session.id} ended before it was ready: {session.message}")
    if given.open and session.state == "ready":
        webbrowser.open(_page_of(api, session))
    return EXIT_OK


async def _asked_for(api: Api, given: argparse.Namespace) -> Session:
    """The session that was asked for. Interrupted, the answer is waited for all the same: who would end it else?"""
    request = api.start(
        given.application,
        profile=given.profile,
        of_version=given.app_version,
        arguments=dict(given.arg),
        key=given.idempotency_key,
    )
    asking = asyncio.create_task(request, name="start")
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        with suppress(ClientError):
            await _end_interrupted(api, (await asking).id)
        raise


async def _end_interrupted(api: Api, session_id: str) -> None:
    with suppress(ClientError, TimeoutError):
        async with asyncio.timeout(_END_S):
            await api.stop(session_id)
            complain(f"interrupted: session {session_id} was ended")


async def _prepared(api: Api, session: Session, wait_s: float) -> Session:
    """The session once it is not pending any more. Raises Busy after so long; interrupted, it is ended."""
    progress, began = Progress(quiet=False), asyncio.get_running_loop().time()
    told = session.message
    try:
        async with asyncio.timeout(wait_s), aclosing(follow(api, session.id)) as changes:
            async for heard in changes:
                told = _waits_for(heard) or told
                progress.tell(told, asyncio.get_running_loop().time() - began)
                if heard.name == "ended" or heard.data.get("state") not in (None, "pending"):
                    break
        return await api.session(session.id)
    except TimeoutError:
        progress.clear()
        raise Busy(
            f"Session {session.id} was not ready within {wait_s:g} s ({told}). It goes on being prepared: "
            f"`pixelferry watch {session.id}`, or end it: `pixelferry stop {session.id}`."
        ) from None
    except asyncio.CancelledError:
        progress.clear()
        await _end_interrupted(api, session.id)
        raise
    finally:
        progress.clear()


async def _list(api: Api, options: Options) -> int:
    sessions = await api.sessions()
    if options.json:
        say_json([session.raw for session in sessions])
    elif not sessions:
        say("There is no session.")
    else:
        now = datetime.now(UTC)
        rows = [
            (
                session.id,
                session.text("application"),
                session.phase or session.state,
                session.text("owner"),
                age_of(session, now),
                ", ".join(filter(None, (session.message, queue_words(session.raw.get("queue"))))),
            )
            for session in sessions
        ]
        say_table(("ID", "APPLICATION", "STATE", "OWNER", "AGE", "MESSAGE"), rows)
    return EXIT_OK


async def _show(api: Api, options: Options) -> int:
    session = await api.session(await api.full_id(options.given.session))
    _say_session(api, options, session)
    if session.state == "ended":
        raise Missing(f"Session {session.id} has ended.")
    return EXIT_OK


async def _watch(api: Api, options: Options) -> int:
    session_id = None if options.given.session is None else await api.full_id(options.given.session)
    async with aclosing(follow(api, session_id)) as changes:
        async for heard in changes:
            if options.json:
                say_json({"event": heard.name, **heard.data})
            elif words := event_words(heard.name, heard.data):
                about = "" if session_id is not None else str(heard.data.get("session_id", ""))[:8] + "  "
                say(f"{_clock(heard.data)}  {plain(about + words)}")
    return EXIT_OK


async def _stop(api: Api, options: Options) -> int:
    failure: ClientError | None = None
    for prefix in options.given.session:
        try:
            session_id = await api.full_id(prefix)
            await api.stop(session_id)
        except ClientError as error:
            complain(str(error))
            failure = failure or error
        else:
            say_json({"id": session_id, "status": "ended"}) if options.json else say(f"Session {session_id} ended.")
    return EXIT_OK if failure is None else failure.status


def _end_words(session: Session) -> str:
    """When the next of its clocks runs out, and which one that is."""
    at, reason = session.text("ends_at"), session.text("ends_reason")
    stops = "is stopped" if session.raw.get("ends_by_stop") else "ends"
    return f"{at} ({stops}: {reason.replace('_', ' ')})" if at else ""


def _say_session(api: Api, options: Options, session: Session) -> None:
    if options.json:
        page = _page_of(api, session) if session.state != "ended" else None
        say_json({**session.raw, "page": page})
        return
    route = session.route
    say_fields(
        [
            ("Session", session.id),
            ("State", session.phase or session.state),
            ("Message", session.message),
            ("Queue", queue_words(session.raw.get("queue"))),
            ("Application", " ".join(filter(None, (session.text("application"), session.text("version"))))),
            ("Profile", session.text("profile")),
            ("Owner", session.text("owner")),
            ("Ends", _end_words(session)),
            ("Created", session.text("created_at")),
            ("Expires", session.text("expires_at")),
            ("Ended", " ".join(filter(None, (session.text("ended_at"), session.text("end_reason"))))),
            ("Host", route.host if route is not None else ""),
            ("Signaling", f"TCP {route.signaling_port}" if route is not None else ""),
            ("Media", f"UDP {route.media_port}" if route is not None else ""),
            ("Page", _page_of(api, session) if session.state != "ended" else ""),
        ]
    )


def _page_of(api: Api, session: Session) -> str:
    """The viewer page of this session. Its token, if it has one, stays in the fragment, which no server sees."""
    fragment = {"session": session.id}
    if session.text("token"):
        fragment["token"] = session.text("token")
    return f"{api.url}/#{urlencode(fragment)}"


def _waits_for(heard: Heard) -> str:
    queue = queue_words(heard.data.get("queue"))
    return queue or event_words(heard.name, heard.data)


def _clock(data: JsonObject) -> str:
    """The time of an event, as clocks here show it."""
    with suppress(ValueError):
        return datetime.fromisoformat(str(data.get("at", ""))).astimezone().strftime("%H:%M:%S")
    return datetime.now().astimezone().strftime("%H:%M:%S")


def _listed(values: object) -> str:
    return ", ".join(map(str, values)) if isinstance(values, list) else ""
