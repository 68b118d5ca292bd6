from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from broker.api.web import WebFiles
from tests.broker.api.serving import Served

FILES = {
    "index.html": "<!doctype html>",
    "viewer.js": "export {}",
    "viewer.css": "",
    "icons/icon.svg": "<svg/>",
    "package.json": "{}",
    "tsconfig.json": "{}",
    "viewer.test.js": "",
    "tests/more.js": "",
    "node_modules/thing/index.js": "",
    "__init__.py": "",
    ".hidden.js": "",
    "_private.js": "",
}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    root, secret = tmp_path / "root", tmp_path / "secret.js"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    secret.write_text("hush")
    (root / "link.js").symlink_to(secret)
    application = web.Application()
    application.add_routes(WebFiles(root, frame_ancestors="'self' https://portal.example").routes())
    async with TestClient(TestServer(application)) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/index.html", "text/html"),
        ("/web/", "text/html"),
        ("/viewer.js", "text/javascript"),
        ("/web/viewer.js", "text/javascript"),
        ("/viewer.css", "text/css"),
        ("/icons/icon.svg", "image/svg+xml"),
    ],
)
async def test_the_front_end_is_served_with_its_types(
    client: TestClient[web.Request, web.Application], path: str, kind: str
) -> None:
    answer = await client.get(path)
    assert (answer.status, answer.content_type) == (200, kind)
    assert answer.headers["Cache-Control"] == "no-cache"
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy and "unsafe" not in policy
    assert "frame-ancestors 'self' https://portal.example" in policy
    again = await client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304


@pytest.mark.parametrize(
    "path",
    [
        "/package.json",
        "/tsconfig.json",
        "/viewer.test.js",
        "/tests/more.js",
        "/node_modules/thing/index.js",
        "/__init__.py",
        "/.hidden.js",
        "/_private.js",
        "/link.js",
        "/icons/",
        "/icons",
        "/../secret.js",
        "/web/..%2f..%2fsecret.js",
        "/%2e%2e/secret.js",
        "//secret.js",
    ],
)
async def test_nothing_else_is(client: TestClient[web.Request, web.Application], path: str) -> None:
    url = client.make_url("/").with_path(path, encoded=True)
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert answer.status == 404


async def test_the_page_that_ships_names_only_files_that_are_served(served: Served) -> None:
    page = await served.call("GET", "/")
    assert page.status == 200
    assert "ws:" in page.headers["Content-Security-Policy"]
    assert b"style=" not in page.body and b"onclick=" not in page.body
    for name in ("viewer.js", "viewer.css", "stream-client.js", "broker-client.js"):
        assert (await served.call("GET", f"/{name}")).status == 200
