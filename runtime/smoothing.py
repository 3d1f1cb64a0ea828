"""The One-Euro filter: little jitter at rest, little delay in motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perse_live.arrays import Float64Array, FloatArray


@dataclass(frozen=True)
class OneEuroConfig:
    """How strongly to smooth; Casiez, Roussel & Vogel, "1 Euro filter", CHI 2012."""

    cutoff_hz: float = 1.7
    """Cutoff for a signal at rest; lower is calmer and later."""
    speed_gain: float = 8.0
    """How much the cutoff rises with speed, Hz per unit of the signal per second; higher follows quick motion sooner."""
    speed_cutoff_hz: float = 1.0
    """Cutoff of the estimate of speed itself."""

    @property
    def delay_at_rest(self) -> float:
        """Seconds by which slow changes come late, 1 / (2 pi cutoff); quick motion comes less late."""
        return 1 / (2 * np.pi * self.cutoff_hz)


@dataclass(eq=False)
class OneEuroFilter:
    """One signal's filter, or an array's, each element with a speed of its own."""

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
        """Forget the past: the next value is passed on as it is."""
        self._time = self._value = self._speed = None


def _share(cutoff: FloatArray | float, step: float) -> FloatArray | float:
    """How much of the way to a new value a first-order low-pass goes in one step."""
    angle = 2 * np.pi * cutoff * step
    return angle / (angle + 1)
