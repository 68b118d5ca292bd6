"""What a broker answers, read with care: it may be another version, or something else altogether."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from broker.client.errors import Busy, ClientError, Missing, Refused, Unreachable, Usage

JsonObject = Mapping[str, object]

_LONGEST_DETAIL = 500
_UNKNOWN_PATH = "Not Found"
"""What brokers say of a path that they do not have; of a session that they do not have they say more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `retry_after_s` is None where none is named."""

    status: int
    body: object
    retry_after_s: float | None = None

    @property
    def object(self) -> JsonObject:
        """The body as an object; empty where it is none."""
        return self.body if isinstance(self.body, dict) else {}

    @property
    def items(self) -> list[JsonObject]:
        """The list in the body, as a page or bare."""
        items = self.object.get("items", []) if isinstance(self.body, dict) else self.body
        return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


@dataclass(frozen=True, slots=True)
class Route:
    """What a viewer connects to."""

    host: str
    signaling_port: int
    media_port: int


@dataclass(frozen=True, slots=True)
class Session:
    """A session as an answer has it. `state`: pending, ready, ended, or what else the broker says."""

    id: str
    state: str
    phase: str
    message: str
    raw: JsonObject

    @property
    def route(self) -> Route | None:
        """Where it is reached, in either shape of `routes`; None until it is ready."""
        routes = self.raw.get("routes")
        host, entries = next(iter(routes.items()), ("", None)) if isinstance(routes, dict) else ("", None)
        if isinstance(entries, dict):
            entries = entries.get("routes")
        ports = {
            entry.get("description"): entry.get("source_port")
            for entry in (entries if isinstance(entries, list) else [])
            if isinstance(entry, dict)
        }
        signaling, media = ports.get("signaling"), ports.get("media")
        return Route(host, signaling, media) if isinstance(signaling, int) and isinstance(media, int) else None

    def text(self, name: str) -> str:
        """A field as text; empty where it is not there."""
        value = self.raw.get(name)
        return "" if value is None else str(value)


def parsed_json(text: str) -> object:
    """The value; None where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def session_of(raw: JsonObject) -> Session:
    """A session out of an answer's body. Raises Unreachable where it is none."""
    status = raw.get("status")
    if not isinstance(raw.get("id"), str) or not isinstance(status, dict):
        raise Unreachable("The answer is none of a Pixelferry broker. Check --url.")
    condition = str(status.get("condition", ""))
    state = "ended" if condition == "failed" else condition
    return Session(str(raw["id"]), state, str(raw.get("phase") or ""), str(status.get("message", "")), raw)


def error_of(answer: Answer, url: str) -> ClientError:
    """The error that an answer above 299 stands for."""
    detail = _detail(answer)
    status = answer.status
    if status == 404 and detail == _UNKNOWN_PATH:
        return Unreachable(f"{url} is no address of a broker's API. Give --url as the broker prints it at its start.")
    if status in (404, 410):
        return Missing(detail or f"There is no such thing at {url}.")
    if status == 401:
        return Refused(f"{detail or 'The broker wants to know who asks.'} Give --token, or set PIXELFERRY_TOKEN.")
    if status in (403, 402):
        return Refused(detail or "You do not have permission for this.")
    if status in (429, 503):
        after = f" Try again in {answer.retry_after_s:.0f} s." if answer.retry_after_s and "again" not in detail else ""
        return Busy((detail or "The broker is busy.") + after)
    if status in (400, 405, 409, 413, 415, 422):
        return Usage(detail or f"The broker refused the request ({status}).")
    if status in (301, 302, 303, 307, 308):
        return Unreachable(
            f"{url} sends elsewhere ({status}), maybe to a login. Give --url without a detour, or --token."
        )
    if status == 421:
        return Unreachable(f"{detail} (--url {url})")
    return ClientError(detail or f"The broker answered {status}. Its log tells more.")


def _detail(answer: Answer) -> str:
    detail = answer.object.get("detail")
    if isinstance(detail, list):
        problems = [problem for problem in detail if isinstance(problem, dict)]
        told = (f"{'.'.join(map(str, _loc(problem)))}: {problem.get('msg', '')}" for problem in problems)
        detail = "; ".join(told)
    return str(detail or "")[:_LONGEST_DETAIL]


def _loc(problem: JsonObject) -> list[object]:
    loc = problem.get("loc")
    return [part for part in loc if part not in ("body", "path", "query")] if isinstance(loc, list) else []
