"""What every test must leave behind: nothing. Tasks, threads and sockets that outlive a test fail it."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from signaling.redis_settings import RedisSettings
from tests.redis_server import RedisServer, redis_server_apart

# How long an example takes is the machine's affair: what judges time is in bench/.
settings.register_profile("pixelferry", deadline=None, suppress_health_check=[HealthCheck.too_slow])


def pytest_configure() -> None:
    """Say that there is no loop yet: else pytest-asyncio's look at the present one makes one that nobody closes."""
    asyncio.set_event_loop(None)
    settings.load_profile("pixelferry")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Packets and keys are made anew in each process: a test that is named by them could not be told to another."""
    return f"{len(val)}-bytes" if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every coroutine test is watched for tasks; first in, so last out: after the test's own fixtures have closed."""
    for item in items:
        if isinstance(item, pytest.Function) and asyncio.iscoroutinefunction(item.function):
            item.fixturenames.insert(0, "no_task_is_left")


@pytest.fixture
async def no_task_is_left() -> AsyncIterator[None]:
    """Tasks that are ending get a moment; those that stay are named."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=1)
    assert not left, f"tasks left running: {sorted(str(task.get_coro()) for task in left)}"


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """A thread that nobody ends would keep the process alive. Those of a loop's own executor end with the loop.

    Sockets need no fixture: one that is not closed warns when it is collected, and warnings are errors.
    """
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 1
    while left := [thread for thread in threading.enumerate() if thread not in before and outlives_its_loop(thread)]:
        if time.monotonic() > deadline:
            pytest.fail(f"threads left running: {[thread.name for thread in left]}")
        time.sleep(0.01)


def outlives_its_loop(thread: threading.Thread) -> bool:
    return not thread.daemon and not thread.name.startswith("asyncio_")


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """A Redis for all tests that leave it running: each takes its keys by a prefix of its own (`redis_settings`)."""
    with redis_server_apart() as server:
        yield server


@pytest.fixture
def redis_settings(shared_redis: RedisServer) -> RedisSettings:
    """A deployment of this test alone on the shared Redis."""
    return RedisSettings(url=shared_redis.url, prefix=f"test-{uuid4().hex}")
