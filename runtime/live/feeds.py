"""Tracking half of a session: reads a source in a separate thread and outputs motion relative to rest.

Camera pictures do not leave this module: only numbers do.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from perse_live.arrays import FloatArray
from perse_live.errors import UserError, one_line
from perse_live.follow import FaceFollower
from perse_live.head.landmarks import load_landmark_model
from perse_live.threads import name_this_thread
from runtime.live.clock import StageClock
from runtime.live.painter import CANONICAL
from runtime.live.scripted import turned_on_neck
from runtime.live.slot import Latest
from runtime.sources.contract import MotionSource, PictureSource, SourceLost
from runtime.tracker import StrangerTracker, TrackedFrame, TrackerConfig

_log = logging.getLogger(__name__)
_READ_SECONDS = 0.1
_WINDOWS = 3  # windows that a picture without a face is searched in: 7 ms
_RESTART_SECONDS = 1.0  # after the tracker has failed
_LONGEST_CAUSE = 200  # characters
_MIN_CONFIDENCE = 0.05  # confidence below which a detection counts as no face


@dataclass(frozen=True, eq=False)
class Observation:
    """Result of tracking one picture, or of one message."""

    motion: TrackedFrame | None
    """Relative to `CANONICAL`; None: no face."""
    captured: float
    """Seconds of `time.monotonic()` when the picture was taken."""


@dataclass(frozen=True)
class CalibrationState:
    """Progress of learning the driver's neutral face."""

    phase: str
    """"waiting", "countdown", "learning" or "done"."""
    seconds: float = 0.0
    """Remaining seconds of the countdown."""


class Feed(Protocol):
    """A thread that produces observations until it is closed or its source has ended."""

    @property
    def observations(self) -> Latest[Observation]:
        """The newest one."""
        ...

    @property
    def name(self) -> str:
        """Of the source, for people."""
        ...

    @property
    def problem(self) -> str:
        """Why no observations come at present; empty while they do."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the source has come to its end."""
        ...

    def calibration(self) -> CalibrationState:
        """Progress of learning the driver's neutral face."""
        ...

    def recalibrate(self, seconds: float) -> None:
        """Learn the driver's neutral face again after a countdown of seconds."""
        ...

    def start(self) -> None:
        """Begin."""
        ...

    def close(self) -> None:
        """End the thread and free the source; closing again does nothing."""
        ...


class _Worker(ABC):
    """Common part of both feeds: a thread that reads until stopped, and a description of the current problem."""

    def __init__(self, name: str, close_source: Callable[[], None]) -> None:
        self.observations: Latest[Observation] = Latest()
        self.name, self.problem, self.ended = name, "", False
        self._close_source = close_source
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="track", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        self._close_source()
        if self._thread.is_alive():
            self._thread.join()
        self.observations.close()

    def _work(self) -> None:
        name_this_thread()
        try:
            self._run()
        except Exception as error:
            self.problem = f"{self.name} has failed: {error}"
            _log.exception("%s", self.problem)
        finally:
            self.ended = True

    @abstractmethod
    def _run(self) -> None:
        """Read and observe until stopped, or until the source ends."""

    def _lost(self, error: SourceLost) -> None:
        if self.problem != str(error):
            _log.warning("%s", error)
        self.problem = str(error)
        self.observations.put(Observation(None, time.monotonic()))
        self._stopped.wait(_READ_SECONDS)


