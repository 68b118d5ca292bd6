"""A whole node with light backends, registered with a real broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import pytest

from broker.api.body import MAX_BODY_BYTES
from broker.api.node_models import NodeSaid
from broker.identity.keys import digest_of
from streamer.__main__ import main
from streamer.node.agent import Agent, registration
from streamer.node.registration import Refused
from streamer.node.settings import NodeOptions, usage_environment
from streamer.node.slot import SlotStatus
from tests.broker.api.serving import JsonObject, Served, serving
from tests.broker.samples import make_profile
from tests.streamer.node.test_slot import BACKEND, free_range

TOKEN = "pfk_of-gpu-1"
NODES = {"tokens": {"gpu-1": {"sha256": digest_of(TOKEN)}}, "allow_loopback": True, "heartbeat_s": 0.1}
ON_NODES = replace(make_profile(), provider="static", labels={"gpu": "l40s"})
BODY = {"id": "app", "profile": "default"}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(nodes=NODES, profile=ON_NODES) as served:
        yield served


def options(served: Served, *, slots: int = 1, drain_s: float = 0, brokers: tuple[str, ...] = ()) -> NodeOptions:
    ports = free_range(slots * 3)
    return NodeOptions(
        brokers=(*brokers, served.url),
        name="gpu-1",
        token=TOKEN,
        command=BACKEND,
        host="127.0.0.1",
        slots=slots,
        labels={"gpu": "l40s"},
        zone="hall-1",
        ports=(ports.start, ports.stop - 1),
        drain_s=drain_s,
    )


@asynccontextmanager
async def running(options: NodeOptions) -> AsyncIterator[tuple[asyncio.Event, asyncio.Task[None]]]:
    stop = asyncio.Event()
    task = asyncio.create_task(Agent(options, usage_environment(), stop).run())
    try:
        yield stop, task
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def told(served: Served, wanted: Callable[[JsonObject], bool]) -> JsonObject:
    """What the broker knows of the node, once it knows that."""
    for _ in range(500):
        items = (await served.call("GET", "/nodes")).items
        if items and wanted(items[0]):
            return items[0]
        await asyncio.sleep(0.02)
    raise AssertionError(items)


def states(node: JsonObject) -> list[object]:
    slots = node["slots"]
    assert isinstance(slots, list)
    return [slot["state"] for slot in slots if isinstance(slot, dict)]


async def test_a_machine_becomes_a_node_and_its_backends_are_used_again(served: Served) -> None:
    unreachable = "http://127.0.0.1:1"
    async with running(options(served, slots=2, brokers=(unreachable,))):
        node = await told(served, lambda node: states(node) == ["idle", "idle"])
        assert (node["host"], node["zone"], node["labels"]) == ("127.0.0.1", "hall-1", {"gpu": "l40s"})
        first, second = [(await served.call("POST", "/stream", BODY, Prefer="wait=10")).json["id"] for _ in range(2)]
        await told(served, lambda node: states(node) == ["claimed", "claimed"])
        waiting = (await served.call("POST", "/stream", BODY)).json
        assert waiting["phase"] == "queued"
        await served.call("DELETE", f"/stream/{first}")
        await served.until(f"/stream/{waiting['id']}", 200)
        for session in (second, waiting["id"]):
            await served.call("DELETE", f"/stream/{session}")
        await told(served, lambda node: states(node) == ["idle", "idle"])


async def test_a_stopping_node_takes_nothing_new_lets_sessions_end_and_says_goodbye(served: Served) -> None:
    async with running(options(served, drain_s=30)) as (stop, task):
        await told(served, lambda node: states(node) == ["idle"])
        session = (await served.call("POST", "/stream", BODY, Prefer="wait=10")).json["id"]
        await told(served, lambda node: states(node) == ["claimed"])
        stop.set()
        await told(served, lambda node: node["draining"] is True and node["takes_sessions"] is False)
        assert not task.done()
        assert (await served.call("GET", f"/stream/{session}")).status == 200
        await served.call("DELETE", f"/stream/{session}")
        async with asyncio.timeout(10):
            await task
        await told(served, lambda node: node["presence"] == "left")


async def test_sessions_that_do_not_end_in_time_end_with_the_node(served: Served) -> None:
    async with running(options(served)) as (stop, task):
        await told(served, lambda node: states(node) == ["idle"])
        session = (await served.call("POST", "/stream", BODY, Prefer="wait=10")).json["id"]
        stop.set()
        assert (await served.until(f"/stream/{session}", 410)).json["end_reason"] == "node_lost"
        async with asyncio.timeout(10):
            await task


async def test_a_node_that_is_refused_says_why_and_ends(served: Served) -> None:
    with pytest.raises(Refused, match=r"refuses this node \(401\): This node's token is not known here"):
        await Agent(replace(options(served), token="wrong"), usage_environment(), asyncio.Event()).run()
    with pytest.raises(Refused, match=r"\(403\): This token is not good for node 'gpu-2'"):
        await Agent(replace(options(served), name="gpu-2"), usage_environment(), asyncio.Event()).run()


@pytest.mark.parametrize(
    ("given", "status", "told"),
    [
        (["test-pattern", "--register", "http://127.0.0.1:1", "--node", "a b"], 2, "--node 'a b' does not fit"),
        (["--register", "http://127.0.0.1:1"], 2, "name what to run"),
        (["test-pattern", "--register", "http://127.0.0.1:1", "--", "other"], 2, "name what to run"),
        (["test-pattern", "--", "other"], 2, "commands of your own need --register"),
        (["--node", "gpu-1"], 2, "name an application"),
    ],
)
def test_the_command_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], given: list[str], status: int, told: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == status
    assert told in capsys.readouterr().err


def test_the_largest_node_with_the_most_to_complain_of_is_heard() -> None:
    labels = {f"{'a' * 61}{number:02}": "b" * 63 for number in range(32)}
    large = NodeOptions(("http://b",), "n" * 63, TOKEN, BACKEND, "10.1.0.7", labels=labels, zone="z" * 63)
    slots = [
        SlotStatus(number, 47000, 47001, 47002, "t" * 43, "i" * 16, "failed", str(uuid4()), "\U0001f6a2" * 700)
        for number in range(64)
    ]
    body = registration(large, slots, boot="b" * 16, draining=True)
    NodeSaid.model_validate(body)
    assert len(json.dumps(body)) < MAX_BODY_BYTES


async def test_slots_share_gpus_out_and_know_their_number(served: Served) -> None:
    agent = Agent(replace(options(served, slots=3), gpus=("4", "7")), {"LANG": "C"}, asyncio.Event())
    assert [agent.environment_of(number) for number in range(3)] == [
        {"LANG": "C", "PIXELFERRY_SLOT": str(number), "CUDA_VISIBLE_DEVICES": gpu} for number, gpu in enumerate("474")
    ]
