"""The whole backend over loopback, with a real peer as client."""

import asyncio
import contextlib
import gc
import logging
import socket as sockets
import time
from itertools import pairwise

import aioice.ice
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from streamer.delivery import Delivery
from streamer.input import PointerMove
from streamer.server import PortTaken, StreamServer
from streamer.settings import Bitrates, StreamSettings
from streamer.source import Frame, VideoFormat
from streamer.stamp import Stamp
from streamer.test_pattern import TestPattern
from streamer.viewer import Viewer
from tests.streamer.applications import Recorder
from tests.streamer.client import SESSION, Client, close_code, receive, signaling, watching
from tests.streamer.conftest import VIDEO, OpenServer
from tests.streamer.control import claim, status
from tests.streamer.waiting import until


def move(seq: int, x: float = 0.5) -> dict[str, object]:
    return {"type": "input", "event": "pointermove", "x": x, "y": 0.5, "buttons": 0, "modifiers": 0, "seq": seq}


def key(seq: int) -> dict[str, object]:
    return {"type": "input", "event": "keydown", "code": "KeyA", "key": "a", "modifiers": 0, "seq": seq}


async def test_frames_arrive_in_order_and_can_be_read(open_server: OpenServer) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    async with watching(server) as client:
        stamps = [await client.stamp() for _ in range(20)]
    numbers = [stamp.frame for stamp in stamps]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] - numbers[0] < 40
    assert [stamp.clock_ms for stamp in stamps] == sorted(stamp.clock_ms for stamp in stamps)


async def test_hello_and_answer_say_what_comes(open_server: OpenServer) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    async with signaling(server, path="/any/path?at=all") as socket:
        hello = await receive(socket)
        client = Client(socket)
        answer = await client.offer(video={"width": 160, "height": 90, "fps": 10})
        await client.take(answer)
        frame = await client.frame()
        await client.close()
    assert hello == {
        "type": "hello",
        "protocol": 1,
        "viewer": "viewer-1",
        "role": "controller",
        "video": {"width": 320, "height": 180, "fps": 30},
    }
    assert socket.subprotocol == f"x-nv-sessionid.{SESSION}"
    assert answer["video"] == {"width": 160, "height": 90, "fps": 10}
    assert frame.shape == (90, 160, 3)


async def test_answer_names_the_media_port_and_no_other_address(open_server: OpenServer) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    async with signaling(server) as socket:
        await receive(socket)
        client = Client(socket)
        answer = await client.offer()
        await client.close()
    candidates = {line for line in answer["sdp"].splitlines() if line.startswith("a=candidate")}
    assert [candidate.split()[2:] for candidate in candidates] == [
        ["udp", candidates.copy().pop().split()[3], "127.0.0.1", str(server.media_port), "typ", "host"]
    ]


async def test_input_is_echoed_with_the_frame_that_shows_it(open_server: OpenServer) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    async with watching(server) as client:
        await client.send(client.messages, key(7))
        echo = await client.hear("inputEcho")
        stamp = Stamp(-1, 0)
        while stamp.frame < 0 or stamp.frame < int(str(echo["frame"])):
            stamp = await client.stamp()
    assert (echo["event"], echo["seq"]) == ("keydown", 7)


async def test_late_and_bad_input_is_dropped(open_server: OpenServer) -> None:
    application = Recorder()
    server = await open_server(application)
    await claim(server)
    async with watching(server) as client:
        for message in (move(5, 0.1), "{", b"\0", {"type": "input"}, move(6, 2.0), {"event_type": 1}, move(4), move(7)):
            await client.send(client.messages, message)
        await client.send(client.messages, {"event_type": "done", "payload": {"a": 1}})
        await until(lambda: application.of("on_message"))
    assert application.of("on_message") == [("done", {"a": 1})]
    assert [event.seq for event in application.of("on_input") if isinstance(event, PointerMove)] == [5, 7]


