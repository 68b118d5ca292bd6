"""Readiness of foreign backends, which know no control API."""

from __future__ import annotations

import asyncio

import aiohttp

_TIMEOUT_S = 2.0


async def answers(http: aiohttp.ClientSession, url: str | None, host: str, port: int) -> bool:
    """Whether the health URL answers with success, or, where there is none, whether the TCP port accepts."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            if url is None:
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
                await writer.wait_closed()
                return True
            async with http.get(url, allow_redirects=False) as response:
                return response.status < 400
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return False
