"""`pixelferry relay`: a relay, or one for each core, on a route table in Redis that brokers share."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from socket import SOCK_DGRAM, socket

from broker.configuration import ConfigurationError
from broker.environment import strange_variables
from broker.listening import CannotListen, ListenAddress, listen
from broker.logs import set_up
from broker.providers.ports import is_free
from broker.relay_options import OPTIONS
from broker.relay_settings import RelayProcessSettings
from broker.relay_workers import Workers
from broker.settings import CONFIG_VARIABLE, load
from signaling.handover import default_folder, meeting_place
from signaling.inheritance import HandoverRefused
from signaling.redis_link import RedisLink
from signaling.relay import Relay
from signaling.serve import EXIT_FORCED, Stop, serve, stop_by_signal, stop_with
from signaling.settings import RelaySettings
from signaling.succession import Succession
from signaling.table_redis import RedisRouteTable
from signaling.workers import worker_settings

logger = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_USAGE = 2
_LIFELINE = 0
"""A worker's standard input is a pipe from who looks after it."""

_WORKER = re.compile(r"([0-9]{1,3})/([0-9]{1,3})", re.ASCII)


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Serve until a signal; the exit status. `arguments` are those that made `options`, the command's name first."""
    given = {name: value for name, value in vars(options).items() if value is not None}
    takeover = bool(given.get("takeover"))
    config = given.get("config") or os.environ.get(CONFIG_VARIABLE) or None
    try:
        settings = _settings(given, None if config is None else Path(config))
        number, workers = _place(given.get("worker"), settings.workers)
        every = [_worker_settings(settings.relay, place, workers) for place in range(1, workers + 1)]
        _check_addresses(settings.relay)
        set_up(settings.log_format, settings.log_level)
        if number is not None:
            return _serve(settings, every[number - 1], number, takeover=takeover, lifeline=_LIFELINE)
        for warning in strange_variables(type(settings), os.environ):
            logger.warning("environment: %s", warning)
        if workers == 1:
            return _serve(settings, every[0], 1, takeover=takeover)
        return _look_after(workers, arguments)
    except ConfigurationError as error:
        return _complain(str(error), EXIT_USAGE)
    except (CannotListen, HandoverRefused) as error:
        return _complain(str(error), EXIT_FAILED)


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"pixelferry: {text}\n")
    return status


def _settings(given: Mapping[str, str], config: Path | None) -> RelayProcessSettings:
    """Raises ConfigurationError that names the option as it was written."""
    nested: dict[str, object] = {}
    for name, (setting, _, _) in OPTIONS.items():
        if name in given:
            table, _, key = setting.rpartition(".")
            within = nested.setdefault(table, {}) if table else nested
            assert isinstance(within, dict)
            within[key] = given[name]
    try:
        return load(RelayProcessSettings, nested, config)
    except ConfigurationError as error:
        if error.key == "redis":
            raise ConfigurationError(
                error.source, "redis.url", "is missing: name the brokers' Redis by --redis"
            ) from error
        options = {setting.replace(".", "-").replace("_", "-"): name for name, (setting, _, _) in OPTIONS.items()}
        written = options.get(error.key.removeprefix("--"))
        raise (error if written is None else replace(error, key="--" + written.replace("_", "-"))) from error


def _place(worker: str | None, workers: int) -> tuple[int | None, int]:
    """Which of how many workers this process is; None: the one that looks after them, or the only one."""
    if worker is None:
        return None, workers
    match = _WORKER.fullmatch(worker)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigurationError("command line", "--worker", "is for the command's own use: leave it out")
    return int(match[1]), int(match[2])


def _worker_settings(settings: RelaySettings, number: int, workers: int) -> RelaySettings:
    try:
        return worker_settings(settings, number, workers)
    except ValueError as error:
        raise ConfigurationError("settings", "workers", str(error)) from error