FORGED: list[object] = [
    key(1),
    key(1) | {"role": "controller", "viewer": "viewer-1"},
    move(2),
    {"event_type": "openStageRequest", "payload": {"url": "/etc/passwd"}},
    {"event_type": "frameTimings", "payload": {"enabled": True}, "role": "controller"},
    {"type": "offer", "sdp": "", "video": {"width": 64, "height": 64, "fps": 1}},
    {"type": "role", "role": "controller"},
    "{",
]


async def test_viewer_who_only_watches_changes_nothing_whatever_it_sends(open_server: OpenServer) -> None:
    application = Recorder()
    server = await open_server(application)
    await claim(server)
    async with watching(server, video={"width": 160, "height": 90, "fps": 10}, viewer="spy", role="viewer") as spy:
        assert (await spy.frame()).shape == (180, 320, 3), "the wish of one who only watches was heeded"
        for message in FORGED:
            await spy.send(spy.messages, message)
            await spy.send(spy.motion, message)
        async with watching(server, video={"width": 192, "height": 108, "fps": 30}) as controller:
            await controller.send(controller.messages, key(5))
            await until(lambda: application.of("on_input"))
        dropped = (await viewer_status(server, "spy"))["dropped"]
    assert [getattr(event, "seq", None) for event in application.of("on_input")] == [5]
    assert application.of("on_message") == []
    assert {getattr(video, "width", None) for video in application.of("render")} == {320}
    assert isinstance(dropped, dict)
    assert dropped["view_only"] == 12
    assert dropped["malformed"] == 2


async def test_what_is_dropped_of_a_controller_is_counted_where_the_broker_looks(open_server: OpenServer) -> None:
    application = Recorder()
    server = await open_server(application)
    await claim(server)
    async with watching(server) as client:
        for message in (key(3), key(3), key(2), move(9), move(9), move(10, 2.0), {"type": "input"}, "["):
            await client.send(client.messages, message)
        await client.send(client.messages, {"event_type": "done"})
        await until(lambda: application.of("on_message"))
        dropped = (await viewer_status(server, "viewer-1"))["dropped"]
        seen = await status(server)
    assert isinstance(dropped, dict)
    assert {name: count for name, count in dropped.items() if count} == {"replayed": 2, "stale": 1, "malformed": 3}
    assert seen["events_dropped"] == 0
    assert [getattr(event, "seq", None) for event in application.of("on_input")] == [3, 9]


async def test_viewers_share_one_encoding_and_each_gets_a_picture(open_server: OpenServer) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    async with watching(server) as one:
        await one.stamp()
        async with watching(server, viewer="viewer-2", role="viewer") as two:
            await two.stamp()
            assert (await status(server))["encodings"] == 1
            numbers = [(await viewer.stamp()).frame for viewer in (one, two, one, two)]
    assert numbers[2] > numbers[0]
    assert numbers[3] > numbers[1]
    await until(lambda: server.viewers == 0)
    assert (await status(server))["encodings"] == 0


async def test_what_is_delivered_is_told_to_each_viewer(open_server: OpenServer) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    async with watching(server, video={"width": 160, "height": 90, "fps": 10}) as client:
        told = await client.hear("videoDelivered")
    size = {"width": 160, "height": 90, "fps": 10}
    assert (told["wished"], told["delivered"], told["limited_by"]) == (size, size, "none")
    assert told["encoder"] in ("libx264", "libvpx")


async def test_network_that_carries_little_has_smaller_pictures_drawn_and_says_so(open_server: OpenServer) -> None:
    application = Recorder()
    little = Bitrates(start=100_000, floor=100_000, ceiling=100_000)
    server = await open_server(application, video=VideoFormat(640, 360, 30), bitrates=little)
    await claim(server)
    async with watching(server) as client:
        told = await client.hear("videoDelivered")
        assert told["delivered"] == told["wished"]
        while told["delivered"] == told["wished"]:
            await client.frame()
            told = await client.hear("videoDelivered")
        assert told["delivered"] == {"width": 480, "height": 270, "fps": 30}
        assert (told["wished"], told["limited_by"]) == ({"width": 640, "height": 360, "fps": 30}, "network")
        await until(lambda: application.of("render")[-1] == VideoFormat(480, 270, 30))
        async with watching(server, viewer="viewer-2", role="viewer") as newcomer:
            shapes = [(await newcomer.frame()).shape for _ in range(20)]
            assert (360, 640, 3) in shapes, "a newcomer was given what suits another"


