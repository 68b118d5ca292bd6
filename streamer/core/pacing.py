"""When a frame's packets leave: a large frame is spread, so that it does not overrun the queues on its way."""

from __future__ import annotations

from collections.abc import Sequence

BURST_PACKETS = 10
BURST_BYTES = 12_500
PACE = 2.5
"""Times the target bitrate, as WebRTC's own pacer has it."""

_MOST_OF_A_FRAME = 0.8
_MOST_WAIT_S = 0.25


def spread(sizes: Sequence[int], *, bps: int, fps: int) -> tuple[float, ...]:
    """Seconds after the first packet at which each packet of a frame may leave, for packets of so many bytes.

    A frame that is no larger than others are at this rate leaves at once, whole. What a larger one has above that is
    sent at `PACE` times the rate, in bursts, and within a frame time: a key frame must not hold up the next frame.
    """
    excess = sum(sizes) - max(BURST_BYTES, bps / 8 / fps)
    if excess <= 0:
        return (0.0,) * len(sizes)
    bursts = _bursts(sizes)
    duration = min(_MOST_OF_A_FRAME / fps, excess * 8 / (PACE * bps))
    last = max(1, bursts[-1])
    return tuple(duration * burst / last for burst in bursts)


def _bursts(sizes: Sequence[int]) -> list[int]:
    """The number of each packet's burst."""
    numbers: list[int] = []
    number = packets = filled = 0
    for size in sizes:
        if packets and (packets == BURST_PACKETS or filled + size > BURST_BYTES):
            number, packets, filled = number + 1, 0, 0
        numbers.append(number)
        packets, filled = packets + 1, filled + size
    return numbers


class ResendPace:
    """When packets that were lost go out again: a burst at once, more at `PACE` times the rate; too many not at all."""

    def __init__(self) -> None:
        self._free_at = 0.0

    def wait_s(self, *, size_bytes: int, bps: int, now: float) -> float | None:
        """How long from now the next one waits; None where that would be so long that it is of no use any more."""
        takes = size_bytes * 8 / (PACE * bps)
        free_at = max(self._free_at, now - (BURST_PACKETS - 1) * takes)
        wait = max(0.0, free_at - now)
        if wait > _MOST_WAIT_S:
            return None
        self._free_at = free_at + takes
        return wait
