"""A relay is restarted under a browser that watches a stream."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from signaling.redis_settings import RedisSettings
from tests.absence import absent
from tests.system.browser import chromium_path
from tests.system.ferry import call
from tests.system.relay_restart import streaming

pytestmark = pytest.mark.timeout(180)


async def test_a_restarted_relay_loses_no_datagram_and_ends_no_stream(
    redis_settings: RedisSettings, tmp_path: Path
) -> None:
    if chromium_path() is None:
        absent("no Chromium")
    async with streaming(redis_settings, tmp_path) as rig:
        stood = await rig.restart()
        assert (stood.lost, stood.doubled) == (0, 0)
        assert stood.datagrams > 500
        assert stood.frames > 10
        await rig.viewer.send("signaling goes on")
        async with asyncio.timeout(5):
            assert await rig.viewer.recv() == "signaling goes on"
        answer = await asyncio.to_thread(call, "GET", f"http://{rig.health}/readyz")
        assert answer.status == 200, "health is told where it was"
        assert (await rig.watch(1)).frames > 5, "the successor serves on when its predecessor is gone"
