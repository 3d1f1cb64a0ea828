"""Opens film files: selects the streams of picture and sound, and rejects files that are no films."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from perse_live.errors import UserError
from perse_live.film.boxes import boxes
from perse_live.film.clock import Clock

MAX_PICTURE_PIXELS = 8192 * 4320
"""Of one picture, stored or shown: 8K with room. A larger one takes over 100 MiB each time it is copied."""
_LONGEST_SIDE = 16384  # pixels; also of pictures of few pixels
_FALLBACK_RATE = Fraction(25)
# Outside, the container's rate is a mistake
_MIN_RATE, _GREATEST_RATE = (Fraction(1, 10), Fraction(1000))
_MAX_REORDERED = 5  # seconds between decoding a picture and showing it
_MAX_READ_ERRORS = 64  # in a row, after which a file counts as cut off
_GIVE_A_FILM = "give an MP4, MOV, MKV, WebM or AVI file"
# ISO/IEC 23008-12, 23000-22
_PICTURE_BRANDS = {"heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1", "avif", "avis"}
_EBML = b"\x1aE\xdf\xa3"  # MKV and WebM begin so (RFC 8794)
# Of MOV files without `ftyp` (QuickTime File Format)
_FIRST_BOXES = {b"moov", b"mdat", b"wide", b"free", b"skip"}
_MAX_BOXES = 1000  # that are looked through for an index; fragmented files, which have more, begin with theirs
_COVER = Disposition.attached_pic | Disposition.timed_thumbnails


@dataclass(frozen=True)
class OpenFile:
    """An open film file and its selected streams."""

    container: InputContainer
    video: VideoStream
    audio: AudioStream | None


def open_container(path: Path) -> InputContainer:
    """A file by FFmpeg's demuxers, which may read files only: a playlist under a film's name cannot make us fetch anything.

    Texts in it need not be UTF-8. Raises av.error.FFmpegError and OSError.
    """
    return av.open(
        file_url(path), "r", options={"protocol_whitelist": "file"}, metadata_errors="replace"
    )


def file_url(path: Path) -> str:
    """A file's name as FFmpeg takes it: without the prefix, "call 12:30.mp4" would name a protocol."""
    return f"file:{path}"


@contextlib.contextmanager
def opened(path: Path) -> Generator[OpenFile, None, None]:
    """Open a film for reading, from the disk only: playlists cannot make us fetch anything.

    Raises UserError for what is no film, has no moving picture, or has pictures that are too large.
    """
    if not path.is_file():
        raise UserError(
            f"cannot read {path}: {'it is not an ordinary file' if path.exists() else 'there is no such file'}"
        )
    try:
        container = open_container(path)
    except (FFmpegError, OSError) as error:
        if _index_is_missing(path):
            raise UserError(
                f"{path} is cut off: its index, which stands at the end, is missing: give the whole file"
            ) from error
        raise UserError(
            f"{path} is not a video that can be read ({reason(error)}): {_GIVE_A_FILM}"
        ) from error
    with container:
        kind = container.format.name
        brand = container.metadata.get("major_brand", "").strip()
        if kind == "tty" or kind == "image2" or kind.endswith("_pipe") or brand in _PICTURE_BRANDS:
            what = "text" if kind == "tty" else "a picture"
            raise UserError(f"{path} is {what}, not a video: {_GIVE_A_FILM}")
        video = _chosen(path, container.streams.video)
        check_size(path, video.width, video.height)
        video.thread_type = "AUTO"
        # What is coded may be larger than what the container says
        video.codec_context.options = {"max_pixels": str(MAX_PICTURE_PIXELS)}
        yield OpenFile(container, video, _chosen_sound(container.streams.audio))


