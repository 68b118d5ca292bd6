"""Latency of the API: POST, GET and DELETE, one after another, against a `pixelferry up` of its own."""

import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import percentile
from tests.system.ferry import Answer, Ferry, eventually, running_ferry

SESSIONS = 20
READS_PER_SESSION = 50


def timed(ferry: Ferry, method: str, path: str, body: object = None) -> tuple[float, Answer]:
    started = time.perf_counter()
    answer = ferry.call(method, path, body)
    return (time.perf_counter() - started) * 1000, answer


def await_readiness(ferry: Ferry, path: str) -> None:
    eventually(lambda: ferry.call("GET", path).status == 200, within_s=30, what="readiness")


def measure(ferry: Ferry) -> dict[str, list[float]]:
    """Milliseconds of each call, by method: the client's own cost is in them."""
    taken_ms: dict[str, list[float]] = defaultdict(list)
    for _ in range(SESSIONS):
        took_ms, created = timed(ferry, "POST", "/stream", {"id": "test-pattern", "profile": "default"})
        taken_ms["POST"].append(took_ms)
        path = f"/stream/{created.json['id']}"
        await_readiness(ferry, path)
        for _ in range(READS_PER_SESSION):
            took_ms, answer = timed(ferry, "GET", path)
            assert answer.status == 200, answer
            taken_ms["GET"].append(took_ms)
        took_ms, _ = timed(ferry, "DELETE", path)
        taken_ms["DELETE"].append(took_ms)
    return taken_ms


def main() -> None:
    with TemporaryDirectory() as folder, running_ferry(Path(folder, "ferry")) as ferry:
        for method, taken_ms in measure(ferry).items():
            p50, p99 = percentile(taken_ms, 50), percentile(taken_ms, 99)
            print(f"api      {method:6}  p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   of {len(taken_ms)}")


if __name__ == "__main__":
    main()
