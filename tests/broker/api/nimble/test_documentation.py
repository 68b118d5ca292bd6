"""The script in docs/nimble.md runs as it stands there."""

from __future__ import annotations

import asyncio
import re
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from broker.nimble_settings import AccessKeySettings, NimbleSettings
from tests.broker.api.serving import Served

PAGE = (Path(__file__).parents[4] / "docs/nimble.md").read_text()


async def test_the_documented_script_prints_an_address(
    served: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("botocore.waiter.time", SimpleNamespace(sleep=lambda _: time.sleep(0.05)))
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert "http://127.0.0.1:8080" in script

    def run() -> None:
        names: dict[str, object] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            exec(compile(script.replace("http://127.0.0.1:8080", served.url), "docs/nimble.md", "exec"), names)
        names["nimble"].close()  # type: ignore[attr-defined]

    await asyncio.to_thread(run)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "app_default App"
    assert re.fullmatch(rf"{re.escape(served.url)}/#session=[0-9a-f-]{{36}}&token=[A-Za-z0-9_.-]+", lines[-1])


@pytest.mark.parametrize("model", [NimbleSettings, AccessKeySettings])
def test_every_setting_is_documented(model: type[NimbleSettings | AccessKeySettings]) -> None:
    assert [name for name in model.model_fields if name not in PAGE] == []
