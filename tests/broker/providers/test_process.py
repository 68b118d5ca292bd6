"""The process provider with real processes."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from broker.core.slot import Activity, Backend, BackendState, SlotRef
from broker.providers.base import Activation, LaunchOrder
from broker.providers.process import ProcessProvider, ProcessSettings, usual_backend_host
from tests.broker.samples import SESSION_ID, SLOT, make_profile
from tests.broker.waiting import eventually

BACKEND = (sys.executable, str(Path(__file__).with_name("backend.py")))
ACTIVATION = Activation(SESSION_ID, {"stage": "a.usd"}, "the-backends-secret")


def order(*arguments: str, profile_environment: Mapping[str, str] | None = None) -> LaunchOrder:
    return LaunchOrder(
        make_profile(command=(*BACKEND, *arguments), environment=profile_environment),
        "app",
        "1.0.0",
        {"stage": "a.usd"},
    )


def wrapped_order(*arguments: str) -> LaunchOrder:
    """A shell that starts what nobody watches in a session of its own, then waits for the backend."""
    script = 'setsid sleep 600 & "$@" & wait $!'
    return LaunchOrder(make_profile(command=("sh", "-c", script, "sh", *BACKEND, *arguments)), "app", "1.0.0", {})


def plain_order(*arguments: str, ready_url: str | None = None) -> LaunchOrder:
    profile = make_profile(command=(*BACKEND, *arguments), protocol="plain", ready_url=ready_url)
    return LaunchOrder(profile, "app", "1.0.0", {"stage": "a.usd"})


@asynccontextmanager
async def running(provider: ProcessProvider) -> AsyncIterator[ProcessProvider]:
    task = asyncio.create_task(provider.run())
    await asyncio.sleep(0)
    try:
        yield provider
    finally:
        task.cancel()
        await asyncio.wait((task,))


@pytest.fixture
async def provider() -> AsyncIterator[ProcessProvider]:
    before = processes()
    settings = ProcessSettings(usual_backend_host(), 47000, 47999, end_grace_s=1.0)
    async with running(ProcessProvider(settings)) as provider:
        yield provider
    assert processes() == before


def processes() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


async def seen(provider: ProcessProvider, wanted: Callable[[Backend], bool], slot: SlotRef = SLOT) -> Backend:
    async with asyncio.timeout(15), aclosing(provider.observe()) as snapshots:
        async for backends in snapshots:
            backend = backends.get(slot.id)
            if backend is not None and wanted(backend):
                return backend
    raise AssertionError("unreachable")


async def in_state(provider: ProcessProvider, state: BackendState, slot: SlotRef = SLOT) -> Backend:
    return await seen(provider, lambda backend: backend.state is state, slot)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_backend_becomes_idle_then_serves_its_session_then_is_gone(provider: ProcessProvider) -> None:
    await provider.launch(SLOT, order())
    idle = await in_state(provider, BackendState.IDLE)
    assert idle.endpoint is not None and idle.endpoint.host == usual_backend_host()
    await provider.activate(SLOT, ACTIVATION)
    claimed = await in_state(provider, BackendState.CLAIMED)
    assert claimed.session_id == SESSION_ID
    await provider.release(SLOT)
    async with aclosing(provider.observe()) as snapshots:
        assert await anext(snapshots) == {}
    assert not processes()


async def test_a_slot_is_launched_once_and_released_any_number_of_times(provider: ProcessProvider) -> None:
    await provider.launch(SLOT, order())
    first = await in_state(provider, BackendState.IDLE)
    await provider.launch(SLOT, order())
    assert len(psutil.Process().children()) == 1
    assert await in_state(provider, BackendState.IDLE) == first
    await asyncio.gather(provider.release(SLOT), provider.release(SLOT))
    await provider.release(SLOT)
    assert not processes()


async def test_a_session_given_before_the_backend_is_ready_is_not_lost(provider: ProcessProvider) -> None:
    await provider.launch(SLOT, order())
    await provider.activate(SLOT, ACTIVATION)
    await provider.activate(SLOT, ACTIVATION)
    assert (await in_state(provider, BackendState.CLAIMED)).session_id == SESSION_ID


async def test_several_backends_start_side_by_side_on_ports_of_their_own(provider: ProcessProvider) -> None:
    slots = [replace(SLOT, number=number, id=f"slot-{number}") for number in range(3)]
    await asyncio.gather(*(provider.launch(slot, order()) for slot in slots))
    backends = [await in_state(provider, BackendState.IDLE, slot) for slot in slots]
    ports = [p for b in backends if b.endpoint for p in (b.endpoint.signaling_port, b.endpoint.media_port)]
    assert len(set(ports)) == 6


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux finds processes that left their group")
async def test_what_a_wrapper_started_in_a_session_of_its_own_is_ended_too(provider: ProcessProvider) -> None:
    await provider.launch(SLOT, wrapped_order("--deaf"))
    await in_state(provider, BackendState.IDLE)
    started = processes()
    assert len(started) == 4, "guard, shell, its child, backend"
    await provider.release(SLOT)
    await eventually(lambda: all(map(is_gone, started)))


async def test_a_release_while_starting_ends_the_backend(provider: ProcessProvider) -> None:
    await provider.launch(SLOT, order("--silent"))
    await seen(provider, lambda backend: backend.endpoint is not None)
    await provider.release(SLOT)
    assert not processes()


async def test_a_release_right_after_the_launch_leaves_nothing(provider: ProcessProvider) -> None:
    await provider.launch(SLOT, order())
    await provider.release(SLOT)
    assert not processes()


async def test_a_backend_that_heeds_no_sigterm_is_killed_with_its_children(
    provider: ProcessProvider, tmp_path: Path
) -> None:
    await provider.launch(SLOT, order("--deaf", "--child", str(tmp_path / "pid")))
    await in_state(provider, BackendState.IDLE)
    grandchild = int((tmp_path / "pid").read_text())
    assert psutil.pid_exists(grandchild)
    await provider.release(SLOT)
    await eventually(lambda: is_gone(grandchild))


async def test_an_exit_is_noticed_and_its_last_words_kept_until_the_release(
    provider: ProcessProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await provider.launch(SLOT, order("--words", "no GPU found", "--exit", "3"))
    failed = await in_state(provider, BackendState.FAILED)
    assert "status 3" in failed.message
    assert "no GPU found" in failed.message
    assert "no GPU found" in caplog.text
    await provider.release(SLOT)
    async with aclosing(provider.observe()) as snapshots:
        assert await anext(snapshots) == {}


async def test_a_killed_backend_is_noticed_and_its_children_are_ended(
    provider: ProcessProvider, tmp_path: Path
) -> None:
    await provider.launch(SLOT, order("--child", str(tmp_path / "pid")))
    await in_state(provider, BackendState.IDLE)
    grandchild = int((tmp_path / "pid").read_text())
    (guard,) = psutil.Process().children()
    (backend,) = guard.children()
    backend.kill()
    assert "SIGKILL" in (await in_state(provider, BackendState.FAILED)).message
    await eventually(lambda: is_gone(grandchild))


async def test_other_ports_are_tried_when_the_first_are_taken(provider: ProcessProvider, tmp_path: Path) -> None:
    await provider.launch(SLOT, order("--taken", str(tmp_path / "once")))
    first = await seen(provider, lambda backend: backend.endpoint is not None)
    idle = await in_state(provider, BackendState.IDLE)
    assert idle.endpoint != first.endpoint


async def test_a_backend_that_finds_no_port_free_is_given_up(provider: ProcessProvider) -> None:
    await provider.launch(SLOT, order("--exit", "75"))
    assert "taken by others" in (await in_state(provider, BackendState.FAILED)).message


async def test_a_port_range_in_use_is_told() -> None:
    host = usual_backend_host()
    with socket.create_server((host, 0)) as taken:
        port = taken.getsockname()[1]
        async with running(ProcessProvider(ProcessSettings(host, port, port, end_grace_s=1.0))) as provider:
            await provider.launch(SLOT, order())
            assert str(port) in (await in_state(provider, BackendState.FAILED)).message


async def test_a_command_that_is_not_there_is_named(provider: ProcessProvider) -> None:
    profile = make_profile(command=("no-such-command-here",))
    await provider.launch(SLOT, LaunchOrder(profile, "app", "1.0.0", {}))
    message = (await in_state(provider, BackendState.FAILED)).message
    assert "no-such-command-here" in message and "No such file" in message


async def test_a_backend_that_refuses_its_session_has_failed(provider: ProcessProvider) -> None:
    await provider.launch(SLOT, order("--refuse", "409"))
    await provider.activate(SLOT, ACTIVATION)
    assert "409" in (await in_state(provider, BackendState.FAILED)).message
    assert not processes()


async def test_a_backend_of_another_protocol_has_failed(provider: ProcessProvider) -> None:
    await provider.launch(SLOT, order("--protocol", "9"))
    assert "protocol 9" in (await in_state(provider, BackendState.FAILED)).message


async def test_what_is_told_of_a_backend_is_short_whatever_it_answers(provider: ProcessProvider) -> None:
    await provider.launch(SLOT, order("--protocol", "9" * 4000, "--words", "one\ntwo"))
    message = (await in_state(provider, BackendState.FAILED)).message
    assert "protocol 999" in message
    assert len(message) <= 700 and "\n" not in message


async def test_secrets_of_the_profile_are_struck_out_as_well(
    provider: ProcessProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    words = "the key is open-sesame-42"
    await provider.launch(
        SLOT, order("--words", words, "--exit", "3", profile_environment={"API_KEY": "open-sesame-42"})
    )
    assert "the key is ***" in (await in_state(provider, BackendState.FAILED)).message
    assert "open-sesame" not in caplog.text


async def test_secrets_are_struck_out_of_what_a_backend_says(
    provider: ProcessProvider, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "environment"
    await provider.launch(SLOT, order("--tell-secret", "--refuse", "500", "--environment", str(path)))
    await provider.activate(SLOT, ACTIVATION)
    message = (await in_state(provider, BackendState.FAILED)).message
    token = json.loads(path.read_text())["PIXELFERRY_CONTROL_TOKEN"]
    assert "my token is ***" in message and "my secret is ***" in message
    for text in (message, caplog.text):
        assert token not in text and ACTIVATION.backend_secret not in text


async def test_the_backends_environment_is_what_the_protocol_says_and_nothing_secret(
    provider: ProcessProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXELFERRY_ADMIN_SECRET", "broker's own")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "broker's own")
    path = tmp_path / "environment"
    extra = {"PIXELFERRY_USD_ROOT": "/stages", "GREETING": "{application} on {signaling_port}"}
    await provider.launch(SLOT, order("--environment", str(path), profile_environment=extra))
    idle = await in_state(provider, BackendState.IDLE)
    assert idle.endpoint is not None
    environment = json.loads(path.read_text())
    assert "broker's own" not in environment.values()
    assert environment["PATH"].split(os.pathsep)[0] == os.path.dirname(sys.executable)
    assert environment["GREETING"] == f"app on {idle.endpoint.signaling_port}"
    assert {name for name in environment if name.startswith("PIXELFERRY_")} == {
        "PIXELFERRY_USD_ROOT",
        "PIXELFERRY_BACKEND_HOST",
        "PIXELFERRY_SIGNALING_PORT",
        "PIXELFERRY_MEDIA_PORT",
        "PIXELFERRY_CONTROL_PORT",
        "PIXELFERRY_CONTROL_TOKEN",
    }


async def test_a_plain_backend_is_ready_when_its_port_accepts_and_has_its_arguments_by_environment(
    provider: ProcessProvider, tmp_path: Path
) -> None:
    path = tmp_path / "environment"
    await provider.launch(SLOT, plain_order("--plain", "--environment", str(path)))
    await provider.activate(SLOT, ACTIVATION)
    assert (await in_state(provider, BackendState.CLAIMED)).session_id == SESSION_ID
    assert json.loads(path.read_text())["PIXELFERRY_ARG_STAGE"] == "a.usd"


async def test_a_plain_backend_is_ready_when_its_health_url_says_so(provider: ProcessProvider) -> None:
    url = "http://{backend_host}:{control_port}/health"
    await provider.launch(SLOT, plain_order(ready_url=url))
    await in_state(provider, BackendState.IDLE)


async def test_a_plain_backend_is_not_ready_while_its_health_url_says_no(provider: ProcessProvider) -> None:
    url = "http://{backend_host}:{control_port}/health"
    await provider.launch(SLOT, plain_order("--silent", ready_url=url))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.7):
            await in_state(provider, BackendState.IDLE)


async def test_the_last_input_is_asked_for(provider: ProcessProvider) -> None:
    await provider.launch(SLOT, order("--input-at", "1234.5"))
    await provider.activate(SLOT, ACTIVATION)
    backend = await seen(provider, lambda backend: backend.activity is not None)
    assert backend.activity == Activity(1234.5)


async def test_a_backend_passes_warnings_on_to_its_viewers(provider: ProcessProvider, tmp_path: Path) -> None:
    record = tmp_path / "record"
    await provider.launch(SLOT, order("--record", str(record)))
    await provider.notify(SLOT, "First.")
    await provider.activate(SLOT, ACTIVATION)
    await in_state(provider, BackendState.CLAIMED)
    for number in range(20):
        await provider.notify(SLOT, f"Number {number}.")
    await eventually(lambda: "Number 2." in record.read_text())
    notices = [line for line in record.read_text().splitlines() if line.startswith("{")]
    assert notices[0] == '{"level": "warning", "message": "First."}'
    assert len(notices) <= 8, "what cannot be told in time is dropped"


async def test_a_plain_backend_is_not_called_for_warnings(provider: ProcessProvider) -> None:
    await provider.launch(SLOT, plain_order())
    await provider.activate(SLOT, ACTIVATION)
    await in_state(provider, BackendState.CLAIMED)
    await provider.notify(SLOT, "Soon.")
    await provider.notify(replace(SLOT, id="nobody"), "Soon.")
    await asyncio.sleep(0.2)
    assert (await in_state(provider, BackendState.CLAIMED)).message == ""


async def test_a_backend_is_told_of_its_sessions_end_before_its_own(provider: ProcessProvider, tmp_path: Path) -> None:
    record = tmp_path / "record"
    await provider.launch(SLOT, order("--record", str(record)))
    await provider.activate(SLOT, ACTIVATION)
    await in_state(provider, BackendState.CLAIMED)
    await provider.release(SLOT)
    assert record.read_text().splitlines()[-1] == "DELETE /v1/session"


async def test_no_file_descriptor_is_left(provider: ProcessProvider) -> None:
    async def once(number: int) -> None:
        slot = replace(SLOT, id=f"slot-{number}")
        await provider.launch(slot, order())
        await provider.activate(slot, ACTIVATION)
        await in_state(provider, BackendState.CLAIMED, slot)
        await provider.release(slot)

    await once(0)
    before = psutil.Process().num_fds()
    for number in range(1, 4):
        await once(number)
    await eventually(lambda: psutil.Process().num_fds() <= before)


async def test_nothing_is_launched_when_the_provider_does_not_run() -> None:
    provider = ProcessProvider(ProcessSettings("127.0.0.1"))
    with pytest.raises(RuntimeError):
        await provider.launch(SLOT, order())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux finds processes that left their group")
def test_backends_die_with_a_broker_that_is_killed(tmp_path: Path) -> None:
    script = """
import asyncio, sys
from broker.providers.process import ProcessProvider, ProcessSettings
from tests.broker.providers.test_process import SLOT, BackendState, in_state, wrapped_order
async def main():
    provider = ProcessProvider(ProcessSettings("127.0.0.1"))
    asyncio.create_task(provider.run())
    await asyncio.sleep(0)
    await provider.launch(SLOT, wrapped_order("--deaf"))
    await in_state(provider, BackendState.IDLE)
    print("idle", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=os.getcwd()) as broker:
        assert broker.stdout is not None and broker.stdout.readline() == b"idle\n"
        started = [child.pid for child in psutil.Process(broker.pid).children(recursive=True)]
        broker.kill()
    assert len(started) == 4, "guard, shell, its child, backend"
    deadline = time.monotonic() + 5
    while not all(map(is_gone, started)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
