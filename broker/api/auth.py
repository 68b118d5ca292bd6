"""Who asks: the principal of a request. Identity is off, so everybody is the same one."""

from __future__ import annotations

from aiohttp import web

from broker.core.principal import Principal, nobody


def principal_of(request: web.Request) -> Principal:
    """The principal in whose name this request is served."""
    return nobody(str(request.get_extra_info("peername", ("",))[0]))
