"""Which HTTP requests are one viewer's: by the resource that an answer named (WHEP), else by who asks."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from signaling.core.candidates import ADDRESSES_OF_NOBODY, ip_address
from signaling.core.frames import SignalingEditor
from signaling.core.handshake import Head
from signaling.core.leaks import leaks
from signaling.core.media_path import MediaPort, TransportAddress, ViewerPath
from signaling.errors import TooManyViewers
from signaling.handover_state import HttpViewerSnapshot
from signaling.routes import Route

_HEARD_S = 30.0
_QUIET_S = 60.0
_SILENT_S = 8.0
_EXPIRE_S = 300.0
_MAX_KNOWN = 256
_NOWHERE = TransportAddress("", 0)


@dataclass(slots=True, eq=False)
class HttpViewer:
    """One viewer; its media path is opened with its first message."""

    id: str
    key: str
    client_host: str
    heard_at: float
    offers: bool = False
    """Came with an offer of its own (WHEP), which was not accepted yet."""
    requests: int = 0
    resource: str | None = None
    path: ViewerPath | None = None
    editor: SignalingEditor | None = None


class HttpViewers:
    """The viewers of one route that signal over HTTP.

    A viewer ends with the DELETE of its resource, five minutes after its last request and its last media, or when
    another needs its place: as soon as its media has stopped, or after a quiet minute where none ever came.
    """

    def __init__(self, route: Route, media: MediaPort, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._route = route
        self._media = media
        self._clock = clock
        self._viewers: dict[str, HttpViewer] = {}
        backend = ip_address(route.backend.host)
        self._hidden = set() if backend is None or str(backend) in ADDRESSES_OF_NOBODY else {backend}

    @property
    def present(self) -> int:
        """Viewers with a media path and a request within the last half minute, or one that is being answered."""
        since = self._clock() - _HEARD_S
        return sum(
            viewer.path is not None and (viewer.requests > 0 or viewer.heard_at > since) for viewer in self._all()
        )

    @contextmanager
    def use(self, head: Head, client_host: str) -> Iterator[HttpViewer]:
        """The viewer that a request belongs to, kept while it is answered."""
        viewer = self._find(head, client_host)
        viewer.requests += 1
        viewer.heard_at = self._clock()
        try:
            yield viewer
        finally:
            viewer.requests -= 1
            viewer.heard_at = self._clock()
            if viewer.offers:
                self._end(viewer)

    def editor(self, viewer: HttpViewer) -> SignalingEditor:
        """The viewer's editor; its media path is opened if need be. Raises TooManyViewers."""
        if viewer.editor is None:
            try:
                viewer.path = self._media.open_viewer(viewer.id, viewer.client_host)
            except TooManyViewers:
                if not self._end_quietest():
                    raise
                viewer.path = self._media.open_viewer(viewer.id, viewer.client_host)
            viewer.editor = SignalingEditor(viewer.path, self._route.backend.host)
            self._viewers[viewer.key] = viewer
        return viewer.editor

    def leaks_to_client(self, viewer: HttpViewer, text: str) -> bool:
        """Whether a header or bytes name an address that the client must not learn."""
        if viewer.editor is None:
            return leaks(text, _NOWHERE, self._hidden)
        return viewer.editor.leaks_to_client(text)

    def note(self, viewer: HttpViewer, head: Head, status: int, location: str | None) -> None:
        """What an answer says of its viewer: the resource it made, or that it is gone."""
        if head.method == "DELETE" and status < 300:
            self._end(viewer)
        elif status < 300:
            viewer.offers = False
        if status == 201 and location and viewer.path is not None:
            viewer.resource = urlsplit(location).path.rstrip("/").rpartition("/")[2] or None

    def sweep(self) -> None:
        """End viewers of which nothing was heard for long."""
        since = self._clock() - _EXPIRE_S
        for viewer in self._all():
            if not viewer.requests and viewer.heard_at < since and not _is_heard(viewer, _EXPIRE_S):
                self._end(viewer)

    def close(self) -> None:
        """End all. Idempotent."""
        for viewer in self._all():
            self._end(viewer)

    def snapshot(self) -> tuple[HttpViewerSnapshot, ...]:
        """The viewers that have a media path. A request that is on its way does not go along."""
        now = self._clock()
        return tuple(
            HttpViewerSnapshot(
                viewer.id,
                viewer.key,
                viewer.client_host,
                0.0 if viewer.requests else now - viewer.heard_at,
                viewer.resource,
                viewer.editor.snapshot(),
            )
            for viewer in self._all()
            if viewer.editor is not None and not viewer.offers
        )

    def restore(self, told: Iterable[HttpViewerSnapshot], paths: Mapping[str, ViewerPath]) -> None:
        """Know a predecessor's viewers; raises ValueError for one without a media path."""
        for one in told:
            path = paths.get(one.id)
            if path is None:
                raise ValueError(f"an HTTP viewer has no media path: {one.id}")
            viewer = HttpViewer(one.id, one.key, one.client_host, self._clock() - one.silent_s)
            viewer.resource, viewer.path = one.resource, path
            viewer.editor = SignalingEditor(path, self._route.backend.host)
            viewer.editor.restore(one.editor)
            self._viewers[viewer.key] = viewer

    def _all(self) -> list[HttpViewer]:
        return list(self._viewers.values())

    def _find(self, head: Head, client_host: str) -> HttpViewer:
        segments = head.target.partition("?")[0].split("/")
        for viewer in self._all():
            if viewer.resource is not None and viewer.resource in segments:
                return viewer
        viewer_id = secrets.token_hex(8)
        if head.method == "POST" and (head.get("content-type") or "").lower().startswith("application/sdp"):
            # Each offer to WHEP makes a resource of its own.
            return HttpViewer(viewer_id, viewer_id, client_host, self._clock(), offers=True)
        key = f"{client_host} {head.get('user-agent') or ''}"[:_MAX_KNOWN]
        if key in self._viewers:
            return self._viewers[key]
        return HttpViewer(viewer_id, key, client_host, self._clock())

    def _end_quietest(self) -> bool:
        now = self._clock()
        quiet = [viewer for viewer in self._all() if not viewer.requests and self._may_yield(viewer, now)]
        if not quiet:
            return False
        self._end(min(quiet, key=lambda viewer: viewer.heard_at))
        return True

    def _may_yield(self, viewer: HttpViewer, now: float) -> bool:
        """A page that was closed or reloaded says no goodbye: its media just stops."""
        if viewer.path is None or viewer.path.silent_s is None:
            return viewer.heard_at < now - _QUIET_S
        return not _is_heard(viewer, _SILENT_S) and viewer.heard_at < now - _SILENT_S

    def _end(self, viewer: HttpViewer) -> None:
        self._viewers.pop(viewer.key, None)
        if viewer.path is not None:
            viewer.path.close()


def _is_heard(viewer: HttpViewer, within_s: float) -> bool:
    """Whether its client sent media of late."""
    silent_s = viewer.path.silent_s if viewer.path is not None else None
    return silent_s is not None and silent_s <= within_s
