"""deploy/compose.yaml without containers: each service's command and environment, on an address of its own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from signaling.routes import Json
from tests.absence import absent
from tests.system.ferry import PIXELFERRY, Answer, JsonObject, call, eventually, object_of

DEPLOY = Path(__file__).parents[2] / "deploy"
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
# What one machine has to allow; and ends are waited for, so they are short.
_ONE_MACHINE: Mapping[str, Mapping[str, str]] = {
    "broker": {"PIXELFERRY_NODES__NETWORKS": "127.0.0.0/8", "PIXELFERRY_NODES__ALLOW_LOOPBACK": "true"},
    "relay": {"PIXELFERRY_RELAY__DRAIN_S": "1"},
}


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """As Compose fills in `${NAME}`, `${NAME:-default}` and `${NAME:?what to do}`; raises KeyError for the last."""

    def value(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        if given := variables.get(name):
            return given
        if operator == "-":
            return str(rest)
        raise KeyError(f"{name}: {rest or 'is not set'}")

    return _VARIABLE.sub(value, text)


def services_of(path: Path, variables: Mapping[str, str]) -> dict[str, JsonObject]:
    """The services of a compose file, with variables filled in."""
    document: Json = yaml.safe_load(interpolated(path.read_text(), variables))
    return {name: object_of(service) for name, service in object_of(object_of(document)["services"]).items()}


@dataclass
class Service:
    """One service: its process, while there is one."""

    name: str
    address: str
    command: list[str]
    environment: dict[str, str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start its command; what it says goes to a file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self, with_signal: signal.Signals = signal.SIGTERM, *, within_s: float = 45) -> int:
        """End it; returns its exit status."""
        assert self.process is not None
        self.process.send_signal(with_signal)
        try:
            return self.process.wait(within_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


@dataclass
class Stack:
    """All services. `key` is the API key that the script of secrets printed."""

    services: dict[str, Service]
    key: str
    ended: set[str] = field(default_factory=set)

    def url(self, broker: str) -> str:
        return f"http://{self.services[broker].address}:8080"

    def call(self, broker: str, method: str, path: str, body: object = None) -> Answer:
        return call(method, self.url(broker) + path, body, {"Authorization": f"Bearer {self.key}"})

    def start_session(self, broker: str) -> JsonObject:
        """A session of the test pattern, once it is ready."""
        created = self.call(broker, "POST", "/stream", {"id": "test-pattern", "profile": "default"})
        assert created.status in (200, 202), created
        return self.ready(broker, str(created.json["id"]))

    def ready(self, broker: str, session_id: str) -> JsonObject:
        def answer() -> JsonObject | None:
            given = self.call(broker, "GET", f"/stream/{session_id}")
            assert given.status in (200, 202), given
            return given.json if given.status == 200 else None

        return eventually(answer, within_s=30, what="the session's readiness")

    def relay_of(self, session: JsonObject) -> Service:
        """The relay on which the session's route is."""
        (host,) = object_of(session["routes"])
        return next(service for service in self.services.values() if service.address == host)

    def kill(self, name: str) -> float:
        """kill -9; returns when, by the monotonic clock."""
        at = time.monotonic()
        self.services[name].end(signal.SIGKILL)
        self.ended.add(name)
        return at

    def restart(self, name: str) -> None:
        """Start one that was killed; returns once all are up."""
        self.services[name].start()
        self.ended.discard(name)
        eventually(self.is_up, within_s=60, what=name)

    def is_up(self) -> bool:
        for service in self.services.values():
            assert service.process is not None and service.process.poll() is None, f"{service.name}: {service.log}"
        return all(self._answers(name) for name in self.services if name.startswith(("broker", "relay"))) and (
            "default" in self.call("broker-1", "GET", "/cfg/apps/test-pattern/versions/1.0.0/profiles").body.decode()
        )

    def _answers(self, name: str) -> bool:
        with suppress(OSError):
            return call("GET", f"http://{self.services[name].address}:8080/readyz").status == 200
        return False


def secrets(folder: Path) -> tuple[dict[str, str], str]:
    """What deploy/compose-secrets.sh makes: the variables, and the API key."""
    made = subprocess.run(
        [DEPLOY / "compose-secrets.sh", folder / "env"], check=True, stdout=subprocess.PIPE, text=True, timeout=20
    )
    lines = (folder / "env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines), made.stdout.split(": ")[1].strip()


@contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    """All services of deploy/compose.yaml, up; what still runs at the end is ended as by `docker compose down`."""
    if shutil.which("redis-server") is None:
        absent("redis-server")
    variables, key = secrets(folder)
    declared = services_of(DEPLOY / "compose.yaml", variables)
    addresses = {name: f"127.77.{os.getpid() % 250}.{number}" for number, name in enumerate(declared, 10)}
    (folder / "admission").write_text(variables["ADMISSION_SECRET"])
    paths = {
        "/run/secrets/admission": folder / "admission",
        "/etc/pixelferry/catalog.toml": DEPLOY / "compose-catalog.toml",
    }
    stack = Stack({name: _service(name, one, addresses, paths, folder / name) for name, one in declared.items()}, key)
    with ExitStack() as opened:
        for service in stack.services.values():
            service.start()
            opened.callback(_end, stack, service)
        eventually(stack.is_up, within_s=60, what="all services of the compose file")
        yield stack


def _end(stack: Stack, service: Service) -> None:
    if service.name not in stack.ended:
        status = service.end()
        assert status == 0, f"{service.name} ended with {status}: {service.log}"


def _service(
    name: str, declared: JsonObject, addresses: Mapping[str, str], paths: Mapping[str, Path], folder: Path
) -> Service:
    own = addresses[name]

    def placed(text: str) -> str:
        for path, real in paths.items():
            text = text.replace(path, str(real))
        for other, address in addresses.items():
            text = re.sub(rf"//{other}:", f"//{address}:", text)
        return text.replace("0.0.0.0", own).replace("127.0.0.1", own)

    words = [placed(word) for word in shlex.split(str(declared["command"]))]
    given = object_of(declared.get("environment", {}))
    environment = {key: placed(str(value)) for key, value in given.items()}
    if name == "redis":
        return Service(name, own, [*words, "--bind", own, "--dir", "."], {}, folder)
    if words[0] == "streamer":
        words += ["--host", own]
    environment |= _ONE_MACHINE.get(words[0], {})
    return Service(name, own, [PIXELFERRY, *words], environment, folder)
