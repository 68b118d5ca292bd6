"""A relay in a process of its own, with routes from a file: what takes over and is taken over in tests and benches."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from signaling.inheritance import HandoverRefused, inherit
from signaling.relay import Relay
from signaling.routes import Route, RouteState
from signaling.serve import Stop, serve, stop_by_signal
from signaling.settings import RelaySettings
from signaling.succession import Succession
from signaling.table import MemoryRouteTable


def read(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--takeover", action="store_true")
    parser.add_argument(
        "--die", choices=("untaken", "taken"), help="as a successor that has all, before or after it took"
    )
    parser.add_argument("--kill", type=int, help="this predecessor, as soon as it told all")
    parser.add_argument("--stranger", action="store_true", help="have another name")
    return parser.parse_args(words)


async def run(chosen: argparse.Namespace, routes: list[Route]) -> None:
    table, path = MemoryRouteTable(), Path(chosen.folder, "private", "r1.handover")
    for route in routes:
        await table.publish(route)
    settings = RelaySettings(id="other" if chosen.stranger else "r1", close_timeout_s=1)
    relay = Relay(settings, table)
    succession, stop = Succession(path, relay, table=""), Stop()
    stop_by_signal(stop)
    if chosen.die or chosen.kill:
        succession._inherited = fail(relay, path, chosen)
    elif chosen.takeover:
        succession.take_over()
    port = succession.wait()
    telling = asyncio.create_task(tell_when_active(table, len(routes)))
    await serve(relay, settings, stop, successors=port)
    telling.cancel()


async def tell_when_active(table: MemoryRouteTable, count: int) -> None:
    async for _ in table.changes():
        if sum(report.state is RouteState.ACTIVE for report in (await table.reports()).values()) == count:
            print("serving", flush=True)
            return


def fail(relay: Relay, path: Path, chosen: argparse.Namespace) -> dict[str, socket.socket]:
    """Take over while the predecessor dies, or die instead."""
    inheritance = inherit(path, "r1")
    assert inheritance is not None
    if chosen.kill:
        os.kill(chosen.kill, signal.SIGKILL)
        inheritance.enter(relay)
        return inheritance.listeners
    if chosen.die == "taken":
        assert inheritance._baton.take()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def main(words: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    chosen = read(words)
    routes = [Route.from_json(told) for told in json.loads((chosen.folder / "routes.json").read_text())]
    try:
        asyncio.run(run(chosen, routes))
    except asyncio.CancelledError:
        return 0
    except (HandoverRefused, OSError) as error:
        print(f"refused: {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
