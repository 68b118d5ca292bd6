from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.api.nimble.paths import Handler, Operation, Operations
from broker.errors import Invalid


def answering(name: str) -> Handler:
    async def handler(request: web.Request, names: Mapping[str, str]) -> web.Response:
        return web.Response(text=name)

    return handler


LIST, GET, STOP = answering("list"), answering("get"), answering("stop")
OPERATIONS = Operations(
    (
        Operation("GET", "/v/studios/{studio}/sessions", LIST),
        Operation("GET", "/v/studios/{studio}/sessions/{session}", GET),
        Operation("POST", "/v/studios/{studio}/sessions/{session}/stop", STOP),
    )
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@settings(deadline=None)
@given(NAMES, NAMES)
def test_each_segment_is_decoded_once_on_its_own(studio: str, session: str) -> None:
    path = f"/v/studios/{quote(studio, safe='')}/sessions/{quote(session, safe='')}"
    assert OPERATIONS.find("GET", path) == (GET, {"studio": studio, "session": session})


def test_an_escaped_slash_is_part_of_a_name_and_an_escaped_escape_stays() -> None:
    _, names = OPERATIONS.find("GET", "/v/studios/a%2Fb/sessions/%252F")
    assert names == {"studio": "a/b", "session": "%2F"}


@pytest.mark.parametrize("path", ["/v", "/v/studios/a/sessions/b/c", "v/studios/a/sessions", "/v%2Fstudios/a/sessions"])
def test_what_leads_nowhere_is_not_found(path: str) -> None:
    with pytest.raises(web.HTTPNotFound):
        OPERATIONS.find("GET", path)


def test_another_method_names_those_that_there_are() -> None:
    with pytest.raises(web.HTTPMethodNotAllowed) as refused:
        OPERATIONS.find("DELETE", "/v/studios/a/sessions/b/stop")
    assert refused.value.allowed_methods == {"POST"}


@pytest.mark.parametrize(
    "path",
    ["/v/studios//sessions", "/v/studios/a/sessions/", "/v/studios/%FF/sessions", "/v/studios/%ED%A0%80/sessions"],
)
def test_a_name_that_is_empty_or_no_text_is_refused(path: str) -> None:
    with pytest.raises(Invalid):
        OPERATIONS.find("GET", path)


@settings(deadline=None)
@given(st.sampled_from(["GET", "POST", "x"]), st.text(max_size=60))
def test_any_path_is_judged(method: str, path: str) -> None:
    for target in (path, f"/v/studios/{path}/sessions"):
        try:
            OPERATIONS.find(method, target)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed, Invalid):
            pass
