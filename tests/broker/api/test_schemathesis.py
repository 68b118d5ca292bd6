"""schemathesis over both published documents: thousands of requests, right and wrong, and no answer outside them."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from broker.core.ledger import Claim
from broker.stores.memory import MemoryStore
from signaling.routes import PortRange
from tests.broker.api.serving import SaidProvider, Served, serving
from tests.broker.samples import CLOCKS, RELAY, make_profile

CONFIGURED = Path(__file__).with_name("schemathesis")
ROOT = Path(__file__).parents[3]
LEAST_CASES = 2000


async def run_schemathesis(served: Served, base: str, folder: Path, *, max_examples: int) -> str:
    """Run it in a process of its own until it is done; what it said."""
    command = (
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURED / "schemathesis.toml")),
        *("run", f"{served.url}{base}/openapi.json", "--checks", "all", "--suppress-health-check", "all"),
        *("--max-examples", str(max_examples), "--workers", "1"),
    )
    hooks = {"SCHEMATHESIS_HOOKS": "tests.broker.api.schemathesis.hooks", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **hooks},
        cwd=folder,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = output.decode(errors="replace")
    assert process.returncode == 0, said[-20_000:]
    return said


def cases(said: str) -> int:
    found = re.search(r"Test cases:\s+([\d,]+) generated", said)
    assert found is not None, said[-5_000:]
    return int(found[1].replace(",", ""))


def held(claims: Mapping[str, Claim]) -> set[str]:
    """Slots and ports that some session holds."""
    return {key for key, claim in claims.items() if claim.owner is not None and not key.startswith("idempotency/")}


async def try_out(base: str, folder: Path, *, max_examples: int) -> None:
    """All of one document's operations; then all that was made is ended, and nothing is held any more."""
    store, provider = MemoryStore(), SaidProvider()
    patient = replace(CLOCKS, placement_s=10_000, first_connection_s=10_000, extend_s=60.0, max_length_s=10_000)
    profile = replace(make_profile(clocks=patient, slots=2000), arguments={"stage": "(?s:.*)"})
    relay = replace(RELAY, ports=PortRange(20_000, 29_999), capacity=5000)
    async with serving(
        store=store, provider=provider, profile=profile, relay_info=relay, edit_applications=True, wait_max_s=0.5
    ) as served:
        said = await run_schemathesis(served, base, folder, max_examples=max_examples)
        assert cases(said) >= LEAST_CASES, said[-3_000:]
        if base == "/streaming":
            assert len(await store.sessions()) > 20, "hardly any request met what is there"
        for item in (await served.call("GET", "/stream?limit=100000")).items:
            assert (await served.call("DELETE", f"/stream/{item['id']}")).status == 204
        for _ in range(500):
            if not held(await store.claims()) and not provider.running:
                break
            await asyncio.sleep(0.01)
        assert held(await store.claims()) == set()
        assert provider.running == []


@pytest.mark.timeout(600)
async def test_no_request_is_answered_outside_the_documents_nor_leaves_anything_behind(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(try_out("/streaming", tmp_path, max_examples=310))
        group.create_task(try_out("/applications", tmp_path, max_examples=150))
