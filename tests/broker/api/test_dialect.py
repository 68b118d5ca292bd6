from __future__ import annotations

import pytest

from broker.settings import RoutesShape
from tests.broker.api.serving import JsonObject, serving

BODY = {"id": "app", "profile": "default"}


def is_nested(stream: JsonObject) -> bool:
    routes = stream["routes"]
    assert isinstance(routes, dict)
    return isinstance(next(iter(routes.values())), dict)


@pytest.mark.parametrize("mount", ["/stream", "/streaming/stream"])
@pytest.mark.parametrize("shape", [RoutesShape.NESTED, RoutesShape.FLAT])
async def test_the_setting_decides_the_shape_on_every_mount(shape: RoutesShape, mount: str) -> None:
    async with serving(routes_shape=shape) as served:
        assert is_nested((await served.start(mount)).json) == (shape is RoutesShape.NESTED)


@pytest.mark.parametrize(
    ("headers", "base", "nested"),
    [
        ({"X_Forwarded_Prefix": "/streaming"}, "/streaming/stream", True),
        ({"X_Forwarded_Prefix": "/streaming/"}, "/streaming/stream", True),
        ({"X_Original_URI": "/streaming/stream?limit=1"}, "/streaming/stream", True),
        ({"X_Original_URI": "/stream"}, "/stream", False),
        ({"X_Forwarded_Prefix": "/streamings"}, "/streamings/stream", False),
        ({"X_Forwarded_Prefix": "/a/b"}, "/a/b/stream", False),
        ({"X_Forwarded_Prefix": "//evil.example"}, "/stream", False),
        ({"X_Forwarded_Prefix": "https://evil.example"}, "/stream", False),
    ],
)
async def test_a_trusted_proxy_tells_the_prefix_that_it_took_off(
    headers: dict[str, str], base: str, nested: bool
) -> None:
    async with serving(trusted_proxies=("127.0.0.0/8",)) as served:
        ready = await served.start("/stream", **headers)
        assert is_nested(ready.json) == nested
        served.provider.hold = True
        pending = await served.call("POST", "/stream", None, b'{"id": "app", "profile": "default"}', **headers)
        assert pending.headers["Location"] == f"{base}/{pending.json['id']}"
        assert pending.json.get("routes") == ({} if nested else None)


async def test_nobody_else_is_believed() -> None:
    async with serving(trusted_proxies=("10.0.0.0/8",)) as served:
        assert not is_nested((await served.start("/stream", X_Forwarded_Prefix="/streaming")).json)
