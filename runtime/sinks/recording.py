"""Records drawn frames to a video file in real time.

While it is recorded, ME.mp4 is called ME.unfinished.mp4: a fragmented MP4 (or a Matroska file), playable at any time up to the
last second or so, hence also after a crash. Finishing turns it into an ordinary MP4 and gives it its name. FFmpeg's muxer calls
the way there "hybrid fragmented" (FFmpeg 7.1, "Muxers", movflags).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet

from perse_live.errors import UserError
from perse_live.files import CREATOR, write_error
from perse_live.film.boxes import boxes
from perse_live.film.coding import Matrix, add_video_stream, coded_i420
from perse_live.film.source import file_url, open_container
from perse_live.outputs import free_name
from runtime.live.frames import DrawnFrame
from runtime.sinks.fit import fitted_i420
from runtime.sinks.recorded_sound import Listen, RecordedSound

_log = logging.getLogger(__name__)
_SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv"}
_TIME_BASE = Fraction(1, 90_000)
# Talking head, 512x512, one thread: 3 ms a frame with the conversion, 40 dB at 2.3 Mbit/s. `superfast` takes twice that and
# spares 25 % of the file; the time is better spent on drawing. With `zerolatency` no frames wait inside that a crash would lose.
_ENCODER = {"preset": "ultrafast", "tune": "zerolatency", "crf": "20", "threads": "1"}


class RecordingSink:
    """Records drawn frames to H.264, each at the time when it was drawn.

    The first frame decides the size and whether the recording is a two-up matte; later frames of another size are scaled into
    it, and of another layout brought to it.
    """

    def __init__(
        self,
        path: Path,
        *,
        fps: float,
        finished: Callable[[Path], object] | None = None,
        listen: Listen | None = None,
    ) -> None:
        """Begin; the file gets its size with the first frame.

        path: .mp4, .m4v, .mov or .mkv; a file that has this name now is replaced when the recording is finished; one that comes
        meanwhile, such as another session's recording, is not, and this one takes a number then. fps: the rate aimed
        at, for the spacing of keyframes and the length of the last frame. finished: called with the path once the recording has
        its name, such as to mark it; the UserError that it raises is `close`'s. listen: gives the sound, None for none. Raises
        UserError where the file cannot be written.
        """
        if path.suffix.lower() not in _SUFFIXES:
            raise UserError(
                f"cannot record to {path}: recordings are H.264, so name it .mp4, .mov or .mkv"
            )
        if path.is_dir():
            raise UserError(
                f"cannot record to {path}: there is a folder of that name: choose another name"
            )
        self._path, self._fps, self._finished, self._replaced = path, fps, finished, identity(path)
        self._unfinished = claim_unfinished(path)
        self._sound = None if listen is None else RecordedSound(listen)
        self._lock = threading.Lock()
        self._encoder: _Encoder | None = None
        self._failed = self._closed = False

    @property
    def name(self) -> str:
        """Display name, such as "recording ME.mp4"."""
        return f"recording {self._path.name}"

    @property
    def path(self) -> Path:
        """Where the recording will be once it is closed, unless that name is taken by then; afterwards, where it is."""
        return self._path

    @property
    def unfinished_path(self) -> Path:
        """Path during recording; playable after a crash."""
        return self._unfinished

    @property
    def seconds(self) -> float:
        """Length so far."""
        encoder = self._encoder
        return 0.0 if encoder is None else encoder.seconds

    def write(self, frame: DrawnFrame) -> None:
        """Append a frame at its time.

        Raises UserError where nothing more can be written, such as on a full disk. What was recorded until then is kept and
        gets its name by `close`. After `close` frames are ignored.
        """
        with self._lock:
            if self._closed or self._failed:
                return
            try:
                if self._encoder is None:
                    self._encoder = _Encoder(self._unfinished, frame, self._fps, self._sound)
                self._encoder.write(frame)
            except (OSError, FFmpegError) as error:
                self._failed = True
                raise self._error(error) from error

    def close(self) -> None:
        """Finish the file and give it its name; without a single frame there is no file.

        Closing again does nothing. Raises UserError where finishing fails; what was recorded is then kept, playable, under its
        own name if that can be, else under the unfinished one, and the message says so. Where nothing of it plays, as on a disk
        that was full from the start, no file is left.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._sound is not None:
                self._sound.stop()
            problem: OSError | FFmpegError | None = None
            if self._encoder is not None:
                problem = self._encoder.finish()
            if self._encoder is None or not self._encoder.seconds:
                self._unfinished.unlink(missing_ok=True)
                _log.info("%s: no picture came, so there is no file", self.name)
                if problem is not None:
                    raise self._error(problem)
                return
            if problem is not None or self._failed:
                _drop_cut_off_box(self._unfinished)
                if not _plays(self._unfinished):
                    self._unfinished.unlink(missing_ok=True)
                    if problem is not None and not self._failed:
                        raise self._error(problem)
                    return
            self._take_name()
            if problem is not None and not self._failed:
                raise UserError(
                    f"{self._error(problem)}; what was recorded until then is kept and plays"
                ) from problem
            if self._finished is not None:
                self._finished(self._path)

    def _take_name(self) -> None:
        try:
            with self._unfinished.open("rb+") as file:
                os.fsync(file.fileno())
            self._path = renamed(self._unfinished, self._path, self._replaced)
        except OSError as error:
            raise UserError(
                f"{self._error(error)}; the recording is kept as {self._unfinished}"
            ) from error

    def _error(self, error: OSError | FFmpegError) -> UserError:
        return write_error(self._path, error)


