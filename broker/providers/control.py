"""The control API of a backend (docs/protocol.md §4), as its provider calls it."""

from __future__ import annotations

import asyncio
import json
import math
from enum import StrEnum

import aiohttp

from broker.core.slot import Activity
from broker.errors import BackendFailed
from broker.providers.base import Activation

PROTOCOL = 1
_ANSWER_MOST_BYTES = 65536


class NoAnswer(Exception):
    """The backend cannot be reached, or did not answer in time; it may still come."""


class Readiness(StrEnum):
    """What a backend says that it does."""

    IDLE = "idle"
    CLAIMED = "claimed"


class ControlClient:
    """Calls one backend's control port. Raises NoAnswer where asking again may help, BackendFailed where not."""

    def __init__(self, http: aiohttp.ClientSession, host: str, port: int, token: str) -> None:
        self._http = http
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._url = f"http://{authority}/v1"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def ready(self) -> Readiness:
        """`GET /v1/ready`."""
        status, answer = await self._call("GET", "/ready", timeout_s=2)
        if status != 200:
            raise NoAnswer(f"its readiness call answered {status}")
        if answer.get("protocol") != PROTOCOL:
            raise BackendFailed(f"it speaks control protocol {answer.get('protocol')!r}, this broker speaks {PROTOCOL}")
        try:
            return Readiness(str(answer.get("state")))
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

    async def delete_session(self) -> None:
        """`DELETE /v1/session`: its viewers are told, and it becomes idle or exits."""
        await self._call("DELETE", "/session", timeout_s=1)

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