async def test_frame_timings_are_told_to_who_asks_and_name_the_input_that_a_frame_shows(
    open_server: OpenServer,
) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    async with watching(server) as client:
        await client.frame()
        await client.send(client.messages, {"event_type": "frameTimings", "payload": {"enabled": True}})
        before = await timings(client)
        await client.send(client.messages, key(41))
        after: list[dict[str, float]] = []
        while not after or after[-1]["input"] != 41:
            after += await timings(client)
        await client.send(client.messages, {"event_type": "frameTimings", "payload": {"enabled": False}})
    assert {frame["input"] for frame in before} == {None}
    assert next(frame["input"] for frame in after if frame["input"] is not None) == 41
    for frame in before + after:
        parts = frame["render_ms"] + frame["convert_ms"] + frame["wait_ms"] + frame["encode_ms"]
        assert 0 < parts <= frame["sent_at"] - frame["began_at"] + 2
        assert min(frame["render_ms"], frame["convert_ms"], frame["encode_ms"]) > 0
        assert frame["sent_at"] / 1000 == pytest.approx(time.time(), abs=10)
        assert frame["bytes"] > 0
    stamps = [frame["rtp"] for frame in before + after]
    assert all(0 < (later - earlier) % 2**32 < 90000 for earlier, later in pairwise(stamps))


async def timings(client: Client) -> list[dict[str, float]]:
    frames = (await client.hear("frameTimings"))["frames"]
    assert isinstance(frames, list)
    return frames  # type: ignore[return-value]


async def viewer_status(server: StreamServer, viewer_id: str) -> dict[str, object]:
    viewers = (await status(server))["viewers"]
    assert isinstance(viewers, list)
    return next(viewer for viewer in viewers if viewer["id"] == viewer_id)


async def test_sound_is_heard_by_who_offers_to_listen(open_server: OpenServer) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    async with watching(server, audio=True) as client:
        await client.frame()
        assert client.sound is not None
        heard = [await client.sound.recv() for _ in range(75)]
    loudness = [float(np.abs(frame.to_ndarray().astype(int)).max()) for frame in heard]  # type: ignore[union-attr]
    assert max(loudness) > 800, "no beep within a second and a half"
    assert sorted(loudness)[len(loudness) // 2] < 100, "it beeps all the time"


async def test_application_without_sound_answers_an_offer_of_it_all_the_same(open_server: OpenServer) -> None:
    server = await open_server(Recorder())
    await claim(server)
    async with watching(server, audio=True) as client:
        await client.frame()
        assert client.sound is None


async def test_viewers_that_come_and_go_leave_nothing_behind(open_server: OpenServer) -> None:
    server = await open_server(TestPattern(), video=VideoFormat(64, 64, 30))
    await claim(server)
    async with watching(server, audio=True) as stays:
        await stays.frame()
        before = len(asyncio.all_tasks())
        for number in range(12):
            async with watching(server, viewer=f"guest-{number}", role="viewer", audio=True) as guest:
                await guest.frame()
            await until(lambda: server.viewers == 1)
        await until(lambda: len(asyncio.all_tasks()) <= before)
        await stays.frame()
        gc.collect()
        alive = [type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, Viewer | Delivery)]
        assert sorted(alive) == ["Delivery", "Viewer"], "what a viewer held outlives it"
    assert (await status(server))["encodings"] == 0


