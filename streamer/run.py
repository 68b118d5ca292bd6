"""The whole main program of a streaming backend: settings from the environment, signals, exit status."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import NoReturn

from streamer.input import InputEvent
from streamer.settings import DEFAULT_VIDEO, BadSettings, StreamSettings, settings_from
from streamer.source import Application, Frame, JsonObject, Outbox, VideoFormat

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_PORT_TAKEN = 75
"""The provider tries other ports then (docs/protocol.md §4)."""

FrameFunction = Callable[[float], Frame]


def run(application: Application | FrameFunction, *, video: VideoFormat = DEFAULT_VIDEO) -> NoReturn:
    """Stream an application, or a function from seconds to a frame, until told to stop; then exit the process."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for chatty in ("aioice", "aiortc", "libav"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        settings = settings_from(os.environ, video=video)
    except BadSettings as error:
        _leave(str(error), EXIT_USAGE)
    if not isinstance(application, Application):
        application = FunctionApplication(application)
    sys.exit(asyncio.run(_serve(application, settings)))


class FunctionApplication:
    """An application that is nothing but a function from seconds to a frame."""

    def __init__(self, function: FrameFunction) -> None:
        self._function = function

    def start(self, arguments: Mapping[str, str], outbox: Outbox) -> None:
        """Nothing to prepare."""

    def render(self, video: VideoFormat, at_s: float) -> Frame:
        """The function's frame; its size is the picture's."""
        return self._function(at_s)

    def on_input(self, event: InputEvent) -> None:
        """Input is ignored."""

    def on_message(self, event_type: str, payload: JsonObject) -> None:
        """Messages are ignored."""

    def stop(self) -> None:
        """Nothing to give back."""


async def _serve(application: Application, settings: StreamSettings) -> int:
    from streamer.server import PortTaken, StreamServer

    server = StreamServer(application, settings)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await server.open()
    except PortTaken as error:
        await server.close()
        return _say(str(error), EXIT_PORT_TAKEN)
    if settings.standalone:
        _say(
            f"Streaming on {settings.host}: signaling port {server.signaling_port} (TCP), "
            f"media port {server.media_port} (UDP). Ctrl-C ends it.",
            0,
        )
    waits = [asyncio.create_task(stop.wait()), asyncio.create_task(server.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        failure = waits[1].result() if waits[1].done() else None
    finally:
        for task in waits:
            task.cancel()
        await server.close()
    return 0 if failure is None else _say(f"The application failed: {failure}", EXIT_FAILED)


def _say(text: str, status: int) -> int:
    sys.stderr.write(f"{text}\n")
    return status


def _leave(text: str, status: int) -> NoReturn:
    sys.exit(_say(text, status))
