"""What a query asks for, read from the wire: names may come several times."""

from __future__ import annotations

from urllib.parse import parse_qsl

from aiohttp import web

from broker.errors import Invalid, Problem

_MOST_PARAMETERS = 200


class Query:
    """A request's query. Raises Invalid for one that cannot be read."""

    def __init__(self, request: web.Request) -> None:
        try:
            self._pairs = parse_qsl(
                request.raw_path.partition("?")[2],
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MOST_PARAMETERS,
            )
            "".join(value for pair in self._pairs for value in pair).encode()
        except ValueError as error:
            text = f"should be UTF-8, escaped, and at most {_MOST_PARAMETERS} parameters"
            raise Invalid((Problem(("query",), text, "string_unicode"),)) from error

    def all(self, name: str) -> list[str]:
        """All values of a parameter that say something."""
        return [value for key, value in self._pairs if key == name and value]

    def one(self, name: str) -> str | None:
        """The parameter's value; None where it says nothing. Raises Invalid where there are several."""
        values = self.all(name)
        if len(values) > 1:
            raise Invalid((Problem(("query", name), "should be given once", "multiple_values"),))
        return values[0] if values else None
