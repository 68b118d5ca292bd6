"""Backends and nodes die: their sessions end with the reason, and nothing of them is left."""

from __future__ import annotations

import pytest

from tests.system.failures.history import CallKind
from tests.system.failures.run import running

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


async def test_the_session_of_a_killed_backend_ends_and_its_slot_is_used_again() -> None:
    async with running("backends are killed") as run:
        killed = [await run.faults.kill_backend(node, pick=pick) for node in ("n0", "n1") for pick in (0.0, 0.9)]
        assert any(killed)
        await run.flowing()
        await run.judged()
        ended = {call.session: call.reason for call in run.cluster.recorder.calls if call.status == 410}
        assert ended and set(ended.values()) == {"backend_failed"}


async def test_the_sessions_of_a_killed_node_end_as_lost() -> None:
    async with running("kill -9 of a node") as run:
        await run.faults.kill_node("n0", down_s=7)
        await run.flowing()
        await run.judged()
        reasons = {call.reason for call in run.cluster.recorder.calls if call.kind is CallKind.GET and call.reason}
        assert reasons <= {"node_lost", "backend_failed"} and "node_lost" in reasons
