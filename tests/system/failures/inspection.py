"""Reads what is held: out of Redis key by key, from every node, and from every relay's sockets.

It reads the keys themselves and not by the store, whose picture of them may be what is wrong.
"""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import unquote

import psutil
from redis.asyncio import Redis

from broker.core.ledger import node_pool, slots_pool
from broker.core.session import Phase, Session
from broker.core.slot import SlotRef
from broker.stores.session_json import load_session
from tests.system.failures.cluster import RELAY_PORTS, Cluster
from tests.system.failures.history import Held, Holdings
from tests.system.failures.members import Member
from tests.system.failures.node import ADMIN_PORT

_BASE = "{pixelferry}:"


async def holdings_of(cluster: Cluster) -> Holdings:
    """Everything that is held now."""
    backends: list[tuple[str, str]] = []
    refused: list[tuple[str, str]] = []
    for node in cluster.nodes:
        async with cluster.http.get(f"http://{cluster.node_host(node)}:{ADMIN_PORT}/slots") as answer:
            for slot in await answer.json():
                place = f"{node}/{slot['number']}"
                backends += [(place, slot["session"])] if slot["session"] is not None else []
                refused += [(place, session) for session in slot["refused"]]
    async with Redis(host="127.0.0.1", port=cluster.redis.port) as redis:
        sessions = {key: _session_of(text) for key, text in (await _texts(redis, "session")).items()}
        claims = {key: _owner(text) for key, text in (await _texts(redis, "claim")).items()}
        counted = await redis.hgetall(f"{_BASE}pools")
    return Holdings(
        sessions=tuple(_held(session) for session in sessions.values()),
        claims={_name(claim): owner for claim, owner in claims.items()},
        pools={_name(_text(pool)): int(count) for pool, count in counted.items()},
        backends=tuple(backends),
        bound={name: _bound(relay) for name, relay in cluster.relays.items()},
        refused_activations=tuple(refused),
    )


async def dump_of(cluster: Cluster) -> str:
    """All that Redis holds but the streams, for people."""
    lines = []
    async with Redis(host="127.0.0.1", port=cluster.redis.port) as redis:
        for key in sorted([key async for key in redis.scan_iter(match=f"{_BASE}*", count=1000)]):
            kind = _text(await redis.type(key))
            match kind:
                case "string":
                    value: object = await redis.get(key)
                case "hash":
                    value = await redis.hgetall(key)
                case "set":
                    value = await redis.smembers(key)
                case "zset":
                    value = await redis.zrange(key, 0, -1, withscores=True)
                case _:
                    value = kind
            lines.append(f"{_text(key)} {value!r}")
    return "\n".join(lines)


async def _texts(redis: Redis, kind: str) -> dict[str, bytes]:
    """The values of all keys of this kind, by what follows it in the key."""
    beginning = f"{_BASE}{kind}:"
    keys = [key async for key in redis.scan_iter(match=f"{beginning}*", count=1000)]
    values = await redis.mget(keys) if keys else []
    found = zip(keys, values, strict=True)
    return {_text(key).removeprefix(beginning): _bytes(value) for key, value in found if value is not None}


def _bytes(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def _text(value: bytes | str) -> str:
    return _bytes(value).decode()


def _session_of(text: bytes) -> Session:
    return load_session(text.split(b"\n", 3)[3])


def _owner(text: bytes) -> str | None:
    """A claim's session; None of one that lingers."""
    return None if text.startswith(b"~") else text.decode()


def _name(word: str) -> str:
    return unquote(word, errors="surrogatepass")


def _held(session: Session) -> Held:
    return Held(
        id=session.id,
        key=session.arguments.get("key", ""),
        state=session.state.value,
        share=session.share,
        profile=session.profile,
        reason=session.end_reason.value if session.end_reason is not None else None,
        slot=session.slot.claim if session.slot is not None else None,
        slot_pools=_slot_pools(session.slot),
        relay=session.ports.relay_id if session.ports is not None else None,
        ports=(session.ports.signaling_port, session.ports.media_port) if session.ports is not None else (),
        idempotency=session.idempotency,
        waits_for_ports=session.phase is Phase.PLACING,
    )


def _slot_pools(slot: SlotRef | None) -> tuple[str, ...]:
    if slot is None:
        return ()
    return slots_pool(slot.provider, slot.profile), *((node_pool(slot.node),) if slot.node else ())


def _bound(relay: Member) -> frozenset[int]:
    """The ports of its range that a relay's process has bound."""
    low, high = map(int, RELAY_PORTS.split("-"))
    if relay.child is None:
        return frozenset()
    with suppress(psutil.NoSuchProcess):
        sockets = psutil.Process(relay.child.pid).net_connections("inet")
        return frozenset(one.laddr.port for one in sockets if one.laddr and low <= one.laddr.port <= high)
    return frozenset()
