"""The address of a stream, as the web client uses it: its token is all that a guest has, and it ends in time."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from broker.admission import AdmissionTokens
from broker.core.nimble_ids import session_id_of
from broker.core.principal import ITSELF
from tests.broker.api.nimble.clients import SESSIONS
from tests.broker.api.nimble.people import KEYS, alice
from tests.broker.api.serving import Answer, Served, serving

IDENTITY = {"keys": {"ci": {"sha256": "0" * 64}}}


@dataclass
class Guest:
    """Holds nothing but the address."""

    served: Served
    session_id: str
    token: str

    async def ask(self, method: str, rest: str = "", token: str | None = None) -> Answer:
        bearer = f"Bearer {self.token if token is None else token}"
        return await self.served.call(method, f"/stream/{self.session_id}{rest}", Authorization=bearer)

    async def connected(self) -> None:
        """Until the broker knows of the viewer."""
        await self.served.relay.viewers(self.session_id, 1)
        for _ in range(500):
            session = await self.served.broker._sessions.get(self.session_id, by=ITSELF)
            if session.viewer_present:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the viewer was never noticed")


@pytest.fixture(params=[True, False], ids=["identity", "no identity"])
async def guest(request: pytest.FixtureRequest) -> AsyncIterator[Guest]:
    async with serving(nimble=KEYS, identity=IDENTITY if request.param else {}) as served:
        caller = alice(served)
        short = str((await caller.ready())["sessionId"])
        made = (await caller.call("POST", f"{SESSIONS}/{short}/streams")).json["stream"]
        assert isinstance(made, dict)
        shown = await caller.call("GET", f"{SESSIONS}/{short}/streams/{made['streamId']}")
        token = re.search(r"token=([A-Za-z0-9_.-]+)", shown.body.decode())
        session_id = session_id_of(short)
        assert token is not None and session_id is not None
        yield Guest(served, session_id, token[1])


async def test_the_address_leads_to_the_route(guest: Guest) -> None:
    answer = await guest.ask("GET")
    assert answer.status == 200 and answer.json["routes"]


async def test_it_may_neither_end_nor_list_sessions_where_identity_is_on(guest: Guest) -> None:
    if guest.served.broker._identity.is_on:
        assert (await guest.ask("DELETE")).status == 401
        assert (await guest.served.call("GET", "/stream", Authorization=f"Bearer {guest.token}")).status == 401


async def test_it_is_renewed_for_a_viewer_who_is_connected_and_for_nobody_else(guest: Guest) -> None:
    early = await guest.ask("POST", "/token")
    assert early.status == 409 and "connected" in str(early.json["detail"])
    await guest.connected()
    renewed = await guest.ask("POST", "/token")
    assert renewed.status == 200
    assert (await guest.ask("GET", token=str(renewed.json["token"]))).status == 200


async def test_after_its_end_it_leads_nowhere(guest: Guest) -> None:
    tokens = guest.served.broker._tokens
    claims = tokens.verify(guest.token)
    session = await guest.served.broker._sessions.get(guest.session_id, by=ITSELF)
    earlier = AdmissionTokens(tokens._secrets, clock=lambda: time.time() - 121)
    old = earlier.mint(session, by=ITSELF, ttl_s=120, link=claims.link)
    for method, rest in (("GET", ""), ("POST", "/token")):
        answer = await guest.ask(method, rest, token=old)
        assert answer.status == 401 and "expired" in str(answer.json["detail"])
        assert "token" not in answer.json
