"""A script on @aws-sdk/client-nimble, run by node."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.absence import absent
from tests.broker.api.nimble.clients import STUDIO
from tests.broker.api.serving import Served

ROOT = Path(__file__).parents[4]


@pytest.mark.timeout(90)
async def test_a_whole_life_by_the_javascript_sdk(served: Served) -> None:
    node = shutil.which("node")
    if node is None or not (ROOT / "node_modules/@aws-sdk/client-nimble").is_dir():
        absent("@aws-sdk/client-nimble")
    script = str(ROOT / "tests/web/nimble-sdk.mjs")
    process = await asyncio.create_subprocess_exec(
        str(node), script, served.url, STUDIO, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(80):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, output) == (0, b"done\n"), output.decode()
