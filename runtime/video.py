"""Video files in (any container that FFmpeg's libraries read) and out (H.264), without a system FFmpeg."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame as AvFrame
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from perse_live.files import atomic_output

_FALLBACK_RATE = Fraction(25)
_LEAST_RATE, _GREATEST_RATE = Fraction(1, 10), Fraction(1000)  # outside, the container's rate is a mistake
_TICKS_PER_SECOND = 10_000  # at least; fine enough for videos of uneven rate
_AUDIO_CODECS_KEPT = {"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"}  # what MP4, MOV and MKV all take as it is
_GIVE_A_VIDEO = "give an MP4, MOV, MKV, WebM or AVI file"
_H264_SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv"}
_TAGS_BT601, _TAGS_BT709 = 6, 1  # ISO/IEC 23091-2 (H.273) code points: matrix coefficients, primaries and transfer
# libswscale's BICUBIC | FULL_CHR_H_INT | FULL_CHR_H_INP | ACCURATE_RND; PyAV has names for all four from version 18 on
_CAREFUL_CONVERSION = 0x4 | 0x2000 | 0x4000 | 0x40000


@dataclass(frozen=True)
class VideoInfo:
    """What a file says about its picture."""

    width: int
    """Pixels, after the rotation that the file asks for."""
    height: int
    """Pixels, after the rotation that the file asks for."""
    rate: Fraction
    """Frames per second, the mean where it is uneven."""
    frame_count: int | None
    """As declared or reckoned from the length: good for a progress bar. None where the file does not say."""
    has_audio: bool
    """Whether there is sound to carry over."""


@dataclass(frozen=True)
class VideoFrame:
    """One picture of a video."""

    image: UInt8Array
    """(H, W, 3) RGB, upright."""
    index: int
    """From 0."""
    time: Fraction
    """Seconds since the first frame; strictly increasing."""


@dataclass(frozen=True)
class Encoding:
    """How a video is written."""

    crf: int = 14
    """Constant rate factor of x264, 0 (lossless) to 51; at 14 a 480x480 talking head is 47 dB from the original at 0.5 Mbit/s."""
    preset: str = "veryfast"
    """x264's trade of speed for size: `fast` is 1.3 dB closer at the same size, for 1.6 times the work (8.5, not 5.3 ms)."""


def probe(path: Path) -> VideoInfo:
    """What a video file is, without reading it to its end.

    Raises UserError when it is not a video with at least one frame.
    """
    with _opened(path) as (container, stream):
        first = next(_decoded(path, container, stream), None)
        if first is None:
            raise UserError(f"{path} has no picture in it: give a video that plays")
        turned = _quarter_turns(first) % 2 == 1
        rate = _rate(stream)
        count = stream.frames or None
        if count is None and stream.duration is not None and stream.time_base is not None:
            count = round(stream.duration * stream.time_base * rate)
        if count is None and container.duration is not None:
            count = round(Fraction(container.duration, av.time_base) * rate)
        return VideoInfo(width=first.height if turned else first.width, height=first.width if turned else first.height, rate=rate,
                         frame_count=count, has_audio=bool(container.streams.audio))


def read_frames(path: Path) -> Iterator[VideoFrame]:
    """All frames of a video in order, one at a time; all have the size of the first.

    Raises UserError when the file is not a video, holds no frame, or is damaged (naming the frame).
    """
    with _opened(path) as (container, stream):
        rate = _rate(stream)
        index = 0
        start = time = Fraction(0)
        size: tuple[int, int] | None = None
        converter = VideoReformatter()
        for frame in _decoded(path, container, stream):
            stamp = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
            if index == 0:
                start, size = stamp or Fraction(0), (frame.width, frame.height)
            else:
                step = time + 1 / rate
                time = step if stamp is None or stamp - start <= time else stamp - start
            assert size is not None
            yield VideoFrame(_upright_rgb(converter, frame, *size), index, time)
            index += 1
        if index == 0:
            raise UserError(f"{path} has no picture in it: give a video that plays")