class PictureFeed(_Worker):
    """Tracks the face in camera pictures."""

    def __init__(
        self,
        source: PictureSource,
        *,
        capture: StageClock,
        track: StageClock,
        config: TrackerConfig,
    ) -> None:
        """capture, track: clocks for the age of a picture when tracking begins, and for the duration of tracking."""
        super().__init__(source.name, source.close)
        self._source, self._capture, self._track = source, capture, track
        self._executor = ThreadPoolExecutor(
            1, thread_name_prefix="calibrate", initializer=name_this_thread
        )
        self._config = config
        self._tracker = self._new_tracker()
        self._countdown_ends: float | None = None
        self._seen_anybody = False

    def close(self) -> None:
        """End the thread and free the source; closing again does nothing."""
        super().close()
        self._executor.shutdown()

    def calibration(self) -> CalibrationState:
        """Progress of learning the driver's neutral face."""
        ends = self._countdown_ends
        if ends is not None:
            return CalibrationState("countdown", max(0.0, ends - time.monotonic()))
        if self._tracker.calibration is not None:
            return CalibrationState("done")
        return CalibrationState("learning" if self._seen_anybody else "waiting")

    def recalibrate(self, seconds: float) -> None:
        """Learn the neutral face again after a countdown of seconds."""
        self._countdown_ends = time.monotonic() + seconds

    def _run(self) -> None:
        while True:
            try:
                with FaceFollower(windows=_WINDOWS) as follower:
                    self._follow(follower)
                return
            except _TrackingFailed as failed:
                self.problem = (
                    f"following the face in {self.name} has failed and begins again: {failed}"
                )
                _log.warning("%s", self.problem)
            self.observations.put(Observation(None, time.monotonic()))
            self._tracker = self._new_tracker()
            self._seen_anybody = False
            if self._stopped.wait(_RESTART_SECONDS):
                return

    def _new_tracker(self) -> StrangerTracker:
        return StrangerTracker(
            CANONICAL, load_landmark_model(), config=self._config, executor=self._executor
        )

    def _follow(self, follower: FaceFollower) -> None:
        """Track until stopped or the source ends. Raises _TrackingFailed; final errors of the source are passed on."""
        while not self._stopped.is_set():
            try:
                frame = self._source.read(_READ_SECONDS)
            except SourceLost as error:
                self._lost(error)
                continue
            except EOFError:
                self.observations.put(Observation(None, time.monotonic()))
                return
            self.problem = ""
            if frame is None:
                continue
            if self._countdown_ends is not None and time.monotonic() >= self._countdown_ends:
                self._tracker.recalibrate()
                self._countdown_ends, self._seen_anybody = None, False
            begin = time.monotonic()
            self._capture.add(max(0.0, begin - frame.time))
            try:
                face = follower.update(frame.image, frame.time)
                motion = self._tracker.update(face, frame.time)
            except Exception as error:  # MediaPipe raises exceptions of many types
                raise _TrackingFailed(one_line(error, _LONGEST_CAUSE)) from error
            self._seen_anybody |= motion is not None
            if motion is not None and motion.confidence < _MIN_CONFIDENCE:
                motion = None
            self._track.add(time.monotonic() - begin)
            self.observations.put(Observation(motion, frame.time))


class _TrackingFailed(Exception):
    """The tracker, not the source, has raised an exception."""


class MotionFeed(_Worker):
    """Passes on motion that was tracked by another program."""

    def __init__(self, source: MotionSource, *, track: StageClock, neck_pivot: FloatArray) -> None:
        """neck_pivot: (3,) metres, head frame: pivot of head turns."""
        super().__init__(source.name, source.close)
        self._source, self._track, self._pivot = source, track, neck_pivot

    def calibration(self) -> CalibrationState:
        """Nothing to learn."""
        return CalibrationState("done")

    def recalibrate(self, seconds: float) -> None:
        """Always raises UserError: calibration happens in the tracking program."""
        raise UserError(f"{self.name} is calibrated where it is tracked, not here")

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                motion = self._source.read(_READ_SECONDS)
            except SourceLost as error:
                self._lost(error)
                continue
            self.problem = ""
            if motion is not None:
                with self._track.measured():
                    shift = motion.t_cam_head + turned_on_neck(motion.R_cam_head, self._pivot)
                    self.observations.put(
                        Observation(
                            replace(motion, t_cam_head=shift.astype(np.float32)), time.monotonic()
                        )
                    )
