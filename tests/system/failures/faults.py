"""Carries faults out on a cluster, and writes down from when to when each part was out.

A part is out until it was seen to work again: what comes late because a process starts slowly is no broken promise.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping

from tests.system.failures.cluster import Cluster
from tests.system.failures.history import Part
from tests.system.failures.members import Member
from tests.system.failures.node import ADMIN_PORT
from tests.system.failures.schedule import Fault, FaultKind

_SLOW_S = 0.3
_FULL_BYTES = "1mb"


class Faults:
    """Every method returns once the part works again."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._recorder = cluster.recorder
        self._busy: dict[str, asyncio.Lock] = {}
        self._does: Mapping[FaultKind, Callable[[Fault], Awaitable[object]]] = {
            FaultKind.KILL_BROKER: lambda fault: self.kill_broker(fault.target, down_s=fault.lasts_s),
            FaultKind.STOP_BROKER: lambda fault: self.stop_broker(fault.target, down_s=fault.lasts_s),
            FaultKind.FREEZE_BROKER: lambda fault: self.freeze_broker(fault.target, for_s=fault.lasts_s),
            FaultKind.CUT_BROKER: lambda fault: self.cut_broker(fault.target, for_s=fault.lasts_s),
            FaultKind.MUTE_BROKER: lambda fault: self.cut_broker(fault.target, for_s=fault.lasts_s, silently=True),
            FaultKind.SLOW_BROKER: lambda fault: self._slow(Part.BROKERS_WAY, self._broker(fault), fault.lasts_s),
            FaultKind.KILL_RELAY: lambda fault: self.kill_relay(fault.target, down_s=fault.lasts_s),
            FaultKind.CUT_RELAY: lambda fault: self.cut_relay(fault.target, for_s=fault.lasts_s),
            FaultKind.MUTE_RELAY: lambda fault: self.cut_relay(fault.target, for_s=fault.lasts_s, silently=True),
            FaultKind.SLOW_RELAY: lambda fault: self._slow(Part.RELAYS_WAY, self._relay(fault), fault.lasts_s),
            FaultKind.KILL_REDIS: lambda fault: self.kill_redis(down_s=fault.lasts_s),
            FaultKind.PAUSE_REDIS: lambda fault: self.pause_redis(for_s=fault.lasts_s),
            FaultKind.FILL_REDIS: lambda fault: self.fill_redis(for_s=fault.lasts_s),
            FaultKind.KILL_BACKEND: lambda fault: self.kill_backend(fault.target, pick=fault.pick),
        }

    async def carry_out(self, fault: Fault) -> None:
        """One of the schedule's. What is done to a part waits until it is over what was done before."""
        async with self._busy.setdefault(fault.target, asyncio.Lock()):
            await self._does[fault.kind](fault)

    async def kill_broker(self, name: str, *, down_s: float) -> None:
        """kill -9, and start anew after a while."""
        await self._restart(Part.BROKER, self._cluster.brokers[name], signal.SIGKILL, down_s)

    async def stop_broker(self, name: str, *, down_s: float) -> int | None:
        """Stop in order, as a rolling restart does, and start anew; the exit status."""
        return await self._restart(Part.BROKER, self._cluster.brokers[name], signal.SIGTERM, down_s)

    async def freeze_broker(self, name: str, *, for_s: float) -> None:
        """SIGSTOP: a machine that stands still and goes on where it was, as one does that is moved."""
        member = self._cluster.brokers[name]
        with self._recorder.out(Part.BROKER, name):
            member.freeze()
            await asyncio.sleep(for_s)
            member.thaw()
            await member.up(self._cluster.http)

    async def cut_broker(self, name: str, *, for_s: float, silently: bool = False) -> None:
        """Cut it from Redis: connections are reset, or, `silently`, packets are lost."""
        await self._cut(Part.BROKERS_WAY, self._cluster.brokers[name], for_s, silently)

    async def cut_relay(self, name: str, *, for_s: float, silently: bool = False) -> None:
        """The same with a relay."""
        await self._cut(Part.RELAYS_WAY, self._cluster.relays[name], for_s, silently)

    async def kill_relay(self, name: str, *, down_s: float) -> None:
        """kill -9, and start anew under the same name after a while."""
        await self._restart(Part.RELAY, self._cluster.relays[name], signal.SIGKILL, down_s)

    async def kill_redis(self, *, down_s: float) -> None:
        """kill -9, and start anew with what is on disk."""
        redis = self._cluster.redis
        with self._recorder.out(Part.STORE, "redis"):
            redis.kill()
            await asyncio.sleep(down_s)
            await asyncio.to_thread(redis.start)

    async def pause_redis(self, *, for_s: float) -> None:
        """SIGSTOP: it accepts connections, and answers nothing."""
        redis = self._cluster.redis
        with self._recorder.out(Part.STORE, "redis"):
            redis.pause()
            await asyncio.sleep(for_s)
            redis.resume()

    async def fill_redis(self, *, for_s: float) -> None:
        """Have no memory left for anything new."""
        redis = self._cluster.redis
        with self._recorder.out(Part.STORE, "redis"):
            for setting, value in (("maxmemory-policy", "noeviction"), ("maxmemory", _FULL_BYTES)):
                redis.ask("CONFIG", "SET", setting, value)
            await asyncio.sleep(for_s)
            redis.ask("CONFIG", "SET", "maxmemory", "0")

    async def kill_backend(self, node: str, *, pick: float) -> str | None:
        """Have one backend of a node that serves a session end; the session."""
        url = f"http://{self._cluster.node_host(node)}:{ADMIN_PORT}/slots"
        async with self._cluster.http.get(url) as answer:
            busy = [slot for slot in await answer.json() if slot["session"] is not None]
        if not busy:
            return None
        chosen = busy[int(pick * len(busy))]
        with self._recorder.out(Part.BACKEND, chosen["session"]):
            async with self._cluster.http.post(f"{url}/{chosen['number']}/crash") as answer:
                served: str | None = (await answer.json())["session"]
        if served is not None:
            with self._recorder.out(Part.BACKEND, served):
                pass
        return served

    async def kill_node(self, name: str, *, down_s: float) -> None:
        """kill -9 of a node, which ends all its backends."""
        await self._restart(Part.NODE, self._cluster.nodes[name], signal.SIGKILL, down_s)

    def _broker(self, fault: Fault) -> Member:
        return self._cluster.brokers[fault.target]

    def _relay(self, fault: Fault) -> Member:
        return self._cluster.relays[fault.target]

    async def _restart(self, part: Part, member: Member, number: signal.Signals, down_s: float) -> int | None:
        with self._recorder.out(part, member.name):
            status = await member.end(number)
            await asyncio.sleep(down_s)
            await member.start()
            await member.up(self._cluster.http)
            return status

    async def _cut(self, part: Part, member: Member, for_s: float, silently: bool) -> None:
        assert member.way is not None
        with self._recorder.out(part, member.name):
            if silently:
                member.way.freeze()
            else:
                member.way.cut()
            await asyncio.sleep(for_s)
            member.way.mend()

    async def _slow(self, part: Part, member: Member, for_s: float) -> None:
        assert member.way is not None
        with self._recorder.out(part, member.name):
            member.way.delay_s = _SLOW_S
            await asyncio.sleep(for_s)
            member.way.mend()
