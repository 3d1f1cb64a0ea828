"""The One-Euro filter: little jitter at rest, little delay in motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perse_live.arrays import Float64Array, FloatArray


@dataclass(frozen=True)
class OneEuroConfig:
    """How strongly to smooth; Casiez, Roussel & Vogel, "1 Euro filter", CHI 2012."""

    cutoff_hz: float = 1.7
    """Hz, cutoff for a signal at rest; lower is smoother and adds more delay."""
    speed_gain: float = 8.0
    """Increase of the cutoff with speed, Hz per unit of the signal per second; higher follows quick motion with less delay."""
    speed_cutoff_hz: float = 1.0
    """Hz, cutoff of the low-pass on the estimated speed."""

    @property
    def delay_at_rest(self) -> float:
        """Delay of slow changes in seconds, 1 / (2 pi cutoff); less for quick motion."""
        return 1 / (2 * np.pi * self.cutoff_hz)


@dataclass(eq=False)
class OneEuroFilter:
    """Filter of a signal or of an array, whose elements are filtered independently."""

    config: OneEuroConfig
    _time: float | None = None
    _value: Float64Array | None = None
    _speed: Float64Array | None = None

    def __call__(self, value: FloatArray, time: float) -> Float64Array:
        """The next value, smoothed.

        value: any shape, the same every time; time: seconds; where it does not grow, the value is passed on as it is.
        """
        now = np.asarray(value, np.float64)
        if self._value is None or self._speed is None or self._time is None or time <= self._time:
            self._time, self._value, self._speed = time, now, np.zeros_like(now)
            return now
        step = time - self._time
        speed = self._speed + _share(self.config.speed_cutoff_hz, step) * (
            (now - self._value) / step - self._speed
        )
        smooth = self._value + _share(
            self.config.cutoff_hz + self.config.speed_gain * np.abs(speed), step
        ) * (now - self._value)
        self._time, self._value, self._speed = time, smooth, speed
        return smooth

    def reset(self) -> None:
        """Reset the state: the next value is returned unchanged."""
        self._time = self._value = self._speed = None


def _share(cutoff: FloatArray | float, step: float) -> FloatArray | float:
    """Smoothing factor of a first-order low-pass for one time step."""
    angle = 2 * np.pi * cutoff * step
    return angle / (angle + 1)
