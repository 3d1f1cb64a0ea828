"""Keeps the frame rate on a slow machine: lowers resolution, then the number of Gaussians, and raises them again when
possible.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

_SECONDS = 1.5  # window over which drawing times are averaged
_MANY, _FEWEST = 10, 4  # frames that are enough at once, and after those seconds
# Seconds from a step down to a try up: at first, after many mistakes
_PATIENCE, _LONGEST_PATIENCE = (3.0, 60.0)
_TOO_SLOW = 0.85  # maximum fraction of the frame interval that drawing may take
_ENOUGH, _ROOM = 0.75, 0.6  # the share expected after a step down, and after a step up
_FREER = 0.7  # of the share before a try that was a mistake: from here on the machine counts as another one


@dataclass(frozen=True)
class Effort:
    """Resolution and number of Gaussians to draw."""

    scale: float
    """Scale of the picture's sides, (0, 1]."""
    gaussians: float
    """Fraction of the Gaussians outside the face that are drawn, (0, 1]."""

    @property
    def cost(self) -> float:
        """Expected drawing time, as a share of that at full effort.

        Pixels and Gaussians count alike. The least effort comes to 0.4; measured at 512x512 it is 0.62, so that a step up costs
        less than expected.
        """
        return 0.5 * self.scale**2 + 0.5 * self.gaussians


LADDER = (
    Effort(1.0, 1.0),
    Effort(0.84, 1.0),
    Effort(0.7, 1.0),
    Effort(0.7, 0.7),
    Effort(0.55, 0.7),
    Effort(0.55, 0.5),
)
"""From full effort to the least."""


class Governor:
    """Measures drawing times and chooses the highest effort of the ladder that is expected to keep the frame rate.

    A step up that had to be reverted is retried after increasing delays, unless frames of the same effort have become much
    faster.
    """

    def __init__(self, target_fps: float) -> None:
        """target_fps: frames per second to keep."""
        self.target_fps = target_fps
        self._budget = 1 / target_fps
        self._times: deque[tuple[float, float]] = deque()
        self._rung, self._changed = 0, -np.inf
        self._patience = _PATIENCE
        # The rung and the share of time from which the last step up was taken
        self._tried: tuple[int, float] | None = None
        # The same of the last one that had to be taken back
        self._mistake: tuple[int, float] | None = None

    @property
    def effort(self) -> Effort:
        """The current effort."""
        return LADDER[self._rung]

    def update(self, seconds: float, now: float) -> Effort:
        """Add the drawing time of a frame; returns the effort for the next one.

        seconds: the time that drawing one frame took; now: seconds, growing.
        """
        self._times.append((now, seconds))
        while len(self._times) > _FEWEST and now - self._times[1][0] >= _SECONDS:
            self._times.popleft()
        # Where a frame takes half a second there are not many
        count = _MANY if now - self._times[0][0] < _SECONDS else _FEWEST
        waited = now - self._changed
        if waited < _SECONDS or len(self._times) < count:
            return self.effort
        if self._tried is not None and waited > self._patience:  # the step up was kept
            self._patience, self._tried, self._mistake = (
                max(self._patience / 2, _PATIENCE),
                None,
                None,
            )
        share = float(np.median([length for _, length in self._times])) / self._budget
        if share > _TOO_SLOW and self._rung + 1 < len(LADDER):
            if self._tried is not None:
                self._patience, self._mistake = (
                    min(2 * self._patience, _LONGEST_PATIENCE),
                    self._tried,
                )
            self._tried = None
            lower = range(self._rung + 1, len(LADDER))
            self._move(
                next((rung for rung in lower if self._expected(share, rung) < _ENOUGH), lower[-1]),
                now,
            )
        elif self._rung > 0 and (waited > self._patience or self._freer(share)):
            best = next(
                rung
                for rung in range(len(LADDER))
                if rung == self._rung or self._expected(share, rung) < _ROOM
            )
            if best < self._rung:
                self._tried = self._rung, share
                self._move(best, now)
        return self.effort

    def _expected(self, share: float, rung: int) -> float:
        return share * LADDER[rung].cost / self.effort.cost

    def _freer(self, share: float) -> bool:
        """Whether frames are much faster than when the last step up failed, so that it may succeed now."""
        return (
            self._mistake is not None
            and self._mistake[0] == self._rung
            and share < _FREER * self._mistake[1]
        )

    def _move(self, rung: int, now: float) -> None:
        self._rung, self._changed = rung, now
        self._times.clear()

    @property
    def reason(self) -> str:
        """For people; empty at full effort."""
        effort = self.effort
        if effort == LADDER[0]:
            return ""
        fewer = (
            f" and {effort.gaussians:.0%} of the Gaussians around the face"
            if effort.gaussians < 1
            else ""
        )
        return f"drawing at {effort.scale:.0%} size{fewer} to keep {self.target_fps:.0f} fps"
