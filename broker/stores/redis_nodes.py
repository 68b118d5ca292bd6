"""Where nodes register, in Redis: any broker takes a node's word, and all of them soon know it.

Keys, with the deployment's prefix before each; all of them end by themselves when no node was heard for `FORGET_S`:
  nodes          hash: a node's name -> "<steady since, ms>:<is new>:<left>:<JSON of what it said>"
  nodes-heard    sorted set: names by when they were heard last, ms; who is forgotten is taken out of all of them
  nodes-changed  sorted set: names by the number of their last change
  nodes-seq      number of the last change
Every broker asks each half second what changed and who was heard, and now and then for all of it. Times are Redis'.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from broker.core.node import Fleet, Node, NodeClocks
from broker.errors import NoCapacity, StoreUnavailable
from broker.stores.node_json import node_from_text, node_to_text
from broker.stores.nodes import FORGET_S, MOST_NODES, foreign
from signaling.redis_link import RedisLink, RedisUnavailable, Reply, Script
from signaling.table import ChangeSignal

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_ALL_EVERY_S = 30.0
_FOLDER = Path(__file__).with_name("lua")
_UNREADABLE = ValueError("what Redis keeps of a node is none")


class RedisNodeStore:
    """The nodes of one deployment. The link stays its owner's to close."""

    def __init__(
        self,
        link: RedisLink,
        *,
        clocks: NodeClocks | None = None,
        most: int = MOST_NODES,
        forget_s: float = FORGET_S,
        look_every_s: float = _LOOK_EVERY_S,
    ) -> None:
        self._link = link
        self._clocks = clocks or NodeClocks()
        self._most = most
        self._forget_s = forget_s
        self._look_every_s = look_every_s
        self._keys = [link.key(name) for name in ("nodes", "nodes-heard", "nodes-changed", "nodes-seq")]
        self._put, self._leave, self._look = (
            Script((_FOLDER / f"node_{name}.lua").read_text(encoding="utf-8")) for name in ("put", "leave", "look")
        )
        self._nodes: dict[str, Node] = {}
        self._fleet = Fleet(self._nodes, self._clocks, None)
        self._changed = ChangeSignal()
        self._set_aside: set[str] = set()
        self._seen = -1
        self._clock_at: tuple[float, float] | None = None

    async def run(self) -> None:
        """Follow what other brokers hear, until cancelled."""
        all_at = 0.0
        while True:
            now = time.monotonic()
            try:
                await self._catch_up(everything=now >= all_at)
            except StoreUnavailable:
                self._know_since(None)
            else:
                all_at = now + _ALL_EVERY_S if now >= all_at else all_at
            await asyncio.sleep(self._look_every_s)

    async def put(self, said: Node) -> Node:
        arguments = (
            *(said.name, node_to_text(said), said.host),
            *(round(self._clocks.suspect_s * 1000), self._most, round(self._forget_s * 1000)),
        )
        match await self._script(self._put, arguments):
            case [b"full"]:
                raise NoCapacity("room for another node")
            case [b"foreign"]:
                raise foreign(said.name)
            case [b"ok", bytes(now), bytes(steady), bytes(is_new), int(news)]:
                heard_at, steady_since = int(now) / 1000, int(steady) / 1000
                node = replace(said, heard_at=heard_at, steady_since=steady_since, is_new=is_new == b"1")
                self._nodes[said.name] = node
                if news:
                    self._changed.fire()
                return node
        raise StoreUnavailable

    async def leave(self, name: str) -> bool:
        was_there = await self._script(self._leave, (name,)) == 1
        if was_there and name in self._nodes:
            self._nodes[name] = replace(self._nodes[name], left=True)
            self._changed.fire()
        return was_there

    def now(self) -> float:
        if self._clock_at is None:
            return time.time()
        told, at = self._clock_at
        return told + time.monotonic() - at

    def fleet(self) -> Fleet:
        return self._fleet

    def changes(self) -> AsyncGenerator[None, None]:
        return self._changed.follow()

    async def _script(self, script: Script, arguments: Sequence[str | int]) -> Reply:
        """Raises StoreUnavailable."""
        try:
            return await self._link.script(script, self._keys, arguments)
        except RedisUnavailable as error:
            raise StoreUnavailable(reason=str(error)) from error

    async def _catch_up(self, *, everything: bool) -> None:
        """Raises StoreUnavailable."""
        match await self._script(self._look, (-1 if everything else self._seen,)):
            case [bytes(now), bytes(last), list(heard), list(told)]:
                self._clock_at, self._seen = (int(now) / 1000, time.monotonic()), int(last)
                changed = self._take(_pairs(told), dict(_heard(heard)))
            case _:
                raise StoreUnavailable
        if self._fleet.listening_since is None:
            self._know_since(self.now())
            changed = True
        if changed:
            self._changed.fire()

    def _take(self, told: Iterable[tuple[str, str]], heard: Mapping[str, float]) -> bool:
        """Whether anything but heartbeats is new."""
        changed = False
        for name, value in told:
            known, node = self._nodes.get(name), self._read(name, value)
            if node is not None and (known is None or replace(node, heard_at=known.heard_at) != known):
                self._nodes[name], changed = node, True
        for name in [name for name in self._nodes if name not in heard]:
            del self._nodes[name]
            changed = True
        for name, node in self._nodes.items():
            if heard[name] > node.heard_at:
                self._nodes[name] = replace(node, heard_at=heard[name])
        return changed

    def _read(self, name: str, value: str) -> Node | None:
        """None for what is no node: it is set aside, and told once."""
        try:
            steady, is_new, left, text = value.split(":", 3)
            node = node_from_text(text)
            if node.name != name:
                raise _UNREADABLE
            return replace(node, steady_since=int(steady) / 1000, is_new=is_new == "1", left=left == "1")
        except (ValueError, RecursionError):
            if name not in self._set_aside:
                self._set_aside.add(name)
                logger.warning("what Redis keeps of node %.80r is no node and is left aside", name)
            return None

    def _know_since(self, since: float | None) -> None:
        if since != self._fleet.listening_since:
            self._fleet = replace(self._fleet, listening_since=since)


def _pairs(flat: Sequence[Reply]) -> Iterable[tuple[str, str]]:
    texts = [item.decode(errors="replace") if isinstance(item, bytes) else "" for item in flat]
    return zip(texts[::2], texts[1::2], strict=False)


def _heard(flat: Sequence[Reply]) -> Iterable[tuple[str, float]]:
    for name, score in _pairs(flat):
        yield name, float(score) / 1000
