"""The first half of a session: from a source to motions relative to rest, on a thread that knows nothing of drawing.

Camera pictures live and die here: what leaves this module is numbers.
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
_WINDOWS = 3  # that a picture without a face is searched in: 7 ms
_RESTART_SECONDS = 1.0  # after the tracker has failed
_LONGEST_CAUSE = 200  # characters
_LEAST_CONFIDENCE = 0.05  # below, what was found is taken for no face


@dataclass(frozen=True, eq=False)
class Observation:
    """What one picture, or one message, told."""

    motion: TrackedFrame | None
    """Relative to `CANONICAL`; None: nobody is there."""
    captured: float
    """Seconds of `time.monotonic()` when the picture was taken."""


@dataclass(frozen=True)
class CalibrationState:
    """Where learning the driver's neutral face has got to."""

    phase: str
    """"waiting", "countdown", "learning" or "done"."""
    seconds: float = 0.0
    """Left of the countdown."""


class Feed(Protocol):
    """A thread that makes observations until it is closed or its source has ended."""

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
        """Why nothing comes just now; empty while all is well."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the source has come to its end."""
        ...

    def calibration(self) -> CalibrationState:
        """How the driver's neutral face stands."""
        ...

    def recalibrate(self, seconds: float) -> None:
        """Learn it again after a countdown."""
        ...

    def start(self) -> None:
        """Begin."""
        ...

    def close(self) -> None:
        """End the thread and free the source; closing again does nothing."""
        ...


class _Worker(ABC):
    """What both feeds share: a thread that reads on until told to stop, and says what is wrong."""

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
        """capture, track: told how old a picture is when tracking begins, and how long tracking takes."""
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
        """How far learning the driver's neutral face has got."""
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
        """Until stopped, or the source ends. Raises _TrackingFailed; what the source raises for good passes."""
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
            except Exception as error:  # MediaPipe raises what it likes
                raise _TrackingFailed(one_line(error, _LONGEST_CAUSE)) from error
            self._seen_anybody |= motion is not None
            if motion is not None and motion.confidence < _LEAST_CONFIDENCE:
                motion = None
            self._track.add(time.monotonic() - begin)
            self.observations.put(Observation(motion, frame.time))


class _TrackingFailed(Exception):
    """Something in the tracker, not in the source, has raised."""


class MotionFeed(_Worker):
    """Passes on what somebody else has tracked."""

    def __init__(self, source: MotionSource, *, track: StageClock, neck_pivot: FloatArray) -> None:
        """neck_pivot: (3,) metres, head frame: what the head turns about."""
        super().__init__(source.name, source.close)
        self._source, self._track, self._pivot = source, track, neck_pivot

    def calibration(self) -> CalibrationState:
        """Nothing to learn."""
        return CalibrationState("done")

    def recalibrate(self, seconds: float) -> None:
        """Raise UserError: it is done elsewhere."""
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
