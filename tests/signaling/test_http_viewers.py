"""How long a viewer that signals over HTTP lives: as long as its media, though it says nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from signaling.core.handshake import Head
from signaling.errors import TooManyViewers
from signaling.http_viewers import HttpViewer, HttpViewers
from signaling.routes import Endpoint, Route
from tests.signaling.paths import NotedMedia, NotedPath

ROUTE = Route("s1", "relay", 31000, 31001, Endpoint("127.0.0.2", 47000, 47001), "secret")
OFFER = Head("POST", "/whep", "HTTP/1.1", (("Content-Type", "application/sdp"),))


class Rig:
    """Viewers under a clock that the test moves, with place for two."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.media = NotedMedia(limit=2)
        self.viewers = HttpViewers(ROUTE, self.media, clock=lambda: self.now)

    def come(self, *, status: int = 201) -> NotedPath:
        """A viewer offers over WHEP, and the backend answers with this status; its media path."""
        with self.viewers.use(OFFER, "127.0.0.1") as viewer:
            self.viewers.editor(viewer)
            self.viewers.note(viewer, OFFER, status, None)
        return self.path(viewer)

    def path(self, viewer: HttpViewer) -> NotedPath:
        return self.media.paths[viewer.id]


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.viewers.close()
    assert all(path.closed for path in rig.media.paths.values())


def test_quiet_viewers_keep_their_places_while_media_flows(rig: Rig) -> None:
    paths = [rig.come(), rig.come()]
    rig.now += 4000
    for path in paths:
        path.silent_s = 2.5
    rig.viewers.sweep()
    with pytest.raises(TooManyViewers):
        rig.come()
    assert not any(path.closed for path in paths)


def test_viewer_whose_media_stopped_makes_room(rig: Rig) -> None:
    playing, gone = rig.come(), rig.come()
    rig.now += 10
    playing.silent_s, gone.silent_s = 1, 9
    assert not rig.come().closed
    assert gone.closed
    assert not playing.closed


def test_refused_offers_take_no_place(rig: Rig) -> None:
    for _ in range(9):  # a player that asks again until the stream is there
        assert rig.come(status=404).closed
    with pytest.raises(ConnectionError), rig.viewers.use(OFFER, "127.0.0.1") as viewer:
        rig.viewers.editor(viewer)
        raise ConnectionError
    assert rig.path(viewer).closed
    assert not rig.come().closed


def test_viewer_that_negotiates_keeps_its_place_for_a_minute(rig: Rig) -> None:
    paths = [rig.come(), rig.come()]
    paths[1].silent_s = 9  # it asks anew after its media stopped
    rig.now += 5
    with pytest.raises(TooManyViewers):
        rig.come()
    paths[1].silent_s = 1
    rig.now += 56
    assert not rig.come().closed
    assert [path.closed for path in paths] == [True, False]


def test_viewer_of_which_nothing_is_heard_ends(rig: Rig) -> None:
    silent, never = rig.come(), rig.come()
    rig.now += 301
    silent.silent_s = 299
    rig.viewers.sweep()
    assert [silent.closed, never.closed] == [False, True]
    silent.silent_s = 301
    rig.viewers.sweep()
    assert silent.closed
