"""Fixtures of the whole path: the real command line, a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.absence import absent
from tests.system.browser import Chromium, chromium_path, running_chromium
from tests.system.ferry import Ferry, running_ferry


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder is the whole path: marked so, and given the time that real processes take."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(90))


@pytest.fixture
def ferry(tmp_path: Path) -> Iterator[Ferry]:
    with running_ferry(tmp_path) as running:
        yield running


@pytest.fixture
def chromium() -> Iterator[Chromium]:
    if chromium_path() is None:
        absent("Chromium")
    with running_chromium() as browser:
        yield browser
