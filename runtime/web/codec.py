"""Encoding to VP8 or H.264 for immediate decoding: no delayed frames, keyframes only on request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Literal, cast

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from perse_live.arrays import UInt8Array
from perse_live.film.coding import coded_i420

VIDEO_CLOCK = 90_000  # ticks per second of video in RTP (RFC 3551, section 5)
TIME_BASE = Fraction(1, VIDEO_CLOCK)
_NEVER = 1_000_000  # frames between regular keyframes: beyond any session
_BT601 = 6  # matrix coefficients, ITU-T H.273; what VP8 always means, and `to_i420` makes
_LIMITED_RANGE = 1

CodecName = Literal["vp8", "h264"]


@dataclass(frozen=True)
class EncodeConfig:
    """Encoder settings for viewers."""

    codec: CodecName = "vp8"
    """Every WebRTC browser decodes both. On a 512x512 head VP8 takes 2.8 ms and H.264 2.4 ms; VP8 is free of patent claims."""
    bitrate: int = 3_000_000
    """Bits per second, pinned: 51 dB on a clean 512x512 head, and little for a local network."""
    keyframe_spacing: float = 0.5
    """Seconds at least between keyframes, however often peers ask: they are large, and a flood of them would ruin the rest."""


class PictureEncoder:
    """Encodes one stream of pictures whose size may change. Not thread-safe."""

    def __init__(self, config: EncodeConfig) -> None:
        self._config = config
        self._context: VideoCodecContext | None = None

    def encode(self, planes: UInt8Array, ticks: int, *, keyframe: bool) -> Packet[Any]:
        """Encode a picture as one packet; a keyframe also where the size changed.

        planes: (H * 3 / 2, W) as `to_i420` makes them. ticks: when it is shown, in 1/90000 s, increasing from call to call.
        keyframe: force a keyframe. The codec's errors are passed on (FFmpegError, ValueError, MemoryError);
        the next call starts a new stream.
        """
        height, width = planes.shape[0] * 2 // 3, planes.shape[1]
        if self._context is None or (self._context.width, self._context.height) != (width, height):
            self._context = _open(self._config, width, height)
        frame = coded_i420(planes)
        frame.pts, frame.time_base = ticks, TIME_BASE
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        try:
            (packet,) = self._context.encode(frame)
        except Exception:
            self._context = None
            raise
        packet.time_base = TIME_BASE
        return packet


def _open(config: EncodeConfig, width: int, height: int) -> VideoCodecContext:
    library, options = _LIBRARIES[config.codec]
    context = cast("VideoCodecContext", av.CodecContext.create(library, "w"))
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.colorspace, context.color_range = _BT601, _LIMITED_RANGE
    context.time_base, context.framerate = TIME_BASE, Fraction(30)
    context.bit_rate = config.bitrate
    context.gop_size = _NEVER
    context.thread_count = 1  # the other cores render
    if config.codec == "vp8":
        context.qmin, context.qmax = 2, 56
    else:
        # The one that every WebRTC endpoint must decode (RFC 7742, section 6.2)
        context.profile = "Baseline"
    # A buffer of half a second keeps keyframes small enough not to be late
    rate = {"maxrate": str(config.bitrate), "bufsize": str(config.bitrate // 2)}
    context.options = {
        **options,
        **rate,
        **({"minrate": rate["maxrate"]} if config.codec == "vp8" else {}),
    }
    return context


_LIBRARIES: Mapping[CodecName, tuple[str, dict[str, str]]] = MappingProxyType(
    {
        # Denoising (what WebRTC does by default) costs 1.6 ms a frame and 6 dB: drawn pictures have no noise
        "vp8": (
            "libvpx",
            {
                "deadline": "realtime",
                "cpu-used": "-8",
                "lag-in-frames": "0",
                "noise-sensitivity": "0",
                "static-thresh": "1",
                "undershoot-pct": "100",
                "overshoot-pct": "15",
            },
        ),
        "h264": (
            "libx264",
            {"preset": "superfast", "tune": "zerolatency", "forced-idr": "1", "sc_threshold": "0"},
        ),
    }
)
