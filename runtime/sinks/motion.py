"""Records the avatar's motion instead of pictures; `perse-live drive` renders it again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from perse_live.errors import UserError
from perse_live.files import write_error
from perse_live.motion_file import MotionFrame, MotionHeader, MotionWriter, read_motion
from runtime.live.frames import DrawnFrame
from runtime.live.motion_state import state_of
from runtime.sinks.recording import claim_unfinished, identity, renamed

_NO_OFFSETS = np.zeros((478, 3), np.float32)


class MotionSink:
    """A `Recorder` of motion. While it is recorded, ME.motion is called ME.unfinished.motion."""

    def __init__(self, path: Path, header: Callable[[], MotionHeader]) -> None:
        """header: what the session is when the first frame comes. Raises UserError where the file cannot be written."""
        self._path, self._header, self._replaced = path, header, identity(path)
        self._unfinished = claim_unfinished(path)
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._writer: MotionWriter | None = None
        self._names: tuple[str, ...] = ()
        self._start = 0.0
        self._failed = self._closed = False

    @property
    def name(self) -> str:
        """Display name."""
        return f"recording {self._path.name}"

    @property
    def path(self) -> Path:
        """Where it will be; once closed, where it is."""
        return self._path

    def write(self, frame: DrawnFrame) -> None:
        """Append what a frame shows.

        Raises UserError where nothing more can be written, such as on a full disk; what was recorded until then is kept and gets
        its name by `close`. After that frames are ignored.
        """
        motion = frame.motion
        with self._lock:
            if self._closed or self._failed or motion is None:
                return
            try:
                if self._file is None or self._writer is None:
                    header = self._header()
                    self._file = self._unfinished.open("wb")
                    self._writer, self._names, self._start = (
                        MotionWriter(self._file, header),
                        header.attributes,
                        frame.time,
                    )
                state = state_of(motion, frame.weights, self._names)
                offsets = _NO_OFFSETS if motion.residual is None else motion.residual
                self._writer.write(MotionFrame(frame.time - self._start, state, offsets))
            except OSError as error:
                self._failed = True
                raise write_error(self._path, error) from error

    def close(self) -> None:
        """Finish the file and give it its name; without a frame that can be drawn there is no file. Closing again does nothing.

        Raises UserError where that fails, unless `write` has raised already; what was recorded until then is kept.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            problem: OSError | None = None
            if self._file is not None:
                try:
                    self._file.close()
                except OSError as error:  # the last bytes, on a full disk
                    problem = error
            if not _holds_motion(self._unfinished):
                self._unfinished.unlink(missing_ok=True)
            else:
                try:
                    self._path = renamed(self._unfinished, self._path, self._replaced)
                except OSError as error:
                    raise UserError(
                        f"{write_error(self._path, error)}; the recording is kept as {self._unfinished}"
                    ) from error
            if problem is not None and not self._failed:
                raise write_error(self._path, problem)


def _holds_motion(path: Path) -> bool:
    """Whether anything in a recording can be drawn."""
    try:
        return next(read_motion(path), None) is not None
    except UserError:
        return False
