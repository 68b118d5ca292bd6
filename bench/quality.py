"""How much of a picture survives our encoders: SSIM at fixed bitrates against the source, H.264 and VP8.

Two sources, each 48 frames at 30 a second: the test pattern in motion, whose edges are hard and whose areas
are flat, and the USD viewer's sample stage on a turntable, finely drawn. What is compared is what the encoder was given
(planar YUV) with what a decoder makes of it, every third frame, by FFmpeg's `ssim` filter over all three planes.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import av.filter
import numpy as np
import numpy.typing as npt
from aiortc.codecs.h264 import h264_depayload
from aiortc.codecs.vpx import vp8_depayload

from bench.figures import percentile
from streamer.encoder import LIBVPX, LIBX264, Encoder, EncoderKind
from streamer.frames import TIME_BASE, to_planes, wrap
from streamer.source import VideoFormat
from streamer.test_pattern import TestPattern
from streamer.usd_viewer.loader import StageLoad
from streamer.usd_viewer.navigation import Navigator
from streamer.usd_viewer.renderer import Renderer
from streamer.usd_viewer.settings import SAMPLE_STAGE, SAMPLES, LoadLimits
from streamer.usd_viewer.stage_policy import StagePolicy

FPS = 30
FRAMES = 48
COMPARE_EVERY = 3
SIZES = ((1280, 720, (0.5, 1.0, 2.0, 4.0, 8.0)), (1920, 1080, (2.0, 4.0, 8.0, 12.0, 22.0)))
DECODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "H264": ("h264", h264_depayload),
    "VP8": ("vp8", vp8_depayload),
}

Planes = npt.NDArray[np.uint8]


class Comparison:
    """A graph that compares pairs of frames."""

    def __init__(self, width: int, height: int) -> None:
        graph = self._graph = av.filter.Graph()
        pixels = av.VideoFormat("yuv420p", width, height)
        self._inputs = [
            graph.add_buffer(width=width, height=height, format=pixels, time_base=Fraction(1, FPS)) for _ in range(2)
        ]
        ssim, self._output = graph.add("ssim"), graph.add("buffersink")
        for number, each in enumerate(self._inputs):
            each.link_to(ssim, 0, number)
        ssim.link_to(self._output)
        graph.configure()
        self._count = 0

    def ssim(self, one: av.VideoFrame, other: av.VideoFrame) -> float:
        """Of both frames, 0 to 1."""
        for source, frame in zip(self._inputs, (one, other), strict=True):
            frame.pts, frame.time_base = self._count, Fraction(1, FPS)
            source.push(frame)
        self._count += 1
        return float(self._output.pull().metadata["lavfi.ssim.All"])


def test_pattern(width: int, height: int) -> Iterator[Planes]:
    pattern = TestPattern(clock=lambda: 1.7e9)
    for number in range(FRAMES):
        yield to_planes(pattern.render(VideoFormat(width, height, FPS), number / FPS))


def turning_stage(width: int, height: int) -> Iterator[Planes]:
    load = StageLoad(StagePolicy.under(SAMPLES), LoadLimits(), progress=lambda done, of: None)
    scene = load.run(SAMPLE_STAGE).scene
    renderer, navigator = Renderer(), Navigator.of(scene)
    navigator.set_aspect(width / height)
    renderer.show(scene)
    for _ in range(FRAMES):
        navigator.turn(1 / FPS)
        yield to_planes(renderer.draw(navigator.camera, 0, width, height, fine=True))
    renderer.close()


def measure(name: str, frames: list[Planes], kind: EncoderKind, bps: int) -> None:
    encoder, (decoder_name, depayload) = Encoder(kind), DECODERS[kind.codec]
    decoder, compared, sizes, took = av.CodecContext.create(decoder_name, "r"), [], [], []
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    height, width = frames[0].shape[0] * 2 // 3, frames[0].shape[1]
    comparison = Comparison(width, height)
    for number, planes in enumerate(frames):
        frame = wrap(planes)
        frame.pts, frame.time_base = round(number * 90_000 / FPS), TIME_BASE
        began = time.perf_counter()
        encoded = encoder.encode(frame, bitrate=bps, ceiling=bps, fps=FPS)
        took.append(1000 * (time.perf_counter() - began))
        sizes.append(encoded.size_bytes)
        for shown in decoder.decode(av.Packet(b"".join(map(depayload, encoded.parts)))):
            if number % COMPARE_EVERY == 0:
                compared.append(comparison.ssim(shown, wrap(planes)))
    made = 8 * sum(sizes) * FPS / len(frames) / 1e6
    print(
        f"quality  {name:12} {width:4}x{height:<4} {kind.codec:4} {bps / 1e6:5.1f} Mbit/s  made {made:5.2f}  "
        f"SSIM mean {statistics.mean(compared):.4f}  worst {min(compared):.4f}  "
        f"encode p50 {statistics.median(took):5.1f} ms  p95 {percentile(took, 95):5.1f} ms",
        flush=True,
    )


def main() -> None:
    for name, source in (("test-pattern", test_pattern), ("usd-viewer", turning_stage)):
        for width, height, rates in SIZES:
            frames = list(source(width, height))
            for kind in (LIBX264, LIBVPX):
                for rate in rates:
                    measure(name, frames, kind, round(rate * 1e6))


if __name__ == "__main__":
    main()