def looks_like_film(path: Path) -> bool:
    """Whether a file begins as MP4, MOV, MKV, WebM or AVI files do; pictures in ISO containers (HEIC, AVIF) do not count."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        head = file.read(12)
        if head[4:8] == b"ftyp":
            return head[8:12].decode("latin-1") not in _PICTURE_BRANDS
        return (
            head[:4] == _EBML
            or head[4:8] in _FIRST_BOXES
            or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        )
    return False


def packets(file: OpenFile, clock: Clock) -> Iterator[Packet[Any] | None]:
    """All packets of the chosen streams in the order of the file, their times corrected by the clock; empty ones at the end.

    None where bytes could not be read as a packet. Ends at the end of the file, or where nothing more can be read.
    """
    streams = [file.video] if file.audio is None else [file.video, file.audio]
    frame_length = 1 / frame_rate(file.video)
    errors = 0
    while errors < _MAX_READ_ERRORS:
        try:
            for packet in file.container.demux(*streams):
                errors = 0
                stamp = _stamp(packet)
                if stamp is not None and not packet.size:
                    continue  # "as before", in Theora and AVI; decoders take an empty packet for the end
                if stamp is not None:
                    length = (packet.duration or 0) * packet.time_base
                    if not length and packet.stream_index == file.video.index:
                        length = frame_length
                    ticks = round(
                        clock.correct(packet.stream_index, stamp, length) / packet.time_base
                    )
                    packet.pts = None if packet.pts is None else packet.pts + ticks
                    packet.dts = None if packet.dts is None else packet.dts + ticks
                yield packet
            return
        except IndexError:  # at the end, where a stream began in mid-film, which PyAV does not expect (18.1, container/input.py)
            return
        except FFmpegError:
            errors += 1
            yield None


def _stamp(packet: Packet[Any]) -> Fraction | None:
    """When a packet is decoded, seconds; None for one without times."""
    if packet.pts is None or packet.dts is None:
        stamp = packet.dts if packet.pts is None else packet.pts
    else:  # some containers store only when a picture is shown, and FFmpeg's guess of the rest is late to see a jump
        stamp = (
            packet.pts
            if abs(packet.pts - packet.dts) * packet.time_base > _MAX_REORDERED
            else packet.dts
        )
    return None if stamp is None else stamp * packet.time_base


def frame_rate(stream: VideoStream) -> Fraction:
    """Frames per second, the mean where it is uneven."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and _MIN_RATE <= rate <= _GREATEST_RATE:
            return rate
    return _FALLBACK_RATE


def check_size(path: Path, width: int, height: int) -> None:
    """Raises UserError for pictures (pixels) that would take too much memory."""
    if width * height > MAX_PICTURE_PIXELS or max(width, height) > _LONGEST_SIDE:
        raise UserError(
            f"{path} has pictures of {width}x{height} pixels, over the limit of 8192x4320: make it smaller first"
        )


def reason(error: Exception) -> str:
    """Text of an error of FFmpeg or the system."""
    return str(getattr(error, "strerror", None) or error)


def _chosen(path: Path, streams: Sequence[VideoStream]) -> VideoStream:
    """The picture that players show: the longest of those marked as default, else the longest; never a cover."""
    if not streams:
        raise UserError(f"{path} has no picture in it (only sound or text): give a video")
    films = [stream for stream in streams if not stream.disposition & _COVER]
    if not films:
        raise UserError(f"{path} has no film in it, only sound with a cover picture: give a video")
    readable = [stream for stream in films if _decodable(stream) and stream.width and stream.height]
    if not readable:
        raise UserError(
            f"{path} has a picture that cannot be decoded here: convert it to H.264 first"
        )
    marked = [stream for stream in readable if stream.disposition & Disposition.default] or readable
    return max(marked, key=lambda stream: (_seconds(stream), stream.width * stream.height))


def _chosen_sound(streams: Sequence[AudioStream]) -> AudioStream | None:
    readable = [stream for stream in streams if _decodable(stream) and stream.rate]
    return max(
        readable, key=lambda stream: bool(stream.disposition & Disposition.default), default=None
    )


def _decodable(stream: VideoStream | AudioStream) -> bool:
    # PyAV has none for codecs that FFmpeg does not know
    return cast("object", stream.codec_context) is not None


def _seconds(stream: VideoStream) -> Fraction:
    if stream.duration is not None and stream.time_base is not None:
        return stream.duration * stream.time_base
    return tagged_duration(stream) or stream.frames / frame_rate(stream)


def tagged_duration(stream: VideoStream | AudioStream) -> Fraction | None:
    """Seconds, from the tag that Matroska files carry for each stream (HH:MM:SS.fraction)."""
    text = stream.metadata.get("DURATION", "")
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    except (ValueError, ZeroDivisionError):
        return None


def _index_is_missing(path: Path) -> bool:
    """Whether an MP4 or MOV file has a box of pictures but none of the index (`moov`, ISO/IEC 14496-12, 8.2.1)."""
    kinds: set[bytes] = set()
    with contextlib.suppress(OSError):
        kinds = {box.kind for box in itertools.islice(boxes(path), _MAX_BOXES)}
    return b"mdat" in kinds and b"moov" not in kinds
