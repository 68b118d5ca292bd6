"""The command lines of docs/applications.md, run one after another against a broker; each says what the page shows."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tests.broker.api.serving import serving

PAGE = Path(__file__).parents[3] / "docs" / "applications.md"


def commands() -> list[tuple[str, str]]:
    """Each command line with the output below it."""
    text = "".join(re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL))
    return [(match[1], match[2]) for match in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)]


async def test_every_command_line_says_what_the_page_shows() -> None:
    shown = commands()
    assert len(shown) >= 8
    async with serving(edit_applications=True) as served:
        for command, output in shown:
            line = command.replace("http://127.0.0.1:8080", served.url)
            process = await asyncio.create_subprocess_shell(line, stdout=asyncio.subprocess.PIPE)
            said, _ = await process.communicate()
            assert said.decode().rstrip("\n") == output.rstrip("\n"), command
