"""How long the steps of a session take, over the last seconds."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

_KEPT = 240  # measurements: eight seconds at 30 a second
_WINDOW = 8.0  # seconds


@dataclass(frozen=True)
class StageTiming:
    """One step's figures over the last seconds."""

    ms: float
    """Median, milliseconds."""
    p95_ms: float
    """95th percentile, milliseconds."""
    per_second: float
    """How often it was done."""
    dropped: int
    """Items overwritten unseen before this step, since the start."""


class StageClock:
    """Measures one step; several threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # When it ended, how long it took; seconds
        self._samples: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._dropped = 0

    def add(self, seconds: float) -> None:
        """Note that the step was done just now and took so long."""
        with self._lock:
            self._samples.append((time.monotonic(), seconds))

    def drop(self, count: int) -> None:
        """Note items that came and went unseen; count >= 0."""
        with self._lock:
            self._dropped += count

    @contextmanager
    def measured(self) -> Generator[None, None, None]:
        """Measure a block; one that fails is not counted."""
        start = time.monotonic()
        yield
        self.add(time.monotonic() - start)

    def timing(self) -> StageTiming:
        """The figures now; zeros before the first measurement."""
        now = time.monotonic()
        with self._lock:
            recent = [(end, length) for end, length in self._samples if now - end < _WINDOW]
            dropped = self._dropped
        if not recent:
            return StageTiming(0.0, 0.0, 0.0, dropped)
        lengths = np.array([length for _, length in recent]) * 1000
        span = now - recent[0][0]
        rate = (len(recent) - 1) / span if len(recent) > 1 and span > 0 else 0.0
        return StageTiming(
            float(np.median(lengths)), float(np.percentile(lengths, 95)), rate, dropped
        )
