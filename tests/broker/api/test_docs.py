"""Live documentation is this server's own, wherever a proxy puts it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from tests.broker.api.serving import Served, serving


@pytest.fixture
async def proxied() -> AsyncIterator[Served]:
    async with serving(trusted_proxies="127.0.0.1") as served:
        yield served


@pytest.mark.parametrize(
    ("base", "title"),
    [("/streaming", "Application Streaming API"), ("/applications", "Application &amp; Profile API")],
)
async def test_the_page_and_all_that_it_names_are_served(served: Served, base: str, title: str) -> None:
    page = await served.call("GET", f"{base}/docs")
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    text = page.body.decode()
    assert f"<title>{title}</title>" in text
    links = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(links) >= 5
    for link in links:
        answer = await served.call("GET", f"{base}/{link}")
        assert (answer.status, len(answer.body) > 50) == (200, True)


async def test_the_page_may_load_nothing_from_elsewhere_and_run_nothing_inline(served: Served) -> None:
    policy = (await served.call("GET", "/streaming/docs")).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy and "http" not in policy
    body = (await served.call("GET", "/streaming/docs")).body.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|style=", body)


@pytest.mark.parametrize("name", ["nope.js", "LICENSE", "page.html", "..%2fdocs.py", "%2e%2e", "VERSION"])
async def test_nothing_else_of_that_folder_is_served(served: Served, name: str) -> None:
    assert (await served.call("GET", f"/streaming/docs/{name}")).status == 404


async def test_paths_are_told_as_the_caller_reaches_them(proxied: Served) -> None:
    document = await proxied.call("GET", "/streaming/openapi.json", X_Forwarded_Prefix="/gpu")
    assert [server["url"] for server in document.json["servers"]] == ["/gpu/streaming", "/gpu"]  # type: ignore


@pytest.mark.parametrize("base", ["/streaming", "/applications"])
@pytest.mark.parametrize("before", ["", "/gpu"])
async def test_behind_a_proxy_that_takes_the_base_off_they_stand_at_the_root(
    proxied: Served, base: str, before: str
) -> None:
    document = await proxied.call("GET", "/openapi.json", X_Forwarded_Prefix=before + base)
    assert [server["url"] for server in document.json["servers"]] == [before + base]  # type: ignore
    assert (await proxied.call("GET", "/docs", X_Original_URI=f"{before}{base}/docs?x=1")).status == 200
    asset = await proxied.call("GET", "/docs/page.js", X_Forwarded_Prefix=before + base)
    assert asset.status == 200


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/docs/page.js"])
async def test_without_a_proxy_there_is_nothing_at_the_root(served: Served, path: str) -> None:
    assert (await served.call("GET", path)).status == 404
    assert (await served.call("GET", path, X_Forwarded_Prefix="/streaming")).status == 404
