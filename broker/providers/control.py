"""The control API of a backend (docs/protocol.md §4), as its provider calls it."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

import aiohttp

from broker.core.slot import Activity
from broker.errors import BackendFailed
from broker.providers.base import Activation

PROTOCOL = 1
_ANSWER_MOST_BYTES = 65536
_DELETE_TIMEOUT_S = 3


class NoAnswer(Exception):
    """The backend cannot be reached, or did not answer in time; it may still come."""


class Readiness(StrEnum):
    """What a backend says that it does."""

    IDLE = "idle"
    CLAIMED = "claimed"


@dataclass(frozen=True, slots=True)
class Occupancy:
    """What a backend does, and for which session, where it tells."""

    state: Readiness
    session_id: str | None


class ControlClient:
    """Calls one backend's control port. Raises NoAnswer where asking again may help, BackendFailed where not."""

    def __init__(self, http: aiohttp.ClientSession, host: str, port: int, token: str) -> None:
        self._http = http
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._url = f"http://{authority}/v1"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def ready(self) -> Occupancy:
        """`GET /v1/ready`."""
        status, answer = await self._call("GET", "/ready", timeout_s=2)
        if status != 200:
            raise NoAnswer(f"its readiness call answered {status}")
        if answer.get("protocol") != PROTOCOL:
            raise BackendFailed(f"it speaks control protocol {answer.get('protocol')!r}, this broker speaks {PROTOCOL}")
        session_id = answer.get("session_id")
        try:
            return Occupancy(Readiness(str(answer.get("state"))), session_id if isinstance(session_id, str) else None)
        except ValueError:
            raise BackendFailed(f"its readiness call answered the state {answer.get('state')!r}") from None

    async def put_session(self, activation: Activation) -> None:
        """`PUT /v1/session`; may be repeated."""
        body: dict[str, object] = {
            "session_id": activation.session_id,
            "arguments": dict(activation.arguments),
            "backend_secret": activation.backend_secret,
        }
        status, _ = await self._call("PUT", "/session", timeout_s=10, body=body)
        if status != 200:
            raise BackendFailed(f"it refused its session with status {status}")

    async def delete_session(self, session_id: str | None = None) -> None:
        """`DELETE /v1/session`: its viewers are told, and it becomes idle or exits.

        With an id nothing happens where it serves another session, so that one who comes late ends nobody else's.
        """
        query = "" if session_id is None else f"?session_id={quote(session_id, safe='')}"
        await self._call("DELETE", f"/session{query}", timeout_s=_DELETE_TIMEOUT_S if session_id else 1)

    async def post_notice(self, level: str, message: str) -> None:
        """`POST /v1/notice`: its viewers are told; a backend that does not know this call tells nobody."""
        await self._call("POST", "/notice", timeout_s=2, body={"level": level, "message": message})

    async def activity(self) -> Activity | None:
        """From `GET /v1/status`; None where that does not say it."""
        status, answer = await self._call("GET", "/status", timeout_s=2)
        last = answer.get("last_input_at")
        if status != 200 or "last_input_at" not in answer:
            return None
        if last is None:
            return Activity(None)
        if isinstance(last, bool) or not isinstance(last, int | float) or not math.isfinite(last):
            return None
        return Activity(last)

    async def _call(
        self, method: str, path: str, *, timeout_s: float, body: dict[str, object] | None = None
    ) -> tuple[int, dict[str, object]]:
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._http.request(
                    method, self._url + path, headers=self._headers, json=body, allow_redirects=False
                ) as response,
            ):
                status, text = response.status, b""
                async for chunk in response.content.iter_any():
                    text += chunk
                    if len(text) > _ANSWER_MOST_BYTES:
                        raise BackendFailed(f"its control port answered more than {_ANSWER_MOST_BYTES} bytes")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NoAnswer(f"its control port does not answer ({type(error).__name__})") from error
        try:
            answer = json.loads(text) if text else {}
        except ValueError:
            answer = {}
        return status, answer if isinstance(answer, dict) else {}
