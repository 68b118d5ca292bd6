"""What a node is told on its command line; a wrong value names itself and the mend."""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

TOKEN_VARIABLE = "PIXELFERRY_NODE_TOKEN"  # noqa: S105
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_LABEL = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?)=([A-Za-z0-9._/:@+-]{0,63})", re.ASCII)
_ZONE = re.compile(r"[A-Za-z0-9._-]{0,63}", re.ASCII)
_PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})", re.ASCII)
_GPU = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_PORTS_EACH = 3
MOST_SLOTS = 64


class BadNode(ValueError):
    """An option does not fit; the text names it and the mend."""


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What to run, how often, and with whom to register it. `gpus` are shared out among the slots in turn."""

    brokers: tuple[str, ...]
    name: str
    token: str = field(repr=False)
    command: tuple[str, ...]
    host: str
    slots: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)
    zone: str = ""
    ports: tuple[int, int] = (47000, 47999)
    gpus: tuple[str, ...] = ()
    drain_s: float = 30.0
    ca_file: Path | None = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what a node needs to know."""
    add = parser.add_argument_group("registering with a broker (docs/nodes.md)").add_argument
    add("--register", metavar="URL", action="append", help="address of the broker's API; of several, any one is taken")
    add("--node", metavar="NAME", help="name of this machine as a node (default: its host name)")
    add("--token-file", metavar="FILE", help=f"file with the node's token (or environment: {TOKEN_VARIABLE})")
    add("--slots", metavar="N", default="1", help="so many backends at once (default: 1)")
    add("--labels", metavar="NAME=VALUE,…", action="append", help="what profiles choose this node by")
    add("--zone", default="", help="where it is; relays of the same zone are preferred")
    add("--host", metavar="ADDRESS", help="address on which brokers and relays reach it (default: towards the broker)")
    add("--ports", metavar="LOW-HIGH", default="47000-47999", help="ports of its backends (default: 47000-47999)")
    add(
        "--gpus", metavar="0,1,…", default="", help="GPUs that its slots take in turn, as CUDA_VISIBLE_DEVICES has them"
    )
    add("--drain-s", metavar="S", default="30", help="how long sessions may go on after the first signal (default: 30)")
    add("--ca-file", metavar="FILE", help="certificates (PEM) that the broker's must descend from")


def options_of(parsed: argparse.Namespace, command: Sequence[str], environment: Mapping[str, str]) -> NodeOptions:
    """The options, checked. Raises BadNode."""
    brokers = tuple(_broker(url) for url in parsed.register)
    application = parsed.application
    labels = {"application": application} if application else {}
    for text in parsed.labels or ():
        labels |= dict(_label(part) for part in text.split(",") if part)
    slots, ports = _whole("--slots", parsed.slots, 1, MOST_SLOTS), _ports(parsed.ports)
    if ports[1] - ports[0] + 1 < slots * _PORTS_EACH:
        raise BadNode(f"--ports {parsed.ports} has room for fewer than {slots} backends: each needs three")
    ca_file = Path(parsed.ca_file) if parsed.ca_file else None
    if ca_file is not None and not ca_file.is_file():
        raise BadNode(f"--ca-file: there is no file {ca_file}: name one")
    return NodeOptions(
        brokers=brokers,
        name=_matching("--node", parsed.node or socket.gethostname(), _NAME, "a name such as gpu-1"),
        token=_token(parsed.token_file, environment),
        command=tuple(command) or (sys.executable, "-m", "streamer", application),
        host=_host(parsed.host) if parsed.host else _towards(brokers[0]),
        slots=slots,
        labels=labels,
        zone=_matching("--zone", parsed.zone, _ZONE, "letters, digits, '.', '_' and '-'"),
        ports=ports,
        gpus=tuple(_matching("--gpus", gpu.strip(), _GPU, "such as 0,1") for gpu in parsed.gpus.split(",") if gpu),
        drain_s=float(_whole("--drain-s", parsed.drain_s, 0, 86_400)),
        ca_file=ca_file,
    )


def _broker(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise BadNode(f"--register {url!r} is no address of a broker: write one such as https://ferry.example.com")
    return url.rstrip("/")


def _token(file: str | None, environment: Mapping[str, str]) -> str:
    if file is not None:
        try:
            token = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadNode(f"--token-file {file} cannot be read ({error})") from error
    else:
        token = environment.get(TOKEN_VARIABLE, "").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise BadNode(
            f"the node's token is needed: `pixelferry key new NAME --role node` makes one; name its file by "
            f"--token-file, or set {TOKEN_VARIABLE}"
        )
    return token


def _label(text: str) -> tuple[str, str]:
    match = _LABEL.fullmatch(text)
    if match is None:
        raise BadNode(f"--labels {text!r} is no label: write name=value, such as gpu=l40s")
    return match[1], match[2]


def _matching(option: str, value: str, pattern: re.Pattern[str], example: str) -> str:
    if pattern.fullmatch(value) is None:
        raise BadNode(f"{option} {value!r} does not fit: write {example}")
    return value


def _whole(option: str, value: str, least: int, most: int) -> int:
    if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
        raise BadNode(f"{option} must be a whole number from {least} to {most}, not {value!r}")
    return int(value)


def _ports(value: str) -> tuple[int, int]:
    match = _PORTS.fullmatch(value)
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1024 <= low < high <= 65535:
        raise BadNode(f"--ports {value!r} is no range of ports from 1024 on: write one such as 47000-47999")
    return low, high


def _host(value: str) -> str:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise BadNode(f"--host {value!r} is no IP address: write one of this machine's") from None
    if address.is_unspecified:
        raise BadNode("--host must be one address of this machine, not all of them: brokers and relays are told it")
    return str(address)


def _towards(broker: str) -> str:
    """The address from which this machine reaches the broker. Raises BadNode."""
    parts = urlsplit(broker)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        for family, kind, _, _, address in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_DGRAM):
            with socket.socket(family, kind) as probe:
                probe.connect(address)  # sends nothing
                return str(probe.getsockname()[0])
    except OSError as error:
        raise BadNode(f"--register {broker}: the way there is not found ({error}); name --host yourself") from error
    raise BadNode(f"--register {broker}: the way there is not found; name --host yourself")


def usage_environment() -> Mapping[str, str]:
    """What backends inherit: all but the node's own secret."""
    return {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
