"""Weights that follow their targets smoothly."""

from __future__ import annotations

from runtime.presence import ease

SECONDS = 0.4
"""From one weight to another, eased in and out."""


class Fade:
    """One weight in [0, 1] on its way to a target; times are seconds, growing."""

    def __init__(self, weight: float = 0.0) -> None:
        self.target = weight
        self._from, self._since = weight, -SECONDS

    def to(self, target: float, time: float) -> None:
        """Set out for another target from wherever the weight is now."""
        self._from, self._since, self.target = self.at(time), time, target

    def at(self, time: float) -> float:
        """The weight at a time."""
        return self._from + (self.target - self._from) * ease((time - self._since) / SECONDS)

    def moving(self, time: float) -> bool:
        """Whether the weight is still on its way."""
        return time - self._since < SECONDS and self._from != self.target
