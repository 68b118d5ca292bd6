"""Two callers of the Nimble-compatible API: boto3 as scripts use it, and bare requests that botocore signs."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.credentials import Credentials
from yarl import URL

from tests.broker.api.serving import Answer, JsonObject, Served

REGION = "us-west-2"
STUDIO = "us-west-2:stid-EXAMPLE11111"
ROOT = "/2020-08-01"
STUDIO_PATH = f"{ROOT}/studios/us-west-2%3Astid-EXAMPLE11111"
SESSIONS = f"{STUDIO_PATH}/streaming-sessions"
LAUNCH_PROFILE = "app_default"


@cache
def _boto3_session() -> boto3.Session:
    """Reads the service's model once."""
    return boto3.Session()


@contextmanager
def nimble_client(url: str, *, key: str = "local", secret: str = "local", region: str = REGION) -> Iterator[BaseClient]:
    """`boto3.client("nimble", …)` as a script makes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client = _boto3_session().client(
            "nimble",
            endpoint_url=url,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(read_timeout=20),
        )
        try:
            yield client
        finally:
            client.close()


@dataclass(frozen=True, slots=True)
class Caller:
    """Sends bare requests in the name of an access key."""

    served: Served
    key: str = "local"
    secret: str = "local"
    service: str = "nimble"

    def signature(self, method: str, path: str, data: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers that a request needs."""
        request = AWSRequest(method=method, url=self.served.url + path, data=data, headers=dict(headers))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            SigV4Auth(Credentials(self.key, self.secret), self.service, REGION).add_auth(request)
        return dict(request.headers.items())

    async def call(self, method: str, path: str, body: object = None, *, data: bytes = b"", **headers: str) -> Answer:
        """One signed request; `headers` with underscores for dashes. The path goes over the wire as it is."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            data = json.dumps(body).encode()
        if data:
            sent.setdefault("Content-Type", "application/json")
        signed = self.signature(method, path, data, sent)
        url = URL(self.served.url + path, encoded=True)
        async with self.served.http.request(method, url, data=data or None, headers=signed) as response:
            return checked(Answer(response.status, response.headers, await response.read()))

    async def created(self, **body: object) -> JsonObject:
        """A session that was asked for."""
        answer = await self.call("POST", SESSIONS, {"launchProfileId": LAUNCH_PROFILE, **body})
        assert answer.status == 200, answer
        return session_of(answer)

    async def ready(self, **body: object) -> JsonObject:
        """A session that is ready."""
        return await self.until(str((await self.created(**body))["sessionId"]), "READY")

    async def session(self, session_id: object) -> JsonObject:
        """The session as it is."""
        answer = await self.call("GET", f"{SESSIONS}/{session_id}")
        assert answer.status == 200, answer
        return session_of(answer)

    async def until(self, session_id: object, state: str) -> JsonObject:
        """The session once it is in this state."""
        for _ in range(500):
            session = await self.session(session_id)
            if session["state"] == state:
                return session
            await asyncio.sleep(0.01)
        raise AssertionError(f"{session} never was {state}")


def session_of(answer: Answer) -> JsonObject:
    session = answer.json["session"]
    assert isinstance(session, dict)
    return session


def checked(answer: Answer) -> Answer:
    """What holds of every answer under the prefix."""
    assert len(answer.headers["x-amzn-RequestId"]) == 36
    if answer.status >= 400:
        assert answer.headers["Content-Type"].startswith("application/json")
        name = answer.headers["x-amzn-ErrorType"]
        assert name.endswith("Exception") and name.isalpha()
        assert set(answer.json) == {"code", "context", "message"}
        code, context = answer.json["code"], answer.json["context"]
        assert isinstance(code, str) and code.isupper() and isinstance(answer.json["message"], str)
        assert isinstance(context, dict) and all(isinstance(value, str) for value in context.values())
    else:
        assert "x-amzn-ErrorType" not in answer.headers
    return answer


def refusal_of(answer: Answer) -> tuple[int, str]:
    """Status and name of an error."""
    return answer.status, answer.headers["x-amzn-ErrorType"]
