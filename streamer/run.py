"""The whole main program of a streaming backend: settings from the environment, signals, exit status."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn

from streamer.input import InputEvent
from streamer.settings import DEFAULT_VIDEO, BadSettings, StreamSettings, settings_from
from streamer.source import AnyFrame, Application, JsonObject, Outbox, VideoFormat

if TYPE_CHECKING:
    from streamer.server import StreamServer

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_PORT_TAKEN = 75
"""The provider tries other ports then (docs/protocol.md §4)."""

_EXIT_WITHIN_S = 8.0

FrameFunction = Callable[[float], AnyFrame]


def run(application: Application | FrameFunction, *, video: VideoFormat = DEFAULT_VIDEO) -> NoReturn:
    """Stream an application, or a function from seconds to a frame, until told to stop; then exit the process."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for chatty in ("aioice", "aiortc", "libav"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        settings = settings_from(os.environ, video=video)
    except BadSettings as error:
        sys.exit(_say(str(error), EXIT_USAGE))
    if not isinstance(application, Application):
        application = FunctionApplication(application)
    sys.exit(asyncio.run(_serve(application, settings)))


class FunctionApplication:
    """An application that is nothing but a function from seconds to a frame."""

    def __init__(self, function: FrameFunction) -> None:
        self._function = function

    def start(self, arguments: Mapping[str, str], outbox: Outbox) -> None:
        """Nothing to prepare."""

    def render(self, video: VideoFormat, at_s: float) -> AnyFrame:
        """The function's frame; its size is the picture's."""
        return self._function(at_s)

    def on_input(self, event: InputEvent) -> None:
        """Input is ignored."""

    def on_message(self, event_type: str, payload: JsonObject) -> None:
        """Messages are ignored."""

    def stop(self) -> None:
        """Nothing to give back."""


async def _serve(application: Application, settings: StreamSettings) -> int:
    from streamer.ending import SHUTTING_DOWN, backend_failed
    from streamer.server import PortTaken, StreamServer

    server = StreamServer(application, settings)
    stop = _stop_signal()
    failure = None
    try:
        await server.open()
        if settings.standalone:
            _say(_where(settings.host, server.signaling_port, server.media_port), 0)
        failure = await _first(stop, server)
    except PortTaken as error:
        return _say(str(error), EXIT_PORT_TAKEN)
    finally:
        _exit_in_time()
        await server.close(SHUTTING_DOWN if failure is None else backend_failed(f"The application failed: {failure}"))
    return 0 if failure is None else _say(f"The application failed: {failure}", EXIT_FAILED)


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _first(stop: asyncio.Event, server: StreamServer) -> str | None:
    """Wait for a signal (None) or for the application's failure (its reason)."""
    stopped, failed = asyncio.create_task(stop.wait()), asyncio.create_task(server.wait())
    try:
        await asyncio.wait((stopped, failed), return_when=asyncio.FIRST_COMPLETED)
        return failed.result() if failed.done() else None
    finally:
        stopped.cancel()
        failed.cancel()


def _exit_in_time() -> None:
    """Whatever hangs while the process ends, it ends."""
    timer = threading.Timer(_EXIT_WITHIN_S, os._exit, (EXIT_FAILED,))
    timer.daemon = True
    timer.start()


def _where(host: str, signaling_port: int, media_port: int) -> str:
    return (
        f"Streaming on {host}: signaling port {signaling_port} (TCP), media port {media_port} (UDP). "
        f"View it with connect({{host: '{host}', signalingPort: {signaling_port}, mediaPort: {media_port}, …}}) "
        "of web/stream-client.js; Ctrl-C ends it."
    )


def _say(text: str, status: int) -> int:
    sys.stderr.write(f"{text}\n")
    return status
