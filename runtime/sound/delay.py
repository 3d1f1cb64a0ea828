"""A delay line for sound: changes of the delay are followed by slightly faster or slower reading."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np

from perse_live.arrays import Float32Array, FloatArray
from runtime.sound.contract import RATE

_KEPT = 4 * RATE  # samples; a picture is never seconds late
_GAP = 0.08  # seconds between two pieces of sound that a device's clock does not explain ...
_EXACT_GAP = 0.002  # ... and the rounding of a film's
_CLOCK_SECONDS = 2.0  # over which the times that a device tells are averaged
_MAX_STRETCH = 0.005  # share of the speed: 0.1 ms in each 20 ms, not to be heard
# Seconds that are left out or put in at a time where there is nothing to hear
_MAX_IN_SILENCE = 0.0045
_QUIET = 0.003  # root mean square, -50 dB
_CATCHING_UP = 1.0  # seconds in which a small error is corrected
# Seconds of error after which it begins again: the machine slept, or the film was set back
_LOST = 0.4
# Pieces, several seconds of sound; what comes later than this share of them is a hiccup
_LAGS_KEPT, _LAG_QUANTILE = (400, 0.9)
_LAG_AGE = 50  # pieces after which the quantile is taken again
_FADE = RATE // 200  # samples, 5 ms, in which sound comes in, and goes before some that is missing


class DelayedSound:
    """Delay line between a writing and a reading thread.

    Two clocks meet here: that of the sound device, which counts samples, and that of the system. What is read is where a
    controller wants it to be: it changes the speed by half a percent at most, in pauses by more, so that neither a device's
    drift nor a change of the delay is heard.
    """

    def __init__(self, *, exact: bool = False) -> None:
        """exact: whether the times of pieces are exact to a millisecond, as a film's are."""
        self._exact = exact
        self._lock = threading.Lock()
        self._samples = np.zeros(_KEPT, np.float32)  # sample number n is at n % _KEPT
        self._end = 0  # number of samples so far
        self._origin: float | None = None  # when sample 0 was recorded, by the averaged clock
        self._place: float | None = None  # number of the sample to be read next
        self._gain = 0.0  # of the last sample that was read
        self._lags: deque[float] = deque(maxlen=_LAGS_KEPT)
        self._pieces = 0
        self.lag = 0.0
        """Seconds from recording a piece's first sample to its coming here, not counting late ones."""

    def put(self, samples: Float32Array, time: float, now: float) -> None:
        """Add what was recorded from `time` on (seconds); now: when it came."""
        with self._lock:
            self._note_lag(now - time)
            measured = time - self._end / RATE
            gap = 0.0 if self._origin is None else measured - self._origin
            if self._origin is None or abs(gap) > _LOST:
                self._origin = measured
            elif gap > (limit := _EXACT_GAP if self._exact else _GAP):
                # some was lost: silence in its place
                self._append(np.zeros(round(gap * RATE), np.float32))
            elif gap < -limit:
                # it goes back, as a film does that is repeated before its sound is over
                samples = samples[round(-gap * RATE) :]
            elif not self._exact:
                self._origin += gap * min(1.0, len(samples) / RATE / _CLOCK_SECONDS)
            self._append(samples)

    def get(self, count: int, moment: float, delay: float) -> Float32Array:
        """The next samples (count,), which were recorded `delay` seconds before `moment`; silence where there are none.

        Called for moments that follow each other.
        """
        with self._lock:
            if self._origin is None:
                return np.zeros(count, np.float32)
            wanted = (moment - delay - self._origin) * RATE
            fresh = self._place is None or abs(wanted - self._place) > _LOST * RATE
            place = wanted if fresh or self._place is None else self._place
            quiet = (
                not fresh
                and float(np.sqrt(np.mean(np.square(self._read(place + np.arange(count))))))
                < _QUIET
            )
            most, share = (
                (_MAX_IN_SILENCE * RATE, 1.0)
                if quiet
                else (_MAX_STRETCH * count, count / (_CATCHING_UP * RATE))
            )
            stretch = float(np.clip((wanted - place) * share, -most, most))
            places = place + np.arange(count) * (1 + stretch / count)
            self._place = place + count + stretch
            if fresh:
                self._gain = 0.0
            rising = self._gain + np.arange(1, count + 1) / _FADE
            edges = np.minimum(places - 1, self._end - 2 - places) / _FADE
            gains = np.clip(np.minimum(rising, edges), 0, 1)
            self._gain = float(gains[-1])
            return self._read(places) * gains.astype(np.float32)

    def _note_lag(self, lag: float) -> None:
        self._lags.append(lag)
        if self._pieces % _LAG_AGE == 0:
            self.lag = float(np.quantile(self._lags, _LAG_QUANTILE))
        self._pieces += 1

    def _append(self, samples: Float32Array) -> None:
        samples = samples[-_KEPT:]
        self._samples[(self._end + np.arange(len(samples))) % _KEPT] = samples
        self._end += len(samples)

    def _read(self, places: FloatArray) -> Float32Array:
        """Samples at fractional numbers, by cubic interpolation (Catmull-Rom); silence beyond what is there."""
        whole = np.floor(places).astype(np.int64)
        t = places - whole
        before, here, after, last = (
            self._samples[(whole + k) % _KEPT].astype(np.float64) for k in (-1, 0, 1, 2)
        )
        value = here + 0.5 * t * (
            after
            - before
            + t
            * (2 * before - 5 * here + 4 * after - last + t * (3 * (here - after) + last - before))
        )
        there = (whole - 1 >= max(0, self._end - _KEPT)) & (whole + 2 < self._end)
        return np.where(there, value, 0.0).astype(np.float32)
