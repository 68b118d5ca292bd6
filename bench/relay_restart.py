"""A relay's restart under a live stream: the longest gap in a browser's frames and in datagrams, beside none.

Chromium, the streaming backend, Redis and both relay processes are on one machine; the start of the new process is part
of the time that is watched.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from signaling.redis_settings import RedisSettings
from tests.redis_server import redis_server
from tests.system.relay_restart import DATAGRAMS_PER_S, Stood, streaming

RESTARTS = 5
WATCHED_S = 8.0


def show(what: str, stood: Stood) -> None:
    print(
        f"restart  {what:11}  {stood.frames:4} frames, longest gap {stood.frame_ms:5.0f} ms   "
        f"{stood.datagrams:5} datagrams at {DATAGRAMS_PER_S}/s, longest gap {stood.datagram_ms:5.1f} ms, "
        f"lost {stood.lost}, doubled {stood.doubled}"
    )


async def measure(url: str, folder: Path) -> None:
    async with streaming(RedisSettings(url=url), folder) as rig:
        show("without", await rig.watch(WATCHED_S))
        for number in range(1, RESTARTS + 1):
            show(f"restart {number}", await rig.restart())
    stood_still = [line for line in (folder / "relay.log").read_text().splitlines() if "handed over" in line]
    for line in stood_still:
        print("restart  " + line.partition("handover: ")[2])


def main() -> None:
    with redis_server() as server, TemporaryDirectory() as folder:
        asyncio.run(measure(server.url, Path(folder)))


if __name__ == "__main__":
    main()
