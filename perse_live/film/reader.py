"""Reading a film as FFmpeg's player shows it: upright, in its shape, in sRGB, by a clock that only goes on."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
from av.error import BlockingIOError as NoFrameYet
from av.error import EOFError as NoFrameLeft
from av.error import FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame as AvFrame
from av.video.stream import VideoStream

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from perse_live.film.boxes import boxes
from perse_live.film.clock import Clock
from perse_live.film.colors import Coding, Converter, coding
from perse_live.film.hdr import Transfer, UInt16Array, exposed
from perse_live.film.orientation import Orientation, orientation
from perse_live.film.source import (
    OpenFile,
    check_size,
    frame_rate,
    opened,
    packets,
    tagged_duration,
)
from perse_live.letterbox import framed, inner_size

# A pixel's width to its height, or the other way round; beyond, the file is mistaken
_MAX_ELONGATED = 8
# Of a film; a declared length that comes to less is a clock that jumped
_MIN_BYTES_PER_SECOND = 500
# That an HDR film's brightness is taken from, and that are read for it
_EXPOSURE_KEYFRAMES, _EXPOSURE_PACKETS = (6, 400)
_SMALLEST_DEINTERLACED = 4  # pixels, each way; the filter refuses less
_MISSING_SECONDS = Fraction(1, 4)  # at the end of a film: less is how lengths are rounded
_MEDIA_BOXES = {b"moof", b"mdat"}  # behind the last box others append what is none
# Where only the file has a length, as in FLV: often whole seconds
_MISSING_OF_WHOLE_SECONDS = Fraction(1)


@dataclass(frozen=True, eq=False)
class FilmFrame:
    """One picture of a film."""

    image: UInt8Array
    """(H, W, 3) sRGB, upright."""
    index: int
    """From 0."""
    time: Fraction
    """Seconds since the first frame; strictly increasing."""


@dataclass
class _Damage:
    """Damage found in one pass through a film."""

    packets: int = 0  # that no picture could be made of
    pictures: int = 0  # shown although they are damaged
    jumps: int = 0
    resized: bool = False
    cut_off: str = ""
    reached: Fraction = Fraction(0)  # where the last packet of picture or sound ends, seconds

    def forget(self) -> None:
        """Reset."""
        vars(self).update(vars(_Damage()))


@dataclass(frozen=True, eq=False)
class Film:
    """A film on disk; the file is closed between readings."""

    path: Path
    width: int
    """Pixels as shown: turned, mirrored, and with square pixels; the stored height is kept."""
    height: int
    """Pixels as shown."""
    rate: Fraction
    """Frames per second, the mean where it is uneven."""
    frame_count: int | None
    """As declared or reckoned from the length: good for a progress bar. None where the file does not say."""
    has_sound: bool
    """Whether there is sound to carry over."""
    hdr: str | None
    """HLG or PQ where the pictures are tone-mapped."""
    start: Fraction
    """When the first picture is shown, seconds by the file's clock."""
    _orientation: Orientation
    _aspect: Fraction
    _coding: Coding
    _damage: _Damage = field(default_factory=_Damage)

    def frames(self) -> Generator[FilmFrame, None, None]:
        """All pictures in order, one at a time, all of the film's size; can be asked for again, from the beginning.

        Damaged packets are skipped; `warnings` says so afterwards. Close the generator to stop early. Raises UserError where
        nothing can be decoded, or pictures grow beyond the size limit.
        """
        damage = self._damage
        damage.forget()
        with opened(self.path) as file:
            converter, index, time = Converter(), 0, Fraction(0)
            last_end: Fraction | None = None
            for frame in _deinterlaced(_frames_of(file, damage), damage):
                stamp = _stamp(frame)
                if index > 0:
                    step = time + 1 / self.rate
                    time = (
                        step if stamp is None or stamp - self.start <= time else stamp - self.start
                    )
                damage.pictures += frame.is_corrupt
                yield FilmFrame(self._shown(converter, frame, damage), index, time)
                index += 1
                last_end = time + 1 / self.rate
            if last_end is None:
                raise _no_picture(self.path)
            damage.cut_off = _cut_off(file, self.rate, index, last_end, damage)

    def warnings(self) -> tuple[str, ...]:
        """What a user should know about the file: lines without a full stop; complete once `frames` came to its end."""
        damage, lines = self._damage, list[str]()
        if self.hdr is not None:
            lines.append(f"{self.path} is HDR ({self.hdr}): its colours are tone-mapped to sRGB")
        if damage.cut_off:
            lines.append(f"{self.path} is cut off: {damage.cut_off}")
        if damage.packets or damage.pictures:
            lines.append(
                f"{self.path} is damaged: packets skipped: {damage.packets}, pictures with faults: {damage.pictures}"
            )
        if damage.jumps:
            lines.append(f"{self.path} has a clock that jumps; jumps closed: {damage.jumps}")
        if damage.resized:
            lines.append(
                f"{self.path} changes its size; all pictures are fitted into the first one's {self.width}x{self.height}"
            )
        return tuple(lines)

    def _shown(self, converter: Converter, frame: AvFrame, damage: _Damage) -> UInt8Array:
        check_size(self.path, frame.width, frame.height)
        turned = self._orientation
        size = _shown_size(frame, turned, self._aspect)
        if size == (self.width, self.height):
            return turned.applied(converter.srgb(frame, self._coding, *_stored_size(size, turned)))
        damage.resized = True
        fitted = inner_size(*size, self.width, self.height)
        return framed(
            turned.applied(converter.srgb(frame, self._coding, *_stored_size(fitted, turned))),
            self.width,
            self.height,
        )


