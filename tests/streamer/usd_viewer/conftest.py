"""A renderer for all pictures of a module."""

from collections.abc import Iterator

import pytest

from streamer.usd_viewer.renderer import Renderer


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    """One for the whole module: making it takes longer than drawing."""
    made = Renderer()
    yield made
    made.close()
