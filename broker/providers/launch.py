"""What a backend of this machine is started with: its command and its environment."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from broker.providers.base import LaunchOrder
from broker.providers.ports import BackendPorts

_INHERITED = ("HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
_SECRETIVE = re.compile(r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|KEY)(?:_|$)", re.IGNORECASE)
_SECRET_LEAST_CHARS = 4
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def placeholders(order: LaunchOrder, host: str, ports: BackendPorts) -> dict[str, str]:
    """What `{name}` in a command, in an environment value or in a health URL stands for."""
    return {
        "application": order.application,
        "version": order.version,
        "profile": order.profile.id,
        "backend_host": host,
        "signaling_port": str(ports.signaling),
        "media_port": str(ports.media),
        "control_port": str(ports.control),
    }


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders replaced, in one pass; braces around other names stay as they are."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), template)


def environment_of(
    order: LaunchOrder, host: str, ports: BackendPorts, token: str, own: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment of a backend: a little of the broker's `own`, the profile's, and docs/protocol.md §4.

    The broker's own settings and secrets are not in it.
    """
    values = placeholders(order, host, ports)
    inherited = {name: value for name, value in own.items() if name in _INHERITED or name.startswith("LC_")}
    search = [str(Path(sys.executable).parent), own.get("PATH", os.defpath)]
    environment = inherited | {"PATH": os.pathsep.join(search)}
    environment |= {name: filled(value, values) for name, value in order.profile.environment.items()}
    environment |= {
        "PIXELFERRY_BACKEND_HOST": host,
        "PIXELFERRY_SIGNALING_PORT": str(ports.signaling),
        "PIXELFERRY_MEDIA_PORT": str(ports.media),
        "PIXELFERRY_CONTROL_PORT": str(ports.control),
        "PIXELFERRY_CONTROL_TOKEN": token,
    }
    if order.profile.protocol == "plain":
        for name, value in order.arguments.items():
            environment[f"PIXELFERRY_ARG_{name.upper().replace('-', '_')}"] = value
    return environment


def secrets_in(environment: Mapping[str, str]) -> list[str]:
    """Values that no log and no message may show, as the names of their variables say; line by line."""
    values = (value for name, value in environment.items() if _SECRETIVE.search(name))
    return [line for value in values for line in value.splitlines() if len(line) >= _SECRET_LEAST_CHARS]
