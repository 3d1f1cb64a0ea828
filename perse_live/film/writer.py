"""Writing a film that every player plays: 4:2:0, labelled colours, sound as its container takes it, all or nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.error import ArgumentError, FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame as AvFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError, one_line
from perse_live.files import CREATOR, atomic_output, write_error
from perse_live.film.coding import Matrix, add_video_stream, coded, coded_i420, even_size, padded
from perse_live.film.reader import Film
from perse_live.film.sound import Sound, open_sound
from perse_live.film.source import file_url

_TICKS_PER_SECOND = 10_000  # at least; fine enough for films of uneven rate
_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}


@dataclass(frozen=True)
class Encoding:
    """Encoder settings of a written film."""

    crf: int = 14
    """Constant rate factor of x264, 0 (lossless) to 51; at 14 a 480x480 talking head is 47 dB from the original at 0.5 Mbit/s."""
    preset: str = "veryfast"
    """x264's trade of speed for size: `fast` is 1.3 dB closer at the same size, for 1.6 times the work (8.5, not 5.3 ms)."""


@dataclass(frozen=True)
class _Codec:
    name: str
    pixel_format: str
    options: dict[str, str]
    even: bool
    """Whether both sides must be even."""


class FilmWriter:
    """Writes the frames of one film; made by `film_writer`."""

    def __init__(
        self,
        path: Path,
        container: OutputContainer,
        stream: VideoStream,
        *,
        shape: tuple[int, int, int],
        rate: Fraction,
        matrix: Matrix,
        sound: Sound,
    ) -> None:
        """path: for messages; shape: (H, W, C) of the pictures that come; stream: to encode to, which may be a pixel larger each
        way.
        """
        self._path, self._container, self._stream = path, container, stream
        self._shape, self._rate, self._matrix = shape, rate, matrix
        self._sound = sound
        self._sound_failure = ""
        self._waiting_sound = self._next_sound()
        self._time_base = _time_base(rate)
        self._converter = VideoReformatter()  # kept: setting one up costs as much as a frame
        self._refused_sound = 0
        self._last_tick = -1
        self._count = 0

    def write(self, image: UInt8Array, *, time: Fraction | None = None) -> None:
        """Append a frame.

        image: (H, W, 3) RGB, or (H, W, 4) with straight alpha where the writer was made for it. time: seconds since the first
        frame; by default frames follow each other at the film's rate. Times that do not increase are moved on by the least step.
        Raises ValueError for an image of another shape or dtype, UserError where it cannot be encoded or written.
        """
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ValueError(
                f"a frame of shape {image.shape} and dtype {image.dtype} in a film of {self._shape} uint8"
            )
        assert self._stream.pix_fmt is not None
        picture = padded(image, self._stream.width, self._stream.height)
        self._encode(coded(self._converter, picture, self._stream.pix_fmt, self._matrix), time)

    def write_i420(self, planes: UInt8Array, *, time: Fraction | None = None) -> None:
        """Append a frame that is converted already, by the writer's matrix.

        planes: (H * 3 / 2, W) limited range, of a film of even size without transparency. time, raises: as for `write`.
        """
        expected = (self._stream.height * 3 // 2, self._stream.width)
        if (
            planes.shape != expected
            or planes.dtype != np.uint8
            or self._stream.pix_fmt != "yuv420p"
        ):
            raise ValueError(
                f"I420 planes of shape {planes.shape} and dtype {planes.dtype} in a film of {self._shape} uint8"
            )
        self._encode(coded_i420(planes), time)

    def warnings(self) -> tuple[str, ...]:
        """What a user should know about what was written: lines without a full stop; complete once the film is."""
        height, width = self._shape[:2]
        lines = list[str]()
        if (self._stream.width, self._stream.height) != (width, height):
            lines.append(
                f"the film written is {self._stream.width}x{self._stream.height}, not {width}x{height}: "
                "players need even sizes, so its last column or row is repeated"
            )
        if self._refused_sound:
            lines.append(
                f"packets of sound left out, as their times make no sense: {self._refused_sound}"
            )
        if self._sound_failure:
            lines.append(
                f"the sound cannot be encoded to its end, and is left out from there: {self._sound_failure}"
            )
        return (*lines, *self._sound.warnings)

    def finish(self) -> None:
        """Write what the encoder still holds, and the sound up to the last frame's end. `film_writer` calls it."""
        with _errors_named(self._path):
            self._mux(self._stream.encode(None))
            self._mux_sound((self._last_tick + 1) * self._time_base + 1 / self._rate)

    def _encode(self, frame: AvFrame, time: Fraction | None) -> None:
        seconds = self._count / self._rate if time is None else time
        tick = max(round(seconds / self._time_base), self._last_tick + 1)
        frame.pts, frame.time_base = tick, self._time_base
        frame.duration = round(1 / self._rate / self._time_base)
        self._last_tick = tick
        self._count += 1
        with _errors_named(self._path):
            self._mux(self._stream.encode(frame))

    def _mux(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            if packet.dts is not None:
                self._mux_sound(packet.dts * packet.time_base)
            self._container.mux(packet)

    def _mux_sound(self, until: Fraction) -> None:
        """Sound goes between the pictures that it belongs to, so that players need not seek."""
        while self._waiting_sound is not None and self._waiting_sound[0] <= until:
            try:
                self._container.mux(self._waiting_sound[1])
            except ArgumentError:  # times that no muxer takes, in damaged films
                self._refused_sound += 1
            self._waiting_sound = self._next_sound()

    def _next_sound(self) -> tuple[Fraction, Packet[Any]] | None:
        try:
            return next(self._sound.packets, None)
        except FFmpegError as error:  # of its filters or its encoder: a film without its last sound is better than none
            self._sound_failure = one_line(error.strerror)
            return None


@contextlib.contextmanager
def _errors_named(path: Path) -> Generator[None, None, None]:
    """What FFmpeg raises while it writes a file becomes a UserError."""
    try:
        yield
    except FFmpegError as error:
        raise write_error(path, error) from error


@contextlib.contextmanager
def film_writer(
    path: Path,
    *,
    width: int,
    height: int,
    rate: Fraction,
    alpha: bool = False,
    sound_from: Film | None = None,
    encoding: Encoding | None = None,
    matrix: Matrix = Matrix.BT709,
) -> Generator[FilmWriter, None, None]:
    """Write a film; the file appears under its name only when the block ends well.

    path: .mp4, .m4v, .mov or .mkv for H.264, .webm for VP9; with `alpha` .mov (ProRes 4444) or .webm. width, height: pixels of
    the pictures; for H.264 the last column or row is repeated where they are odd, and `FilmWriter.warnings` says so. rate: frames
    per second. sound_from: a film whose sound is carried over, where it has any, cut to the written film's length. matrix: what
    colours are coded with; they are labelled so. Raises UserError when the name's ending does not fit or the file cannot be
    written.
    """
    codec = _codec(path, alpha, encoding or Encoding())
    stored = even_size(width, height) if codec.even else (width, height)
    with contextlib.ExitStack() as stack:
        temporary = stack.enter_context(atomic_output(path))
        kind = _FORMATS[path.suffix.lower()]
        options = {"movflags": "+faststart"} if kind in ("mp4", "mov") else {}
        with _errors_named(path):
            container = av.open(file_url(temporary), "w", format=kind, options=options)
        # A second close is harmless; an abandoned one must not hide the first error
        stack.callback(_close_quietly, container)
        container.metadata["comment"] = CREATOR
        stream = add_video_stream(
            container,
            codec.name,
            width=stored[0],
            height=stored[1],
            pixel_format=codec.pixel_format,
            rate=rate,
            time_base=_time_base(rate),
            matrix=matrix,
            options=codec.options,
        )
        sound = open_sound(stack, sound_from, container, kind)
        shape = (height, width, 4 if alpha else 3)
        writer = FilmWriter(
            path, container, stream, shape=shape, rate=rate, matrix=matrix, sound=sound
        )
        yield writer
        writer.finish()
        with _errors_named(path):
            container.close()


def check_film_name(path: Path, *, alpha: bool = False) -> None:
    """Raises UserError where `film_writer` cannot write a film of that name."""
    _codec(path, alpha, Encoding())


def _codec(path: Path, alpha: bool, encoding: Encoding) -> _Codec:
    suffix = path.suffix.lower()
    vp9 = {"crf": str(encoding.crf), "b": "0", "row-mt": "1", "cpu-used": "5"}
    if alpha:
        match suffix:
            case ".mov":
                return _Codec("prores_ks", "yuva444p10le", {"profile": "4444"}, even=False)
            case ".webm":
                return _Codec("libvpx-vp9", "yuva420p", vp9, even=False)
            case _:
                raise UserError(
                    f"cannot write {path} with transparency: name it .mov (ProRes 4444) or .webm (VP9)"
                )
    if suffix == ".webm":
        return _Codec("libvpx-vp9", "yuv420p", vp9, even=False)
    if suffix not in _FORMATS:
        raise UserError(
            f"cannot write {path}: films are written as H.264 or VP9, so name it .mp4, .mov, .mkv or .webm"
        )
    return _Codec(
        "libx264", "yuv420p", {"crf": str(encoding.crf), "preset": encoding.preset}, even=True
    )


def _time_base(rate: Fraction) -> Fraction:
    """A clock on which every frame of an even rate falls exactly, and frames of an uneven one within 0.1 ms."""
    return Fraction(1, rate.numerator * -(-_TICKS_PER_SECOND // rate.numerator))


def _close_quietly(container: OutputContainer) -> None:
    with contextlib.suppress(FFmpegError, ValueError):
        container.close()
