"""Sound: encoded once, heard by all who listen."""

import asyncio

import av
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from streamer.sound import BLOCK_SAMPLES, SAMPLE_RATE, Block, Listener, OpusEncoder, SharedSound, check_sound
from streamer.source import Sound
from tests.streamer.waiting import until


def tone(number: int) -> Sound:
    at = (np.arange(BLOCK_SAMPLES) + number * BLOCK_SAMPLES) / SAMPLE_RATE
    wave = (8000 * np.sin(2 * np.pi * 440 * at)).astype(np.int16)
    return np.stack([wave, 0 * wave], axis=1)


def test_opus_is_stereo_and_sounds_as_it_did() -> None:
    encoder, decoder = OpusEncoder(), av.CodecContext.create("libopus", "r")
    decoder.format, decoder.layout, decoder.sample_rate = "s16", "stereo", SAMPLE_RATE
    sides = []
    for number in range(20):
        payloads = encoder.encode(Block(tone(number), number * 0.02))
        assert payloads.timestamp == number * BLOCK_SAMPLES
        assert len(payloads.parts) == 1
        for frame in decoder.decode(av.Packet(payloads.parts[0])):
            sides.append(frame.to_ndarray().reshape(-1, 2))
    left, right = np.concatenate(sides)[SAMPLE_RATE // 10 :].astype(float).T
    assert np.sqrt((left**2).mean()) == pytest.approx(8000 / 2**0.5, rel=0.1)
    assert np.sqrt((right**2).mean()) < 300
    strongest = np.abs(np.fft.rfft(left)).argmax() * SAMPLE_RATE / len(left)
    assert strongest == pytest.approx(440, abs=5)


def test_silence_costs_little() -> None:
    encoder = OpusEncoder()
    assert sum(len(encoder.encode(Block(None, number * 0.02)).parts[0]) for number in range(50)) < 1000


@pytest.mark.parametrize(
    "sound", [None, "la", np.zeros((960, 2)), np.zeros((960,), np.int16), np.zeros((959, 2), np.int16)]
)
def test_what_is_no_sound_is_refused_with_what_it_is(sound: object) -> None:
    with pytest.raises(ValueError, match=r"sound is a NumPy array of int16 and shape \(samples, 2\), here \(960, 2\)"):
        check_sound(sound, BLOCK_SAMPLES)


async def test_all_who_listen_get_the_same_payload_and_who_left_gets_no_more() -> None:
    shared, one, other = SharedSound(), Listener(), Listener()
    shared.put(Block(tone(0), 0.0))
    shared.join(one)
    shared.join(other)
    shared.put(Block(tone(1), 0.02))
    first = await one.next("opus")
    assert await other.next("opus") is first
    assert first.timestamp == BLOCK_SAMPLES, "sound from before anybody listened was sent"
    shared.leave(other)
    shared.leave(other)
    assert shared.heard
    with pytest.raises(MediaStreamError):
        await other.next("opus")
    shared.leave(one)
    assert not shared.heard
    await shared.close()
    await shared.close()


async def test_who_falls_behind_misses_the_oldest() -> None:
    shared, slow, fast = SharedSound(), Listener(), Listener()
    shared.join(slow)
    shared.join(fast)
    for number in range(30):
        shared.put(Block(None, number * 0.02))
        async with asyncio.timeout(5):
            await fast.next("opus")
    assert (await slow.next("opus")).timestamp == 20 * BLOCK_SAMPLES
    await shared.close()


async def test_sound_that_cannot_be_encoded_ends_the_listeners_alone(caplog: pytest.LogCaptureFixture) -> None:
    shared, listener = SharedSound(), Listener()
    shared.join(listener)
    shared.put(Block(np.zeros((960, 2), np.float64), 0.0))
    await until(lambda: not shared.heard)
    with pytest.raises(MediaStreamError):
        await listener.next("opus")
    assert "the sound could not be encoded" in caplog.text
    await shared.close()
