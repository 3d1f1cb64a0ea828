"""Keeping the frame rate on a slow machine: draw smaller, then draw fewer Gaussians; and back up when there is room."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

_SECONDS = 1.5  # over which drawing times are judged
_MANY, _FEWEST = 10, 4  # frames that are enough at once, and after those seconds
_PATIENCE = 6.0  # seconds after a step down before a step up is tried; doubled when that was a mistake, halved when it stood
_TOO_SLOW, _ROOM = 0.85, 0.45  # share of the time between two frames that drawing takes


@dataclass(frozen=True)
class Effort:
    """How much is drawn."""

    scale: float
    """Of the picture's sides, (0, 1]."""
    gaussians: float
    """Share of the Gaussians beyond the face that are drawn, (0, 1]."""


LADDER = (Effort(1.0, 1.0), Effort(0.84, 1.0), Effort(0.7, 1.0), Effort(0.7, 0.7), Effort(0.55, 0.7), Effort(0.55, 0.5))
"""From full effort to the least."""


class Governor:
    """Watches how long drawing takes and climbs up and down the ladder."""

    def __init__(self, target_fps: float) -> None:
        """target_fps: frames per second to keep."""
        self._budget = 1 / target_fps
        self._times: deque[tuple[float, float]] = deque()
        self._rung, self._changed = 0, -np.inf
        self._patience, self._raised = _PATIENCE, False

    @property
    def effort(self) -> Effort:
        """How much to draw now."""
        return LADDER[self._rung]

    def update(self, seconds: float, now: float) -> Effort:
        """Note how long a frame took, and say how much to draw from here on.

        seconds: the time that drawing one frame took; now: seconds, growing.
        """
        self._times.append((now, seconds))
        while len(self._times) > _FEWEST and now - self._times[1][0] >= _SECONDS:
            self._times.popleft()
        count = _MANY if now - self._times[0][0] < _SECONDS else _FEWEST  # where a frame takes half a second there are not many
        if now - self._changed < _SECONDS or len(self._times) < count:
            return self.effort
        if self._raised and now - self._changed > self._patience:  # it stood: the machine has become free
            self._patience, self._raised = max(self._patience / 2, _PATIENCE), False
        share = float(np.median([length for _, length in self._times])) / self._budget
        if share > _TOO_SLOW and self._rung + 1 < len(LADDER):
            if self._raised:
                self._patience = min(2 * self._patience, 120.0)
            self._move(1, now)
        elif share < _ROOM and self._rung > 0 and now - self._changed > self._patience:
            self._move(-1, now)
        return self.effort

    def _move(self, step: int, now: float) -> None:
        self._rung += step
        self._changed, self._raised = now, step < 0
        self._times.clear()

    @property
    def reason(self) -> str:
        """For people; empty at full effort."""
        effort = self.effort
        if effort == LADDER[0]:
            return ""
        fewer = f" and {effort.gaussians:.0%} of the Gaussians around the face" if effort.gaussians < 1 else ""
        return f"drawing at {effort.scale:.0%} size{fewer} to keep {1 / self._budget:.0f} fps"
