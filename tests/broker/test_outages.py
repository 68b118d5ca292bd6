from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from broker.errors import StoreUnavailable
from broker.outages import pause_s, through_outages
from signaling.errors import TableUnavailable

pytestmark = pytest.mark.looptime


def test_pauses_grow_up_to_a_bound() -> None:
    pauses = [pause_s(failures, most_s=1.0) for failures in range(200)]
    assert pauses == sorted(pauses) and pauses[0] == 0.1 and pauses[-1] == 1.0


async def test_what_is_followed_is_followed_anew_until_another_error_comes() -> None:
    errors: list[Exception] = [StoreUnavailable(), TableUnavailable(), ValueError("trouble")]

    async def follow() -> None:
        await asyncio.sleep(0.01)
        raise errors.pop(0)

    with pytest.raises(ValueError, match="trouble"):
        await through_outages(follow)


async def test_after_a_time_without_trouble_pauses_begin_small() -> None:
    begun: list[float] = []
    loop = asyncio.get_running_loop()

    async def follow() -> None:
        begun.append(loop.time())
        await asyncio.sleep(10 if len(begun) == 8 else 0)
        if len(begun) == 10:
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        await through_outages(follow)
    gaps = [later - earlier for earlier, later in pairwise(begun)]
    assert gaps[6] == pytest.approx(1.0) and gaps[7] == pytest.approx(10.2)
