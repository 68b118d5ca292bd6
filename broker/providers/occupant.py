"""One slot's backend process from launch to release: ports, start, readiness, session, exit."""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

import aiohttp

from broker.core.slot import Backend, BackendState
from broker.errors import BackendFailed, NoCapacity
from broker.providers.base import Activation, LaunchOrder
from broker.providers.child import Child
from broker.providers.control import ControlClient, NoAnswer
from broker.providers.launch import environment_of, filled, placeholders, secrets_in
from broker.providers.plain import answers
from broker.providers.ports import BackendPorts, PortPool, is_free
from broker.providers.tail import gist, without
from signaling.routes import Endpoint

EXIT_PORT_TAKEN = 75
_PORT_TRIES = 5
_POLL_FIRST_S = 0.05
_POLL_GROWTH = 1.1
_POLL_MOST_S = 0.5
_STATUS_EVERY_S = 10.0
_MESSAGE_MOST_CHARS = 700
_WARNINGS_MOST = 4


class Occupant:
    """`tell` hears of each change of the backend."""

    def __init__(
        self,
        name: str,
        order: LaunchOrder,
        pool: PortPool,
        http: aiohttp.ClientSession,
        tell: Callable[[Backend], None],
        *,
        end_grace_s: float,
    ) -> None:
        self.name = name
        self._order = order
        self._is_plain = order.profile.protocol == "plain"
        self._pool = pool
        self._http = http
        self._tell_owner = tell
        self._end_grace_s = end_grace_s
        self._now = Backend(BackendState.STARTING)
        self._secrets: list[str] = []
        self._warnings: asyncio.Queue[str] = asyncio.Queue(_WARNINGS_MOST)
        self._activation: asyncio.Future[Activation] = asyncio.get_running_loop().create_future()

    def activate(self, activation: Activation) -> None:
        """Serve this session once idle; a second one is not taken."""
        if not self._activation.done():
            self._secrets.append(activation.backend_secret)
            self._activation.set_result(activation)

    def notify(self, warning: str) -> None:
        """Tell its viewers; more than it can be told in time is dropped, as it would come too late."""
        if not self._is_plain:
            with suppress(asyncio.QueueFull):
                self._warnings.put_nowait(warning)

    def fail(self, message: str) -> None:
        """Say that this backend is not coming back; the message is for callers, so it is short and holds no secret."""
        message = without(self._secrets, " ".join(message.split()))[:_MESSAGE_MOST_CHARS]
        self._tell(replace(self._now, state=BackendState.FAILED, message=message))

    async def live(self, own_environment: Mapping[str, str]) -> None:
        """Start it, with other ports where the first are taken, and keep it until it is gone or this is cancelled."""
        for _ in range(_PORT_TRIES):
            try:
                ports = self._pool.take()
            except NoCapacity as error:
                self.fail(str(error))
                return
            try:
                failure = await self._live_with(ports, own_environment)
            finally:
                self._pool.give_back(ports)
            if failure is not None:
                self.fail(failure)
                return
        self.fail(f"The ports of the streaming backend were taken by others {_PORT_TRIES} times")

    async def _live_with(self, ports: BackendPorts, own_environment: Mapping[str, str]) -> str | None:
        """Why it is gone; None when its ports were taken."""
        token = secrets.token_urlsafe(32)
        self._secrets.append(token)
        host = self._pool.host
        values = placeholders(self._order, host, ports)
        command = [filled(part, values) for part in self._order.profile.command]
        environment = environment_of(self._order, host, ports, token, own_environment)
        self._secrets.extend(secrets_in(environment))
        try:
            child = await Child.start(self.name, command, environment, secrets=self._secrets)
        except (OSError, ValueError) as error:
            return f"The streaming backend could not be started: {error}"
        client = ControlClient(self._http, host, ports.control, token)
        try:
            self._tell(Backend(BackendState.STARTING, Endpoint(host, ports.signaling, ports.media)))
            return await self._until_gone(child, client, ports)
        finally:
            await self._end(child, client)

    async def _until_gone(self, child: Child, client: ControlClient, ports: BackendPorts) -> str | None:
        exit_ = asyncio.create_task(child.exited(), name=f"exit of {self.name}")
        drive = asyncio.create_task(self._drive(client, ports), name=f"drive of {self.name}")
        try:
            await asyncio.wait((exit_, drive), return_when=asyncio.FIRST_COMPLETED)
            if not exit_.done():
                return f"The streaming backend failed: {drive.result()}" + _quoted(child)
            status = exit_.result()
            if self._now.state is BackendState.STARTING and self._lost_its_ports(status, ports):
                return None
            return f"The streaming backend {_how_it_went(status)}" + _quoted(child)
        finally:
            await _cancel(exit_, drive)

    def _lost_its_ports(self, status: int, ports: BackendPorts) -> bool:
        if status == EXIT_PORT_TAKEN:
            return True
        tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
        wanted = ((ports.signaling, tcp), (ports.media, udp), (ports.control, tcp))
        return status != 0 and not all(is_free(self._pool.host, port, kind) for port, kind in wanted)

    async def _drive(self, client: ControlClient, ports: BackendPorts) -> str:
        """From readiness to its session, and on; returns only with what is wrong with it."""
        try:
            await self._until_ready(client, ports)
            self._tell(replace(self._now, state=BackendState.IDLE))
            activation = await asyncio.shield(self._activation)
            if not self._is_plain:
                await self._until_claimed(client, activation)
            self._tell(replace(self._now, state=BackendState.CLAIMED, session_id=activation.session_id))
            while True:
                if not self._is_plain:
                    await self._ask_for_activity(client)
                await self._pass_a_warning(client, within_s=_STATUS_EVERY_S)
        except BackendFailed as error:
            return str(error)

    async def _until_ready(self, client: ControlClient, ports: BackendPorts) -> None:
        url = self._order.profile.ready_url
        url = None if url is None else filled(url, placeholders(self._order, self._pool.host, ports))
        delay_s = _POLL_FIRST_S
        while True:
            if self._is_plain:
                if await answers(self._http, url, self._pool.host, ports.signaling):
                    return
            else:
                with suppress(NoAnswer):
                    await client.ready()
                    return
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * _POLL_GROWTH, _POLL_MOST_S)

    async def _until_claimed(self, client: ControlClient, activation: Activation) -> None:
        while True:
            with suppress(NoAnswer):
                await client.put_session(activation)
                return
            await asyncio.sleep(_POLL_MOST_S)

    async def _ask_for_activity(self, client: ControlClient) -> None:
        with suppress(NoAnswer):
            self._tell(replace(self._now, activity=await client.activity()))

    async def _pass_a_warning(self, client: ControlClient, *, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                warning = await self._warnings.get()
        except TimeoutError:
            return
        with suppress(NoAnswer, BackendFailed):
            await client.post_notice("warning", warning)

    async def _end(self, child: Child, client: ControlClient) -> None:
        try:
            if self._now.state is BackendState.CLAIMED and not self._is_plain and not child.has_exited:
                with suppress(NoAnswer, BackendFailed):
                    await client.delete_session()
        finally:
            await child.end(self._end_grace_s)

    def _tell(self, backend: Backend) -> None:
        if backend != self._now:
            self._now = backend
            self._tell_owner(backend)


async def _cancel(*tasks: asyncio.Task[int] | asyncio.Task[str]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _how_it_went(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _quoted(child: Child) -> str:
    words = gist(child.last_lines())
    return f". Its last words: {words}" if words else ""
