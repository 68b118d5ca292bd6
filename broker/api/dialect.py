"""Which of the API's dialects an answer is written in: the shape of `routes`, and the paths as the caller sees them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from broker.identity.networks import Networks
from broker.settings import RoutesShape

DOCUMENTED_MOUNT = "/stream"
DEPLOYED_MOUNT = "/streaming/stream"
_DEPLOYED_PREFIX = "/streaming"
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Dialect:
    """`nested`: ports stand under `routes`; `empty_while_pending`: an empty `routes` is sent rather than none.

    `base` is the mount's path with what a proxy took off before it.
    """

    base: str
    nested: bool
    empty_while_pending: bool


class Dialects:
    """Tells the dialect of a request. `trusted_proxies` are networks whose forwarding headers are believed."""

    def __init__(self, shape: RoutesShape, trusted_proxies: Sequence[str]) -> None:
        self._shape = shape
        self._trusted = Networks(trusted_proxies)

    def of(self, request: web.Request, mount: str) -> Dialect:
        """The dialect for a request to a mount: by setting, else by the prefix a proxy took off, else by the mount."""
        prefix = self.prefix_of(request)
        deployed = mount == DEPLOYED_MOUNT or f"{prefix}/".startswith(f"{_DEPLOYED_PREFIX}/")
        nested = deployed if self._shape is RoutesShape.BY_MOUNT else self._shape is RoutesShape.NESTED
        return Dialect(prefix + mount, nested, empty_while_pending=deployed or nested)

    def prefix_of(self, request: web.Request) -> str:
        """What a trusted proxy took off before the path; nothing without one."""
        prefix = _prefix(request)
        return prefix if prefix and self._comes_from_proxy(request) else ""

    def _comes_from_proxy(self, request: web.Request) -> bool:
        return str(request.get_extra_info("peername", ("",))[0]) in self._trusted


def _prefix(request: web.Request) -> str:
    prefix = request.headers.get("X-Forwarded-Prefix", "").rstrip("/")
    if not prefix:
        original = request.headers.get("X-Original-URI", "").partition("?")[0]
        prefix = original.removesuffix(request.path) if original.endswith(request.path) else ""
    return prefix if _PREFIX.fullmatch(prefix) else ""
