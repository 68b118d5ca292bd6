"""A TOML file that lists secrets' digests by name, followed while the broker runs: a line taken out revokes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from broker.configuration import ConfigurationError, dotted, first_problem, read_toml
from broker.identity_settings import KeyName

logger = logging.getLogger(__name__)

LOOK_S = 2.0

Entry = TypeVar("Entry", bound=BaseModel)


class _Listed(BaseModel, Generic[Entry]):
    model_config = ConfigDict(frozen=True, extra="forbid")

    entries: dict[KeyName, Entry] = Field(min_length=1)


def read_listed(path: Path, kind: type[Entry]) -> dict[str, Entry]:
    """A file's entries by name. Raises ConfigurationError naming the one that is wrong."""
    listed = _Listed[kind]  # type: ignore[valid-type]
    try:
        return dict(listed.model_validate({"entries": read_toml(path)}).entries)
    except ValidationError as error:
        loc, reason = first_problem(error, listed)
        raise ConfigurationError(str(path), dotted(loc[1:]), reason) from error


class ListedFile(Generic[Entry]):
    """What the file lists now: nothing without one. `what` names the entries in the log.

    A file that is wrong or gone later leaves the entries as they were, and is told of in the log. Raises
    ConfigurationError when it is so at first.
    """

    def __init__(self, path: Path | None, kind: type[Entry], *, what: str, every_s: float = LOOK_S) -> None:
        self.entries: Mapping[str, Entry] = {} if path is None else read_listed(path, kind)
        self._path = path
        self._kind = kind
        self._what = what
        self._every_s = every_s
        self._seen = None if path is None else _state_of(path)

    async def run(self, changed: Callable[[], None]) -> None:
        """Read it anew when it was written, and call `changed` then; until cancelled."""
        if self._path is None:
            await asyncio.Event().wait()
            return
        while True:
            await asyncio.sleep(self._every_s)
            state = await asyncio.to_thread(_state_of, self._path)
            if state != self._seen:
                self._seen = state
                await self._read(self._path, changed)

    async def _read(self, path: Path, changed: Callable[[], None]) -> None:
        try:
            self.entries = await asyncio.to_thread(read_listed, path, self._kind)
        except ConfigurationError as error:
            logger.warning("%s stay as they were: %s", self._what, error)
        else:
            logger.info("%s were read anew: %d of %s", self._what, len(self.entries), path)
            changed()


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