async def test_two_viewers_share_the_media_port_and_only_the_controller_is_heard(open_server: OpenServer) -> None:
    application = Recorder()
    server = await open_server(application)
    await claim(server)
    async with watching(server) as one, watching(server, viewer="viewer-2", role="viewer") as other:
        await one.frame()
        await other.frame()
        assert application.outbox is not None
        await asyncio.gather(one.opened.wait(), other.opened.wait())
        await other.send(other.messages, key(1))
        await one.send(one.messages, key(2))
        await until(lambda: application.of("on_input"))
        application.outbox.send("toAll", {"x": 1})
        assert await one.hear("toAll") == await other.hear("toAll") == {"x": 1}
        seen = await status(server)
        assert [getattr(event, "seq", None) for event in application.of("on_input")] == [2]
        viewers = seen["viewers"]
        assert isinstance(viewers, list)
        assert {(v["id"], v["role"], v["ice_state"]) for v in viewers} == {
            ("viewer-1", "controller", "completed"),
            ("viewer-2", "viewer", "completed"),
        }
        addresses = {f"127.0.0.1:{client.port.address[1]}" for client in (one, other)}
        assert {v["remote"] for v in viewers} == addresses
        assert {remote for v in viewers for remote in v["remotes"]} == addresses
        assert seen["last_input_at"] == pytest.approx(time.time(), abs=5)
        assert int(str(seen["frames_sent"])) >= 2


async def test_application_hears_and_draws_in_one_thread_and_only_while_watched(open_server: OpenServer) -> None:
    application = Recorder()
    server = await open_server(application)
    await claim(server)
    await until(lambda: application.of("start"))
    async with watching(server) as client:
        await client.frame()
        await client.send(client.messages, key(1))
        await until(lambda: application.of("on_input"))
        assert application.calls[0] == ("start", {"stage": "a.usda"})
        assert application.calls[1][0] == "render"
    await until(lambda: server.viewers == 0)
    drawn = len(application.of("render"))
    await asyncio.sleep(0.15)
    assert len(application.of("render")) <= drawn + 1
    assert application.threads == {"application"}


async def test_message_that_nobody_was_there_to_hear_waits_for_the_first_viewer(open_server: OpenServer) -> None:
    application = Recorder()
    server = await open_server(application)
    await claim(server)
    await until(lambda: application.outbox)
    assert application.outbox is not None
    application.outbox.send("openedStageResult", {"result": "success"})
    async with watching(server) as client:
        assert await client.hear("openedStageResult") == {"result": "success"}


@pytest.mark.parametrize("role", ["controller", "viewer"])
async def test_viewers_beyond_the_bound_are_refused(open_server: OpenServer, role: str) -> None:
    server = await open_server(TestPattern(), max_viewers=1)
    await claim(server)
    async with signaling(server) as first:
        await receive(first)
        async with signaling(server, viewer="viewer-2", role=role) as second:
            assert (await receive(second))["code"] == "busy"
            assert await close_code(second) == 4003
        assert first.close_code is None
    await until(lambda: server.viewers == 0)
    async with signaling(server) as again:
        assert (await receive(again))["type"] == "hello"


@pytest.mark.parametrize(
    "headers",
    [
        {"backend_secret": "wrong"},
        {"backend_secret": ""},
        {"session": "session-2"},
        {"backend_secret": "\u00e9"},
    ],
)
async def test_handshake_that_does_not_come_through_the_relay_is_refused(
    open_server: OpenServer, headers: dict[str, str]
) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    with pytest.raises(InvalidStatus) as refusal:
        async with signaling(server, **headers):
            pass
    assert refusal.value.response.status_code == 403


async def test_nobody_connects_before_the_backend_is_claimed(open_server: OpenServer) -> None:
    server = await open_server(TestPattern())
    with pytest.raises(InvalidStatus):
        async with signaling(server):
            pass


async def test_standalone_takes_local_pages_only(open_server: OpenServer) -> None:
    server = await open_server(TestPattern(), control_token=None)
    url = f"ws://127.0.0.1:{server.signaling_port}/"
    async with connect(url, origin="http://localhost:8000", proxy=None) as socket:  # type: ignore[arg-type]
        assert (await receive(socket))["role"] == "controller"
    with pytest.raises(InvalidStatus):
        async with connect(url, origin="https://example.org", proxy=None):  # type: ignore[arg-type]
            pass


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "bad_message"),
        ("[]", "bad_message"),
        ("[" * 60000, "bad_message"),
        (b"\x00\x01", "bad_message"),
        ('{"type": 3}', "bad_message"),
        ('{"type": "answer"}', "bad_message"),
        ('{"type": "offer"}', "bad_offer"),
        ('{"type": "offer", "sdp": ""}', "bad_offer"),
        ('{"type": "offer", "sdp": "m=video 9 UDP/TLS/RTP/SAVPF 96"}', "bad_offer"),
        ('{"type": "offer", "sdp": "m=video\\r\\nm=video"}', "bad_offer"),
    ],
)
async def test_bad_signaling_is_answered_and_closed(open_server: OpenServer, message: str | bytes, code: str) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    async with signaling(server) as socket:
        await receive(socket)
        await socket.send(message)
        error = await receive(socket)
        assert (error["type"], error["code"]) == ("error", code)
        assert error["message"]
        assert await close_code(socket) == 1008


