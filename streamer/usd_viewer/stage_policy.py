"""Which stages may be opened: everything lies, symlinks resolved, inside one folder. Touches the file system only."""

import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

STAGE_SUFFIXES = frozenset({".usd", ".usda", ".usdc", ".usdz"})
MAX_URI_CHARACTERS = 1024
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:")


class StageRefused(Exception):
    """A stage that must not, or cannot, be opened. Its text is for the viewer and names no folder of the machine.

    Attributes:
        reason: what is wrong, and where it helps, the mend.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def is_remote(asset_path: str) -> bool:
    """True where a path begins with a URI scheme (`http:`, `file:`, `omniverse:`)."""
    return _SCHEME.match(asset_path) is not None


@dataclass(frozen=True, slots=True)
class StagePolicy:
    """Admits what lies under `root`, an absolute path with its symlinks resolved.

    Args:
        only: nothing but this file of it, as for a stage from the web, which has nothing beside it.
    """

    root: Path
    only: Path | None = None

    @classmethod
    def for_file(cls, file: Path) -> "StagePolicy":
        """The policy of a single file."""
        resolved = file.resolve()
        return cls(resolved.parent, resolved)

    @classmethod
    def under(cls, root: Path) -> "StagePolicy":
        """The policy of a folder; StageRefused where there is no such folder."""
        try:
            resolved = root.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise StageRefused("the folder of stages does not exist; PIXELFERRY_USD_ROOT names it") from error
        if not resolved.is_dir():
            raise StageRefused("the folder of stages is not a folder; PIXELFERRY_USD_ROOT names it")
        return cls(resolved)

    def stage(self, uri: str) -> Path:
        """The file that a caller's `usd_stage_uri` names; StageRefused for whatever is not a stage under the root."""
        shown = shorten(uri)
        _check_form(uri, shown)
        path = self.inside(self.root / uri, shown)
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise StageRefused(f"there is no stage '{shown}'") from error
        if not stat.S_ISREG(mode):
            raise StageRefused(f"'{shown}' is not a file")
        return path

    def inside(self, path: Path, shown: str) -> Path:
        """`path` with its symlinks resolved, whether or not it exists; StageRefused where it leaves the root."""
        try:
            resolved = path.resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise StageRefused(f"'{shown}' cannot be resolved") from error
        if not resolved.is_relative_to(self.root):
            raise StageRefused(f"'{shown}' lies outside the folder of stages")
        if self.only is not None and resolved != self.only:
            raise StageRefused(
                f"'{shown}' is a file of its own, and a stage from the web must be one: pack it as .usdz"
            )
        return resolved

    def relative(self, path: str) -> str:
        """`path` as a viewer may see it: relative to the root where it lies inside, else its last part."""
        prefix = f"{self.root}/"
        return path.removeprefix(prefix) if path.startswith(prefix) else PurePosixPath(path).name


def shorten(text: str, limit: int = 120) -> str:
    """`text` on one printable line of at most `limit` characters."""
    printable = "".join(character if character.isprintable() else "?" for character in text[: limit + 1])
    return printable if len(text) <= limit else printable[: limit - 1] + "…"


def _check_form(uri: str, shown: str) -> None:
    if not uri or len(uri) > MAX_URI_CHARACTERS or not uri.isprintable():
        raise StageRefused(f"'{shown}' is not a path of 1 to {MAX_URI_CHARACTERS} printable characters")
    if is_remote(uri):
        raise StageRefused(f"'{shown}' is a URI; only paths relative to the folder of stages are opened")
    if "\\" in uri or ":" in uri or "[" in uri:
        raise StageRefused(f"'{shown}' holds one of the characters \\ : [, which no stage path may")
    path = PurePosixPath(uri)
    if path.is_absolute() or uri.startswith("~") or ".." in path.parts:
        raise StageRefused(f"'{shown}' is not a path relative to the folder of stages")
    if path.suffix.lower() not in STAGE_SUFFIXES:
        raise StageRefused(f"'{shown}' does not end in .usd, .usda, .usdc or .usdz")