class VideoWriter:
    """Takes the frames of one video; made by `video_writer`."""

    def __init__(self, container: OutputContainer, stream: VideoStream, shape: tuple[int, int, int], rate: Fraction,
                 pixel_format: str, audio: Iterator[tuple[Fraction, Packet[Any]]]) -> None:
        self._container = container
        self._stream = stream
        self._shape = shape
        self._rate = rate
        self._pixel_format = pixel_format
        self._audio = audio
        self._waiting_audio = next(audio, None)
        self._time_base = _time_base(rate)
        self._converter = VideoReformatter()  # kept: setting one up costs as much as a frame
        self._last_tick = -1
        self._count = 0

    def write(self, image: UInt8Array, *, time: Fraction | None = None) -> None:
        """Append a frame.

        image: (H, W, 3) RGB, or (H, W, 4) with straight alpha where the writer was made for it. time: seconds since the first
        frame; by default frames follow each other at the video's rate. Times that do not increase are moved on by the least step.
        Raises ValueError for an image of another shape or dtype.
        """
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ValueError(f"a frame of shape {image.shape} and dtype {image.dtype} in a video of {self._shape} uint8")
        seconds = self._count / self._rate if time is None else time
        tick = max(round(seconds / self._time_base), self._last_tick + 1)
        source = AvFrame.from_ndarray(np.ascontiguousarray(image), format="rgba" if self._shape[2] == 4 else "rgb24")
        frame = self._converter.reformat(source, format=self._pixel_format, dst_colorspace=Colorspace.ITU601,
                                         interpolation=_CAREFUL_CONVERSION)
        frame.pts = tick
        frame.time_base = self._time_base
        frame.duration = round(1 / self._rate / self._time_base)
        self._last_tick = tick
        self._count += 1
        self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds, and the sound up to the last frame's end. `video_writer` calls it."""
        self._mux(self._stream.encode(None))
        self._mux_audio((self._last_tick + 1) * self._time_base + 1 / self._rate)

    def _mux(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            if packet.dts is not None:
                self._mux_audio(packet.dts * packet.time_base)
            self._container.mux(packet)

    def _mux_audio(self, until: Fraction) -> None:
        """Sound goes between the pictures that it belongs to, so that players need not seek."""
        while self._waiting_audio is not None and self._waiting_audio[0] <= until:
            self._container.mux(self._waiting_audio[1])
            self._waiting_audio = next(self._audio, None)


@contextlib.contextmanager
def video_writer(path: Path, *, width: int, height: int, rate: Fraction, alpha: bool = False, audio_from: Path | None = None,
                 encoding: Encoding | None = None) -> Generator[VideoWriter, None, None]:
    """Write a video; the file appears under its name only when the block ends well.

    path: .mp4, .m4v, .mov or .mkv for H.264; with `alpha` .mov (ProRes 4444) or .webm (VP9). width, height: pixels, kept exactly
    (odd ones by unsubsampled colour). rate: frames per second. audio_from: a file whose sound is carried over, where it has any,
    cut to the video's length. Colours are coded with the BT.601 matrix and labelled so; readers that ignore labels assume it.
    Raises UserError when the name's ending does not fit or the file cannot be written.
    """
    codec, pixel_format, options = _codec(path, width, height, alpha, encoding or Encoding())
    with contextlib.ExitStack() as stack:
        temporary = stack.enter_context(atomic_output(path))
        container = av.open(str(temporary), "w", options={"movflags": "+faststart"} if path.suffix.lower() != ".mkv" else {})
        stack.callback(_close_quietly, container)  # a second close is harmless; an abandoned one must not hide the first error
        stream = cast("VideoStream", container.add_stream(codec, rate=rate, options=options))
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        context = stream.codec_context
        context.time_base = _time_base(rate)
        context.colorspace, context.color_primaries, context.color_trc = _TAGS_BT601, _TAGS_BT709, _TAGS_BT709
        audio = _audio_packets(stack, audio_from, container) if audio_from is not None else iter(())
        writer = VideoWriter(container, stream, (height, width, 4 if alpha else 3), rate, pixel_format, audio)
        yield writer
        writer.finish()
        container.close()


def _codec(path: Path, width: int, height: int, alpha: bool, encoding: Encoding) -> tuple[str, str, dict[str, str]]:
    """Name of the encoder, its pixel format and its options."""
    suffix = path.suffix.lower()
    if alpha:
        match suffix:
            case ".mov":
                return "prores_ks", "yuva444p10le", {"profile": "4444"}
            case ".webm":
                return "libvpx-vp9", "yuva420p", {"crf": str(encoding.crf), "b": "0", "row-mt": "1", "cpu-used": "5"}
            case _:
                raise UserError(f"cannot write {path} with transparency: name it .mov (ProRes 4444) or .webm (VP9)")
    if suffix not in _H264_SUFFIXES:
        raise UserError(f"cannot write {path}: videos are written as H.264, so name it .mp4, .mov or .mkv")
    subsampled = width % 2 == 0 and height % 2 == 0
    return "libx264", "yuv420p" if subsampled else "yuv444p", {"crf": str(encoding.crf), "preset": encoding.preset}


def _time_base(rate: Fraction) -> Fraction:
    """A clock on which every frame of an even rate falls exactly, and frames of an uneven one within 0.1 ms."""
    return Fraction(1, rate.numerator * -(-_TICKS_PER_SECOND // rate.numerator))


def _close_quietly(container: OutputContainer) -> None:
    with contextlib.suppress(FFmpegError, ValueError):
        container.close()


@contextlib.contextmanager
def _opened(path: Path) -> Generator[tuple[InputContainer, VideoStream], None, None]:
    """Open for reading, from the disk only: playlists cannot make us fetch anything."""
    if not path.is_file():
        raise UserError(f"cannot read {path}: {'it is not an ordinary file' if path.exists() else 'there is no such file'}")
    try:
        container = av.open(f"file:{path}", "r", options={"protocol_whitelist": "file"})
    except (FFmpegError, OSError) as error:
        raise UserError(f"{path} is not a video that can be read ({_reason(error)}): {_GIVE_A_VIDEO}") from error
    with container:
        kind = container.format.name
        if kind == "tty" or kind == "image2" or kind.endswith("_pipe"):
            what = "text" if kind == "tty" else "a picture"
            raise UserError(f"{path} is {what}, not a video: {_GIVE_A_VIDEO}")
        if not container.streams.video:
            raise UserError(f"{path} has no picture in it (only sound or text): give a video")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


def _decoded(path: Path, container: InputContainer, stream: VideoStream) -> Iterator[AvFrame]:
    index = 0
    try:
        for frame in container.decode(stream):
            yield frame
            index += 1
    except FFmpegError as error:
        raise UserError(f"{path} is damaged at frame {index} ({_reason(error)}): give a sound copy, or cut it before that frame"
                        ) from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _rate(stream: VideoStream) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and _LEAST_RATE <= rate <= _GREATEST_RATE:
            return rate
    return _FALLBACK_RATE


def _quarter_turns(frame: AvFrame) -> int:
    """How often the picture must be turned by 90 degrees, counter-clockwise, to stand upright."""
    return round(frame.rotation / 90) % 4


def _upright_rgb(converter: VideoReformatter, frame: AvFrame, width: int, height: int) -> UInt8Array:
    rgb = converter.reformat(frame, width=width, height=height, format="rgb24", interpolation=_CAREFUL_CONVERSION).to_ndarray()
    return np.ascontiguousarray(np.rot90(cast("UInt8Array", rgb), _quarter_turns(frame)))


def _audio_packets(stack: contextlib.ExitStack, source: Path, output: OutputContainer) -> Iterator[tuple[Fraction, Packet[Any]]]:
    """Sound for the output with the second at which each packet starts; nothing when the source has none."""
    container, video = stack.enter_context(_opened(source))
    if not container.streams.audio:
        return iter(())
    stream = container.streams.audio[0]
    start = (video.start_time or 0) * (video.time_base or Fraction(0))
    if stream.codec_context.name in _AUDIO_CODECS_KEPT:
        return _copied_audio(source, container, stream, output.add_stream_from_template(stream), start)
    encoder = output.add_stream("aac", rate=stream.rate)
    return _encoded_audio(source, container, stream, encoder, start)


def _copied_audio(source: Path, container: InputContainer, stream: AudioStream, copy: AudioStream, start: Fraction
                  ) -> Iterator[tuple[Fraction, Packet[Any]]]:
    time_base = stream.time_base or Fraction(1, stream.rate)
    offset = round(start / time_base)
    with _sound_errors(source):
        for packet in container.demux(stream):
            if packet.dts is None or packet.pts is None:  # the last, empty one
                continue
            packet.pts -= offset
            packet.dts -= offset
            packet.stream = copy
            yield packet.dts * time_base, packet


def _encoded_audio(source: Path, container: InputContainer, stream: AudioStream, encoder: AudioStream, start: Fraction
                   ) -> Iterator[tuple[Fraction, Packet[Any]]]:
    with _sound_errors(source):
        for frame in itertools.chain(container.decode(stream), [None]):
            if frame is not None and frame.pts is not None:
                frame.pts -= round(start / (frame.time_base or Fraction(1, stream.rate)))
            for packet in encoder.encode(frame):
                yield (packet.pts or 0) * (packet.time_base or Fraction(0)), packet


@contextlib.contextmanager
def _sound_errors(source: Path) -> Generator[None, None, None]:
    try:
        yield
    except FFmpegError as error:
        raise UserError(f"the sound of {source} is damaged ({_reason(error)}): give a sound copy, or remove its sound") from error
