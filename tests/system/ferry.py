"""Runs the real command line in a folder of its own, and sees that nothing is left of it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil

from signaling.routes import Json

PIXELFERRY = str(Path(sys.executable).with_name("pixelferry"))
JsonObject = dict[str, Json]
Found = TypeVar("Found")


def eventually(question: Callable[[], Found | None], *, within_s: float, what: str) -> Found:
    """Asks until the answer is true; names what did not come."""
    deadline = time.monotonic() + within_s
    while True:
        if answer := question():
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within_s:g} s")
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> JsonObject:
        parsed = json.loads(self.body)
        assert isinstance(parsed, dict), parsed
        return parsed


def object_of(value: Json) -> JsonObject:
    assert isinstance(value, dict), value
    return value


def port_of(entry: JsonObject, name: str) -> int:
    port = entry[name]
    assert isinstance(port, int), entry
    return port


def call(method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
    """One HTTP request; error statuses are answers too."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data=data, method=method, headers={"Content-Type": "application/json", **(headers or {})})
    try:
        with urlopen(request, timeout=30) as response:
            return Answer(response.status, dict(response.headers), response.read())
    except HTTPError as refused:
        with refused:
            return Answer(refused.code, dict(refused.headers), refused.read())


@dataclass(frozen=True, slots=True)
class RelayedRoute:
    """Where a client connects, and where the backend listens: as the documented mount says it."""

    host: str
    signaling_port: int
    media_port: int
    destination_ports: frozenset[int]


@dataclass(frozen=True, slots=True)
class Backend:
    """A streaming backend as its process environment describes it."""

    process: psutil.Process
    host: str
    ports: tuple[int, ...]
    control_port: int
    control_token: str

    def status(self) -> JsonObject:
        answer = call(
            "GET",
            f"http://{self.host}:{self.control_port}/v1/status",
            headers={"Authorization": f"Bearer {self.control_token}"},
        )
        assert answer.status == 200, answer
        return answer.json


def bound_ports(process: psutil.Process) -> set[tuple[str, int]]:
    """None of a process that has ended."""
    with suppress(psutil.NoSuchProcess):
        return {
            (connection.laddr.ip, connection.laddr.port)
            for connection in process.net_connections("inet")
            if connection.laddr and (connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM)
        }
    return set()


class Ferry:
    """`pixelferry up`, started by a test."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._log_path = log
        self.process = process
        self.url = eventually(self._printed_url, within_s=20, what="the page's URL on standard output")

    def log(self) -> str:
        return self._log_path.read_text()

    def call(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        return call(method, self.url + path, body, headers)

    def start_session(self, application: str, *, arguments: Mapping[str, str] | None = None) -> JsonObject:
        """POST, then poll until it is ready."""
        body = {"id": application, "profile": "default", "version": "latest", "arguments": dict(arguments or {})}
        created = self.call("POST", "/stream", body)
        assert created.status in (200, 202), created
        session_id = created.json["id"]

        def ready() -> JsonObject | None:
            answer = self.call("GET", f"/stream/{session_id}")
            assert answer.status in (200, 202), answer
            return answer.json if answer.status == 200 else None

        return eventually(ready, within_s=30, what="the session's readiness")

    def route(self, session: JsonObject) -> RelayedRoute:
        routes = session["routes"]
        assert isinstance(routes, dict)
        ((host, entries),) = routes.items()
        assert isinstance(entries, list)
        ports = {(str(entry["description"]), str(entry["protocol"])): entry for entry in map(object_of, entries)}
        signaling, media = ports["signaling", "TCP"], ports["media", "UDP"]
        return RelayedRoute(
            host=host,
            signaling_port=port_of(signaling, "source_port"),
            media_port=port_of(media, "source_port"),
            destination_ports=frozenset(port_of(entry, "destination_port") for entry in (signaling, media)),
        )

    def listed(self) -> list[str]:
        items = self.call("GET", "/stream").json["items"]
        assert isinstance(items, list)
        return [str(item["id"]) for item in items if isinstance(item, dict)]

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def backends(self) -> list[Backend]:
        """Every running streaming backend, by what stands in the environment that the broker gave it."""
        found = []
        for process in self.descendants():
            environment = environment_of(process)
            if "PIXELFERRY_CONTROL_PORT" in environment:
                found.append(
                    Backend(
                        process=process,
                        host=environment["PIXELFERRY_BACKEND_HOST"],
                        ports=tuple(
                            int(environment[f"PIXELFERRY_{kind}_PORT"]) for kind in ("SIGNALING", "MEDIA", "CONTROL")
                        ),
                        control_port=int(environment["PIXELFERRY_CONTROL_PORT"]),
                        control_token=environment["PIXELFERRY_CONTROL_TOKEN"],
                    )
                )
        return found

    def relay_ports(self) -> set[tuple[str, int]]:
        """Those of the command itself but the API's: of relay and upstream sockets."""
        own = bound_ports(psutil.Process(self.process.pid))
        return {(host, port) for host, port in own if not self.url.endswith(f":{port}")}

    def open_descriptors(self) -> int:
        """Of the command itself; connections to the API are its clients' to close."""
        own = psutil.Process(self.process.pid)
        return own.num_fds() - sum(self.url.endswith(f":{held.laddr.port}") for held in own.net_connections("tcp"))

    def stop(self, number: signal.Signals) -> int:
        """SIGINT as Ctrl-C sends it, to the whole foreground group; another to the command alone: the exit status."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self.process.wait(timeout=20)

    def _printed_url(self) -> str | None:
        if self.process.poll() is not None:
            raise AssertionError(f"pixelferry ended with {self.process.returncode}:\n{self.log()}")
        printed = re.search(r"http://127\.0\.0\.1:\d+", self.log())
        return printed[0] if printed else None


@contextmanager
def running_ferry(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    stop_signal: signal.Signals = signal.SIGINT,
    command: Sequence[str] = (PIXELFERRY, "up"),
) -> Iterator[Ferry]:
    """Starts `pixelferry up` in an empty folder, ends it by that signal and asserts that nothing is left."""
    work, temporary = folder / "work", folder / "tmp"
    work.mkdir(parents=True)
    temporary.mkdir()
    log = folder / "pixelferry.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=work,
            env={**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            # As a shell does for a job: Ctrl-C of the terminal that runs the tests is not this one's.
            start_new_session=True,
        )
    try:
        ferry = Ferry(process, log)
        yield ferry
        if process.poll() is None:
            processes = ferry.descendants()
            assert ferry.stop(stop_signal) == 0, ferry.log()
            assert_nothing_left(processes, temporary)
        assert list(work.iterdir()) == [] and list(temporary.iterdir()) == []
        assert "Traceback" not in ferry.log(), ferry.log()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def assert_nothing_left(processes: Sequence[psutil.Process], temporary: Path) -> None:
    """Neither those processes, nor one that left the family: what the command starts inherits its TMPDIR.

    A port without a process that holds it cannot be.
    """
    assert not [process for process in processes if process.is_running()]
    assert not [process for process in psutil.process_iter() if environment_of(process).get("TMPDIR") == str(temporary)]


def environment_of(process: psutil.Process) -> Mapping[str, str]:
    """Empty of a process that has ended, or is another user's."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return process.environ()
    return {}
