"""Recordings of a session, one file after another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from perse_live.outputs import free_name
from runtime.live.frames import DrawnFrame
from runtime.live.notices import Notices
from runtime.live.outlets import Outlet
from runtime.live.slot import Latest
from runtime.sinks.contract import Recorder


@dataclass(frozen=True)
class Recording:
    """A recording that has begun."""

    outlet: Outlet
    path: Path
    begun: float
    """Seconds of time.monotonic."""


class Recordings:
    """Starts and stops recordings. Thread-safe."""

    def __init__(
        self,
        recorder: Callable[[Path], Recorder],
        path: Path | None,
        drawn: Latest[DrawnFrame],
        notices: Notices,
    ) -> None:
        """Prepare; nothing is recorded yet.

        recorder: opens a file; path: of the first recording, later ones are numbered; None for names with date and time in the
        working directory. drawn: the frames.
        """
        self._recorder, self._path, self._drawn, self._notices = recorder, path, drawn, notices
        self._lock = threading.RLock()
        self._count = 0
        self._current: Recording | None = None
        self._finishing: dict[Path, Outlet] = {}  # stopped, but their files are still being written
        self._last: Path | None = None

    @property
    def running(self) -> Recording | None:
        """The recording that takes frames now."""
        current = self._current
        return current if current is not None and current.outlet.running else None

    @property
    def last(self) -> Path | None:
        """The last recording that was finished."""
        return self._last

    @property
    def outlets(self) -> tuple[Outlet, ...]:
        """The outlet of the current recording; also after a failure, so that the error is shown until the next one begins."""
        return () if self._current is None else (self._current.outlet,)

    def start(self) -> None:
        """Begin a recording, unless one is running; raises UserError where its file cannot be written."""
        with self._lock:
            if self.running is not None:
                return
            path = self._free_path()
            recorder = self._recorder(path)
            outlet = Outlet(
                recorder, self._drawn, on_end=lambda problem: self._ended(recorder, problem)
            )
            self._current = Recording(outlet, path, time.monotonic())
            self._count += 1
        self._notices.add(f"recording to {path.name}")

    def stop(self) -> None:
        """End the running recording, if any, without waiting for its file: writing the rest takes up to 0.1 s."""
        with self._lock:
            running = self.running
            if running is None:
                return
            running.outlet.finish()
            still = {path: outlet for path, outlet in self._finishing.items() if outlet.running}
            self._finishing = {**still, running.path: running.outlet}
            self._current = None

    def close(self) -> None:
        """Finish every file and wait for it."""
        with self._lock:
            outlets: Iterable[Outlet] = (*self.outlets, *self._finishing.values())
        for outlet in outlets:  # without the lock: `_ended` runs in the outlets' threads
            outlet.close()

    def _ended(self, recorder: Recorder, problem: str) -> None:
        """Called in the recording's thread when its file is complete or has failed.

        A recording that was cut short, as by a full disk, does not replace the last good one.
        """
        path = recorder.path
        if path.is_file() and not (problem and self._last is not None):
            self._last = path
        self._notices.add(problem or f"recorded {path.name}")

    def _free_path(self) -> Path:
        if self._path is not None and self._count == 0:
            return self._path
        wish = self._path or Path(f"perse-live-{datetime.now().strftime('%Y%m%d-%H%M%S')}.mp4")
        return free_name(wish, taken=self._finishing)
