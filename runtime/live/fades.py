"""Attribute weights that are eased towards their targets."""

from __future__ import annotations

from runtime.presence import ease

SECONDS = 0.4
"""Duration of a fade between two weights, eased in and out."""


class Fade:
    """One weight in [0, 1] that fades to a target; times are in seconds, increasing."""

    def __init__(self, weight: float = 0.0) -> None:
        self.target = weight
        self._from, self._since = weight, -SECONDS

    def to(self, target: float, time: float) -> None:
        """Start a fade from the current weight to another target."""
        self._from, self._since, self.target = self.at(time), time, target

    def at(self, time: float) -> float:
        """The weight at a time."""
        return self._from + (self.target - self._from) * ease((time - self._since) / SECONDS)

    def moving(self, time: float) -> bool:
        """Whether the weight is still changing."""
        return time - self._since < SECONDS and self._from != self.target
