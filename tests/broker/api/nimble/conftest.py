from collections.abc import AsyncIterator

import pytest

from tests.broker.api.nimble.clients import Caller
from tests.broker.api.serving import Served, serving


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as it:
        yield it


@pytest.fixture
def caller(served: Served) -> Caller:
    return Caller(served)
