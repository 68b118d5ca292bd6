"""What an operation of the API is, told beside its handler; `broker.api.openapi` makes the published document of it.

    @described(Operation("renewToken", "Renew the admission token", path=SessionPath, body=(TokenRequest,),
                         replies={200: Reply("The token", TokenReply)}, errors=(403, 404, 422)))
    async def renew(self, request: web.Request) -> web.Response:
        \"\"\"What a user should know beyond the summary: it becomes the operation's description.\"\"\"

A handler without a description is served, but not published. Errors that every operation has are added to its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel

JSON = "application/json"
_ATTRIBUTE = "__operation__"

Handler = TypeVar("Handler", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: JSON of a model, text of a `media_type`, or nothing. `headers`, by name, are always there.

    `links` maps what can be asked next, by operation id, to the parameters for it (OpenAPI's runtime expressions).
    """

    description: str
    model: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str | None = None
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `id` is what generated clients call it, `tag` the heading that it stands under.

    Of several `body` models any one may be sent.

    `path`, `query` and `headers` are the models that the handler reads them with.
    """

    id: str
    summary: str
    replies: Mapping[int, Reply]
    tag: str
    errors: tuple[int, ...] = ()
    path: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    body: tuple[type[BaseModel], ...] = ()
    body_required: bool = True


def described(operation: Operation) -> Callable[[Handler], Handler]:
    """Describe a handler."""

    def describe(handler: Handler) -> Handler:
        setattr(handler, _ATTRIBUTE, operation)
        return handler

    return describe


def operation_of(handler: object) -> Operation | None:
    """What a handler, bound or not, was described as."""
    operation: Operation | None = getattr(handler, _ATTRIBUTE, None)
    return operation