def open_film(path: Path) -> Film:
    """What a film is, without reading it to its end.

    Raises UserError when it is not a film with at least one picture, or its pictures are too large.
    """
    with opened(path) as file:
        first = next(_frames_of(file, _Damage()), None)
        if first is None:
            raise _no_picture(path)
        turned, way = orientation(first), coding(path, first)
        aspect = _pixel_aspect(file.video)
        width, height = _shown_size(first, turned, aspect)
        check_size(path, width, height)
        rate = frame_rate(file.video)
        film = Film(
            path,
            width,
            height,
            rate,
            _frame_count(file, rate),
            has_sound=file.audio is not None,
            hdr=None,
            start=_stamp(first) or Fraction(0),
            _orientation=turned,
            _aspect=aspect,
            _coding=way,
        )
    if way.wide is None or way.wide.transfer is Transfer.SDR:
        return film
    return replace(
        film,
        hdr=way.wide.transfer.value,
        _coding=replace(way, wide=exposed(way.wide, _samples(path, way))),
    )


def _samples(path: Path, way: Coding) -> list[UInt16Array]:
    """The first keyframes, small, to expose an HDR film by."""
    converter, samples = Converter(), list[UInt16Array]()
    with opened(path) as file:
        file.video.codec_context.skip_frame = "NONKEY"
        for frame in _frames_of(file, _Damage(), most_packets=_EXPOSURE_PACKETS):
            check_size(path, frame.width, frame.height)
            scale = min(1.0, 640 / max(frame.width, frame.height))
            samples.append(
                converter.rgb48(
                    frame,
                    way,
                    max(1, round(frame.width * scale)),
                    max(1, round(frame.height * scale)),
                )
            )
            if len(samples) == _EXPOSURE_KEYFRAMES:
                break
    return samples


def _frames_of(
    file: OpenFile, damage: _Damage, *, most_packets: int | None = None
) -> Iterator[AvFrame]:
    """Decode; what is damaged is skipped and counted."""
    clock = Clock()
    start = Fraction(file.container.start_time or 0, av.time_base)
    for packet in itertools.islice(packets(file, clock), most_packets):
        damage.jumps = clock.jumps
        if packet is None:
            damage.packets += 1
            continue
        if packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base - start
            damage.reached = max(damage.reached, end)
        if packet.stream_index == file.video.index:
            # An MP4's packet is marked so only where the file ends within it: at the end of the film, FFmpeg's decoding threads
            # drop the finished pictures before a packet that fails
            if packet.is_corrupt and "mp4" in file.container.format.name:
                continue
            try:
                yield from packet.decode()
            except FFmpegError:
                damage.packets += 1
    # No empty packet makes the decoder give its last frames where reading failed
    with contextlib.suppress(FFmpegError):
        yield from file.video.decode(None)


def _deinterlaced(frames: Iterator[AvFrame], damage: _Damage) -> Iterator[AvFrame]:
    """The same frames; from the first interlaced one on, fields are interpolated to whole pictures where a filter takes them.

    Frames that the filter refuses are skipped and counted.
    """
    graph: Graph | None = None
    # Of the pictures that `graph` takes, or that no filter takes
    layout: tuple[int, int, str] | None = None
    for frame in frames:
        now = (frame.width, frame.height, frame.format.name)
        if layout is not None and layout != now:
            if graph is not None:
                yield from _pushed(graph, None, damage)
            graph = layout = None
        if (
            layout is None
            and frame.interlaced_frame
            and min(frame.width, frame.height) >= _SMALLEST_DEINTERLACED
        ):
            graph, layout = _deinterlacer(frame), now
        if graph is None:
            yield frame
        else:
            yield from _pushed(graph, frame, damage)
    if graph is not None:
        yield from _pushed(graph, None, damage)