async def test_huge_signaling_frame_closes_the_connection(open_server: OpenServer) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    async with signaling(server) as socket:
        await receive(socket)
        await socket.send("x" * 70000)
        assert await close_code(socket) == 1009


async def test_candidates_may_trickle_but_not_for_ever(open_server: OpenServer) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    async with signaling(server) as socket:
        await receive(socket)
        for _ in range(300):
            await socket.send('{"type": "candidate", "candidate": null}')
        assert (await receive(socket))["code"] == "bad_message"


async def test_offer_without_media_ends_by_our_own_clock(open_server: OpenServer) -> None:
    server = await open_server(TestPattern(), ice_timeout_s=0.3)
    await claim(server)
    async with signaling(server) as socket:
        await receive(socket)
        client = Client(socket)
        assert (await client.offer())["type"] == "answer"
        error = await receive(socket)
        assert error["code"] == "ice_timeout"
        assert "0.3 seconds" in error["message"]
        await close_code(socket)
        await client.close()
    await until(lambda: server.viewers == 0)


async def test_client_that_never_offers_does_not_keep_its_place(open_server: OpenServer) -> None:
    server = await open_server(TestPattern(), ice_timeout_s=0.2)
    await claim(server)
    async with signaling(server) as socket:
        await receive(socket)
        assert (await receive(socket))["code"] == "ice_timeout"
    await until(lambda: server.viewers == 0)


async def test_picture_that_cannot_be_encoded_ends_the_viewer_not_the_server(open_server: OpenServer) -> None:
    too_wide = np.zeros((16, 20000, 3), dtype=np.uint8)
    server = await open_server(Recorder(picture=lambda video: too_wide))
    await claim(server)
    async with watching(server) as client:
        assert (await receive(client.socket))["code"] == "backend_failed"
    assert (await status(server))["viewers"] == []


async def test_bye_and_a_dropped_connection_end_the_viewer(open_server: OpenServer) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    async with watching(server) as client:
        await client.frame()
        await client.socket.send('{"type": "bye"}')
        assert await close_code(client.socket) == 1000
    async with watching(server) as client:
        await client.frame()
        client.socket.transport.abort()
        await until(lambda: server.viewers == 0)


async def test_client_that_closes_its_media_ends_the_viewer_and_no_encoder_is_blamed(
    open_server: OpenServer, caplog: pytest.LogCaptureFixture
) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    with caplog.at_level(logging.INFO, "streamer.viewer"):
        async with watching(server) as client:
            await client.frame()
            await client.peer.close()
            assert await close_code(client.socket) == 1011
        await until(lambda: "a viewer left: The media connection was lost." in caplog.text)


async def test_lost_consent_ends_the_viewer(open_server: OpenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.05)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 1)
    server = await open_server(TestPattern())
    await claim(server)
    async with watching(server) as client:
        await client.frame()
        client.port.close()
        assert await close_code(client.socket) == 1011


async def test_garbage_on_the_media_port_is_counted_and_unanswered(open_server: OpenServer) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    async with watching(server) as client:
        await client.frame()
        with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as garbage:
            garbage.setblocking(False)
            for datagram in (b"", b"\x00", b"\x00\x01" + bytes(18), b"\x16\xfe\xff" + bytes(50), b"\x80" * 1200):
                garbage.sendto(datagram, ("127.0.0.1", server.media_port))
            await until(lambda: server.datagrams_dropped == 5)
            with pytest.raises(BlockingIOError):
                garbage.recv(100)
        await client.frame()


