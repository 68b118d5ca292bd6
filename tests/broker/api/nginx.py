"""A real nginx with a configuration that the project ships, its ports made those of the test."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.absence import absent

SHIPPED = Path(__file__).parents[3] / "deploy" / "gateway"

_USER = "user root;" if os.geteuid() == 0 else ""
"""The worker of a root's nginx is nobody, who may write nowhere in a test's folder."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running_nginx(name: str, folder: Path, *, broker_port: int, auth_port: int = 9) -> AsyncIterator[int]:
    """nginx before the broker, until left; its port."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        absent("nginx")
        raise AssertionError
    port, file = free_port(), folder / name
    text = (SHIPPED / name).read_text()
    for shipped, here in (
        ("listen 8081;", f"listen 127.0.0.1:{port};"),
        ("127.0.0.1:8080", f"127.0.0.1:{broker_port}"),
        ("127.0.0.1:4180", f"127.0.0.1:{auth_port}"),
        ("worker_processes auto;", f"worker_processes 1; daemon off; {_USER}"),
        (
            "    access_log off;",
            "    access_log off; client_body_temp_path body; proxy_temp_path proxy; "
            "fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;",
        ),
    ):
        assert shipped in text or "4180" in shipped, shipped
        text = text.replace(shipped, here)
    file.write_text(text)
    process = await asyncio.create_subprocess_exec(
        program, "-p", str(folder), "-c", str(file), "-e", "stderr", stderr=asyncio.subprocess.PIPE
    )
    try:
        await until_open(port, process)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def until_open(port: int, process: asyncio.subprocess.Process) -> None:
    for _ in range(500):
        if process.returncode is not None:
            assert process.stderr is not None
            pytest.fail((await process.stderr.read()).decode())
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            await writer.wait_closed()
            return
    pytest.fail("nginx never listened")
