"""How long viewers and callers are without: from a dead relay to a picture again, from a dead broker to a session.

On the services of deploy/compose.yaml, killed by SIGKILL, with the viewer page in a browser.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.system.browser import Chromium, Tab, running_chromium
from tests.system.compose import Stack, running_stack
from tests.system.ferry import eventually

ROUNDS = 5
# When each picture was shown, by the clock that this process has as well.
NOTE_FRAMES = """() => {
    const video = document.querySelector("video");
    globalThis.shownAt = [];
    const note = () => (globalThis.shownAt.push(Date.now()), video.requestVideoFrameCallback(note));
    video.requestVideoFrameCallback(note);
}"""
SHOWN = "() => globalThis.shownAt"


def picture_after(stack: Stack, tab: Tab, session_id: str) -> float:
    """Kill the session's relay; seconds until the first picture that came another way."""
    relay = stack.relay_of(stack.ready("broker-1", session_id))
    killed_at = time.time()
    stack.kill(relay.name)
    tab.page.wait_for_selector("#reconnecting:not([hidden])", state="attached", timeout=10_000)
    lost_at = time.time() * 1000
    tab.page.wait_for_selector("#state[data-state=connected]", timeout=60_000)

    def shown() -> list[float]:
        times: Sequence[float] = tab.page.evaluate(SHOWN)
        return [at for at in times if at > lost_at]

    seconds = eventually(shown, within_s=30, what="a picture again")[0] / 1000 - killed_at
    stack.restart(relay.name)
    return seconds


def session_after(stack: Stack, killed: str, other: str) -> tuple[float, float]:
    """Kill a broker; seconds until the other one took a session, and until that was ready."""
    killed_at = stack.kill(killed)

    def asked() -> str | None:
        answer = stack.call(other, "POST", "/stream", {"id": "test-pattern", "profile": "default"})
        return str(answer.json["id"]) if answer.status in (200, 202) else None

    session_id = eventually(asked, within_s=60, what="a session")
    taken_s = time.monotonic() - killed_at
    stack.ready(other, session_id)
    ready_s = time.monotonic() - killed_at
    stack.call(other, "DELETE", f"/stream/{session_id}")
    stack.restart(killed)
    return taken_s, ready_s


def tell(what: str, seconds: Sequence[float]) -> None:
    told = ", ".join(f"{one:.1f}" for one in seconds)
    print(f"recovery {what}: p50 {statistics.median(seconds):.1f} s, most {max(seconds):.1f} s ({told})", flush=True)


def measure(stack: Stack, chromium: Chromium) -> None:
    # Of two brokers killed in turn one is always the leader.
    turns = [("broker-1", "broker-2"), ("broker-2", "broker-1")]
    times = [session_after(stack, *turns[number % 2]) for number in range(ROUNDS + 1)]
    tell("dead broker to the next session that is taken", [taken for taken, _ in times])
    tell("dead broker to the next session that is ready", [ready for _, ready in times])
    session = stack.start_session("broker-1")
    tab = chromium.open(f"{stack.url('broker-2')}/#session={session['id']}&token={session['token']}")
    tab.page.wait_for_selector("body[data-view=live]", timeout=60_000)
    tab.page.evaluate(NOTE_FRAMES)
    tell("dead relay to a picture again", [picture_after(stack, tab, str(session["id"])) for _ in range(ROUNDS)])


def main() -> None:
    with TemporaryDirectory() as folder, running_stack(Path(folder)) as stack, running_chromium() as chromium:
        measure(stack, chromium)


if __name__ == "__main__":
    main()