def identity(path: Path) -> tuple[int, int, int, int] | None:
    """Tells a file from another of the same name; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def renamed(source: Path, wish: Path, replaced: tuple[int, int, int, int] | None) -> Path:
    """Give a file its name, or a numbered one where a file came meanwhile. replaced: what may be replaced. Returns the name."""
    if replaced is not None and identity(wish) == replaced:
        os.replace(source, wish)
        return wish
    while True:
        path = free_name(wish)
        try:
            os.link(source, path)  # unlike renaming, this replaces nothing
        except FileExistsError:
            continue  # taken at this moment
        except OSError:  # a file system without links
            os.rename(source, path)
            return path
        source.unlink()
        return path


def _plays(path: Path) -> bool:
    """Whether a file holds any picture."""
    try:
        with open_container(path) as film:
            return any(packet.size for packet in film.demux(video=0))
    except (FFmpegError, OSError, IndexError, ValueError):
        return False


class _Encoder:
    """One open file; used under the sink's lock."""

    def __init__(
        self, path: Path, first: DrawnFrame, fps: float, sound: RecordedSound | None
    ) -> None:
        self._two_up = first.matte
        self._height, self._width = first.image.shape[0], first.image.shape[1]
        rate = Fraction(fps).limit_denominator(1001)
        self._container = _open_container(path)
        self._container.metadata["comment"] = CREATOR
        self._stream = add_video_stream(
            self._container,
            "libx264",
            width=self._width,
            height=self._height,
            pixel_format="yuv420p",
            rate=rate,
            time_base=_TIME_BASE,
            matrix=Matrix.BT601,
            options=_ENCODER | {"g": str(max(1, round(fps)))},
        )
        self._frame_ticks = round(1 / rate / _TIME_BASE)
        self._start, self._sound = first.time, sound
        if sound is not None:
            sound.open(self._container, first.time)
        self._last_tick = -1

    @property
    def seconds(self) -> float:
        """Length including the last frame; 0 before the first."""
        return (
            0.0
            if self._last_tick < 0
            else float((self._last_tick + self._frame_ticks) * _TIME_BASE)
        )

    def write(self, frame: DrawnFrame) -> None:
        tick = max(round((frame.time - self._start) / float(_TIME_BASE)), self._last_tick + 1)
        picture = coded_i420(fitted_i420(frame, self._width, self._height, two_up=self._two_up))
        picture.pts, picture.time_base, picture.duration = tick, _TIME_BASE, self._frame_ticks
        self._mux(self._stream.encode(picture))
        self._last_tick = tick
        if self._sound is not None:
            self._container.mux(list(self._sound.packets()))

    def finish(self) -> OSError | FFmpegError | None:
        """Write the end and close; whatever it takes, the file is closed afterwards. Returns what went wrong."""
        try:
            if self._sound is not None:
                self._container.mux(list(self._sound.end()))
            self._mux(self._stream.encode(None))
            self._container.close()
        except (OSError, FFmpegError) as error:
            with contextlib.suppress(FFmpegError, OSError, ValueError):
                self._container.close()
            return error
        return None

    def _mux(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            # A fragment's last frame needs it; the next fragment's time overrides it
            packet.duration = self._frame_ticks
            self._container.mux(packet)


def _open_container(path: Path) -> OutputContainer:
    # Hand every fragment to the system at once: it outlives this process there
    options = {"flush_packets": "1"}
    if path.suffix.lower() != ".mkv":
        options["movflags"] = "hybrid_fragmented+frag_keyframe"
    return av.open(file_url(path), "w", options=options)


def claim_unfinished(path: Path) -> Path:
    """Make the empty file to write to: ME.unfinished.mp4, numbered where an earlier crash left one."""
    for number in itertools.count(1):
        candidate = path.with_name(
            f"{path.stem}.unfinished{'' if number == 1 else f'-{number}'}{path.suffix}"
        )
        try:
            candidate.touch(exist_ok=False)
        except FileExistsError:
            continue
        except OSError as error:
            raise write_error(path, error) from error
        return candidate
    raise AssertionError("counting never ends")


def _drop_cut_off_box(path: Path) -> None:
    """Cut a fragmented MP4 behind its last whole box (ISO/IEC 14496-12, 4.2): some players refuse a file cut within one."""
    if path.suffix.lower() == ".mkv":
        return  # Matroska players expect it
    # a fragment's head without its pictures, which follow it, is none
    whole = [box.end for box in boxes(path) if box.whole and box.kind != b"moof"]
    os.truncate(path, whole[-1] if whole else 0)
