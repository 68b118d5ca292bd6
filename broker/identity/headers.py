"""A request's headers, as far as identity reads them."""

from __future__ import annotations

from typing import Protocol


class Headers(Protocol):
    """Names count whatever their case; one may come several times."""

    def getall(self, key: str, default: list[str]) -> list[str]:
        """All values of a header."""
