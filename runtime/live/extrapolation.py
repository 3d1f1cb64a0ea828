"""Motion between camera pictures, for sessions that draw more frames than the camera delivers."""

from __future__ import annotations

import numpy as np

from runtime.live.feeds import Observation
from runtime.presence import mixed
from runtime.tracker import TrackedFrame

_STALE_SECONDS = 0.4  # without an observation, after which the face counts as lost
_PREDICTED = 0.8  # share of the last step that is extrapolated between two observations
_JUST_ARRIVED_SECONDS = 0.004  # a newer observation is used unchanged
_LONGEST_STEP_SECONDS = 0.2  # between two observations that may be extrapolated


class MotionExtrapolator:
    """Extrapolates linearly from the newest two observations."""

    def __init__(self) -> None:
        self._last: TrackedFrame | None = None
        self._before: TrackedFrame | None = None
        self._arrived = -np.inf

    def add(self, observation: Observation, now: float) -> None:
        """Add an observation that arrived at `now` (seconds)."""
        self._before = self._last if observation.motion is not None else None
        self._last, self._arrived = observation.motion, now

    def motion(self, now: float) -> TrackedFrame | None:
        """Motion at `now`; None where no face has been seen lately."""
        last, before = self._last, self._before
        late = now - self._arrived
        if last is None or late > _STALE_SECONDS:
            return None
        if before is None or late < _JUST_ARRIVED_SECONDS:
            return last
        step = last.timestamp - before.timestamp
        if not 0 < step < _LONGEST_STEP_SECONDS:
            return last
        return mixed(before, last, 1 + _PREDICTED * min(late / step, 1.0))
