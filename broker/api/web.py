"""The viewer page and the embeddable client: the front end's own files, and no others, from one folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from aiohttp import web

PAGE = "index.html"
OTHER_PAGES = ("operator.html",)
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".ico": "image/x-icon",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_NOT_SERVED = ("node_modules", "test", "tests", "types", "__pycache__")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "media-src 'self' blob: mediastream:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors {frame_ancestors}"
)
"""Signaling goes to whichever relay and port a session was given, so any WebSocket may be opened."""


class WebFiles:
    """The files below `root`, found once: what is served is a list, never a path that somebody sent."""

    def __init__(self, root: Path, *, frame_ancestors: str) -> None:
        self._root = root.resolve()
        self._policy = _POLICY.format(frame_ancestors=frame_ancestors)

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """As aiohttp wants them: each file at `/<path>` and at `/web/<path>`, pages also without their file's name."""
        routes: list[web.AbstractRouteDef] = []
        for file in self._files():
            name = file.relative_to(self._root).as_posix()
            paths = [f"/{name}", f"/web/{name}"] + (["/", "/web/"] if name == PAGE else [])
            paths += [f"/{file.stem}"] if name in OTHER_PAGES else []
            routes += [web.get(path, partial(self._serve, file)) for path in paths]
        return routes

    def _files(self) -> Iterator[Path]:
        for file in sorted(self._root.rglob("*")):
            parts = file.relative_to(self._root).parts
            if file.suffix not in _TYPES or not file.is_file() or file.name.endswith((".test.js", ".test.mjs")):
                continue
            if any(part in _NOT_SERVED or part.startswith((".", "_")) for part in parts):
                continue
            if file.resolve().is_relative_to(self._root):
                yield file

    async def _serve(self, file: Path, request: web.Request) -> web.StreamResponse:
        """With an ETag, and asked for anew each time: a new release is seen at once, an old one costs a 304."""
        framed = file.name not in OTHER_PAGES  # nobody is to be lured into ending sessions
        headers = {
            "Content-Type": _TYPES[file.suffix],
            "Cache-Control": "no-cache",
            "Content-Security-Policy": self._policy if framed else _POLICY.format(frame_ancestors="'none'"),
        }
        return web.FileResponse(file, headers=headers)