@pytest.mark.parametrize("which", ["signaling_port", "control_port"])
async def test_garbage_on_a_tcp_port_is_closed_in_time(open_server: OpenServer, which: str) -> None:
    server = await open_server(TestPattern(), handshake_timeout_s=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", getattr(server, which))
    writer.write(b"\x16\x03\x01" + bytes(100) + b"\r\n\r\n")
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):
            await reader.read(-1)
    writer.close()


async def test_slow_handshake_is_closed_in_time(open_server: OpenServer) -> None:
    server = await open_server(TestPattern(), handshake_timeout_s=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.signaling_port)
    writer.write(b"GET / HTTP/1.1\r\nHost: ")
    async with asyncio.timeout(5):
        assert await reader.read(-1) == b""
    writer.close()


async def test_application_that_cannot_start_ends_the_server(open_server: OpenServer) -> None:
    def fail() -> None:
        raise OSError("no GPU here")

    server = await open_server(Recorder(start=fail))
    await claim(server)
    async with asyncio.timeout(5):
        assert await server.wait() == "OSError: no GPU here"


async def test_failing_hook_is_told_to_viewers_and_the_stream_goes_on(
    open_server: OpenServer, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("bad key")

    server = await open_server(Recorder(on_input=fail))
    await claim(server)
    async with watching(server) as client:
        for seq in range(20):
            await client.send(client.messages, key(seq))
        notice = await client.hear("notice")
        await client.frame()
    assert notice == {"level": "error", "message": "The application failed: ValueError: bad key"}
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


async def test_render_that_fails_again_and_again_ends_the_server(open_server: OpenServer) -> None:
    server = await open_server(Recorder(picture=lambda video: "no array"), video=VIDEO)
    await claim(server)
    async with watching(server) as client:
        notice = await client.hear("notice")
        async with asyncio.timeout(5):
            reason = await server.wait()
    assert "one is str" in str(notice["message"])
    assert reason.startswith("ValueError: a frame is a NumPy array")


async def test_picture_that_stays_is_repeated(open_server: OpenServer) -> None:
    pattern = TestPattern()
    drawn: list[Frame] = []

    def once(video: object) -> object:
        if drawn:
            return None
        drawn.append(pattern.render(VIDEO, 0))
        return drawn[0]

    server = await open_server(Recorder(picture=once))
    await claim(server)
    async with watching(server) as client:
        assert [(await client.stamp()).frame for _ in range(5)] == [0] * 5


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
async def test_a_client_gets_the_codec_that_it_can_decode(open_server: OpenServer, codec: str) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    async with signaling(server) as socket:
        await receive(socket)
        client = Client(socket)
        capabilities = client.video.receiver.getCapabilities("video")
        assert capabilities is not None
        client.video.setCodecPreferences([known for known in capabilities.codecs if known.mimeType == codec])
        answer = await client.offer()
        await client.take(answer)
        stamps = [await client.stamp() for _ in range(3)]
        await client.close()
    assert [stamp.frame for stamp in stamps] == sorted(stamp.frame for stamp in stamps)
    assert codec.removeprefix("video/") in answer["sdp"]


async def test_taken_ports_are_named(open_server: OpenServer) -> None:
    holder = await open_server(TestPattern())
    for name, port in (
        ("signaling", holder.signaling_port),
        ("media", holder.media_port),
        ("control", holder.control_port),
    ):
        ports = {"signaling_port": 0, "media_port": 0, "control_port": 0} | {f"{name}_port": port}
        server = StreamServer(TestPattern(), StreamSettings(control_token="t", **ports))  # type: ignore[arg-type]
        with pytest.raises(PortTaken, match=f"The {name} port 127.0.0.1:{port} is taken"):
            await server.open()
        await server.close()


async def test_close_tells_viewers_and_may_be_repeated(open_server: OpenServer) -> None:
    application = Recorder()
    server = await open_server(application)
    await claim(server)
    async with watching(server) as client:
        await client.frame()
        await server.close()
        await server.close()
        assert await close_code(client.socket) == 1012
    assert application.of("stop") == [None]