def _deinterlacer(frame: AvFrame) -> Graph | None:
    """A filter for pictures like this one; None where FFmpeg has none for their pixel format."""
    graph = Graph()
    try:
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        graph.link_nodes(
            source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
        ).configure()
    except (FFmpegError, ValueError):
        return None
    return graph


def _pushed(graph: Graph, frame: AvFrame | None, damage: _Damage) -> Iterator[AvFrame]:
    try:
        graph.vpush(frame)
        while True:
            yield graph.vpull()
    except (NoFrameYet, NoFrameLeft):
        pass
    except FFmpegError:
        damage.packets += 1


def _stamp(frame: AvFrame) -> Fraction | None:
    """When a frame is shown, seconds by the corrected clock of its file."""
    return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base


def _shown_size(frame: AvFrame, turned: Orientation, aspect: Fraction) -> tuple[int, int]:
    """Width and height, pixels, with square pixels; the height of the upright picture is the stored one, as in FFmpeg's player.

    aspect: width of a stored pixel to its height.
    """
    width, height = (
        (frame.height, frame.width) if turned.swaps_sides else (frame.width, frame.height)
    )
    shown = round(width / aspect if turned.swaps_sides else width * aspect)
    return (width if abs(shown - width) <= 1 else max(1, shown)), height


def _pixel_aspect(stream: VideoStream) -> Fraction:
    aspect = stream.sample_aspect_ratio
    return (
        aspect
        if aspect and Fraction(1, _MAX_ELONGATED) <= aspect <= _MAX_ELONGATED
        else Fraction(1)
    )


def _stored_size(size: tuple[int, int], turned: Orientation) -> tuple[int, int]:
    return (size[1], size[0]) if turned.swaps_sides else size


def _frame_count(file: OpenFile, rate: Fraction) -> int | None:
    stream = file.video
    if stream.frames:
        return stream.frames
    length = _declared_seconds(file)
    if length is None or file.container.size < length * _MIN_BYTES_PER_SECOND:
        return None
    return round(length * rate)


def _declared_seconds(file: OpenFile) -> Fraction | None:
    """How long the picture lasts, as the file says."""
    stream = file.video
    whole = (
        None if file.container.duration is None else Fraction(file.container.duration, av.time_base)
    )
    # FFmpeg takes the length from the file's size there
    if file.container.format.name == "avi" and stream.frames:
        return stream.frames / frame_rate(stream)
    declared = tagged_duration(stream)
    if declared is not None and stream.start_time is not None and stream.time_base is not None:
        # The tag names the end by the file's clock
        declared -= max(Fraction(0), stream.start_time * stream.time_base)
    if stream.duration is not None and stream.time_base is not None:
        declared = stream.duration * stream.time_base
    if declared is None:
        return whole
    return declared if whole is None else min(declared, whole)


def _cut_off(file: OpenFile, rate: Fraction, count: int, end: Fraction, damage: _Damage) -> str:
    """Text on what is missing at the end; empty where nothing is.

    end: of the last picture, seconds since the first. A film is shorter than it says where its file was cut; where its clock
    jumped, its declared length means nothing.
    """
    declared = _declared_seconds(file)
    least = max(_MISSING_SECONDS, 3 / rate)
    has_video_length = file.video.duration is not None or tagged_duration(file.video) is not None
    if not has_video_length and file.audio is not None:  # the length of whichever lasts longer
        end, least = max(end, damage.reached), _MISSING_OF_WHOLE_SECONDS
    if declared is None or damage.jumps or declared - end < least:
        return f"{count} frames are left" if _ends_within_a_box(file) else ""
    expected = round(declared * rate)
    return (
        f"{count} of {max(expected, count)} frames"
        if expected > count
        else f"{float(end):.1f} of {float(declared):.1f} s"
    )


def _ends_within_a_box(file: OpenFile) -> bool:
    """Whether an MP4 or MOV file is shorter than its last box says: fragmented ones need not say how long they are."""
    if "mp4" not in file.container.format.name:
        return False
    with contextlib.suppress(OSError):
        path = Path(file.container.name.removeprefix("file:"))
        return any(not box.whole and box.kind in _MEDIA_BOXES for box in boxes(path))
    return False


def _no_picture(path: Path) -> UserError:
    return UserError(f"{path} has no picture in it that can be decoded: give a video that plays")