def _check_addresses(settings: RelaySettings) -> None:
    """Raises ConfigurationError naming an address that only another machine has."""
    for key, host in {"relay.host": settings.host, "relay.upstream_host": settings.upstream_host}.items():
        if host is not None and not is_free(host, 0, SOCK_DGRAM):
            raise ConfigurationError("settings", key, f"{host} is no address of this machine: name one that is")


def _look_after(workers: int, arguments: Sequence[str]) -> int:
    program = (sys.executable, "-m", "broker.cli")
    several = Workers(lambda number: (*program, *arguments, "--worker", f"{number}/{workers}"), workers)
    return asyncio.run(several.run())


def _serve(
    settings: RelayProcessSettings, own: RelaySettings, number: int, *, takeover: bool, lifeline: int | None = None
) -> int:
    """Raises CannotListen, HandoverRefused."""
    with ExitStack() as opened:
        listening = _Listening(settings.listen, number, opened, patient=takeover)
        gc.collect()
        gc.freeze()  # what is imported by now stays: collections need not look at it again
        try:
            asyncio.run(_run(settings, own, listening, lifeline))
        except (asyncio.CancelledError, KeyboardInterrupt):
            return EXIT_FORCED
        except (CannotListen, HandoverRefused):
            raise
        except Exception:  # the root of the process
            logger.exception("the relay failed")
            return EXIT_FAILED
        return 0


class _Listening:
    """Where one of several relays tells its status. A patient one may find its predecessor there."""

    def __init__(self, address: ListenAddress | None, number: int, opened: ExitStack, *, patient: bool) -> None:
        """Raises CannotListen."""
        self.takeover = patient
        self.sockets: list[socket] = []
        self._failed: CannotListen | None = None
        if address is None:
            return
        self._port = address.port + number - 1 if address.port else 0
        try:
            self.sockets = [opened.enter_context(bound) for bound in listen(ListenAddress(address.host, self._port))]
        except CannotListen as error:
            if not patient:
                raise
            self._failed = error

    def settle(self, inherited: Sequence[socket] | None) -> None:
        """What the predecessor left, None where there was none; raises CannotListen then."""
        if self._failed is None:
            return
        if inherited is None:
            raise self._failed
        self.sockets = [sock for sock in inherited if sock.getsockname()[1] == self._port]
        if not self.sockets:  # what was taken over must not end for this
            logger.warning("no health and metrics: %s", self._failed)


async def _run(settings: RelayProcessSettings, own: RelaySettings, listening: _Listening, lifeline: int | None) -> None:
    stop = Stop()
    stop_by_signal(stop)
    if lifeline is not None:
        stop_with(lifeline, stop)
    link = RedisLink(settings.redis, name=f"pixelferry-{own.id}")
    table = RedisRouteTable(link)
    relay = Relay(own, table)
    succession = Succession(_meeting_place(settings, own), relay, table=_table_name(settings))
    try:
        if listening.takeover:
            listening.settle(succession.status if succession.take_over() else None)
        await serve(
            relay,
            own,
            stop,
            listening=listening.sockets,
            started=lambda: _say_where(settings, own, listening.sockets),
            successors=succession.wait(listening.sockets),
        )
    finally:
        succession.close()
        await table.close()
        await link.close()


def _meeting_place(settings: RelayProcessSettings, own: RelaySettings) -> Path:
    folder = default_folder(os.environ) if settings.handover_folder is None else Path(settings.handover_folder)
    return meeting_place(folder, own.id, _table_name(settings))


def _table_name(settings: RelayProcessSettings) -> str:
    """Of the route table, without its password."""
    return f"{settings.redis.place.shown} {settings.redis.prefix}"


def _say_where(settings: RelayProcessSettings, own: RelaySettings, listening: Sequence[socket]) -> None:
    told = [f"relay {own.id} on {own.host}, ports {own.ports}, up to {own.capacity} sessions"]
    told.append(f"route table at {settings.redis.place.shown}")
    told += [f"health and metrics at {ListenAddress(*bound.getsockname()[:2])}" for bound in listening]
    logger.info("%s", "; ".join(told))
