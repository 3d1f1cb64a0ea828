"""A number painted into every picture that a session draws, so that a viewer can say which one it sees, and when."""

from __future__ import annotations

import threading
import time
from array import array
from dataclasses import replace
from pathlib import Path

import numpy as np

from perse_live.arrays import UInt8Array
from runtime.live.actions import Action
from runtime.live.control import Control
from runtime.live.frames import DrawnFrame
from runtime.live.session import LiveSession
from runtime.live.slot import Latest

BITS, CELL = 16, 8
"""A number is so many black and white squares of so many pixels; below them are the opposite ones, as a check."""
_BLACK, _WHITE = 16, 235
_WAIT_SECONDS = 0.2


def stamped(image: UInt8Array, number: int) -> UInt8Array:
    """A copy of a picture (H, W, 3) with a number in its upper left corner; H >= 16, W >= 128."""
    copy = image.copy()
    bits = np.array([number >> bit & 1 for bit in range(BITS)])
    for row, ones in enumerate((bits, 1 - bits)):
        cells = np.repeat(np.where(ones, _WHITE, _BLACK), CELL).astype(np.uint8)
        copy[row * CELL : (row + 1) * CELL, : BITS * CELL] = cells[None, :, None]
    return copy


def stamp_in(image: UInt8Array) -> int | None:
    """The number in a picture (H, W, 3), also after encoding; None where there is none to be read."""
    centers = CELL // 2 + CELL * np.arange(BITS)
    above, below = image[CELL // 2, centers, 1] > 128, image[CELL + CELL // 2, centers, 1] > 128
    return (
        int((above.astype(np.int64) << np.arange(BITS)).sum()) if (above != below).all() else None
    )


class Stamping(Control):
    """A session whose pictures carry their number on their way to the viewers, and which notes when each was drawn."""

    def __init__(self, session: LiveSession) -> None:
        self._session = session
        self._drawn: Latest[DrawnFrame] = Latest()
        # Small: the session's memory is measured
        self._numbers, self._times = (array("q"), array("d"))
        self._thread = threading.Thread(target=self._work, name="stamp", daemon=True)
        self._thread.start()

    def times(self, begin: float, end: float) -> dict[int, float]:
        """When drawing ended of each stamp, between two times; seconds of `time.time()`."""
        return {
            number: when
            for number, when in zip(self._numbers, self._times, strict=False)
            if begin <= when <= end
        }

    @property
    def drawn(self) -> Latest[DrawnFrame]:
        """The newest picture, stamped."""
        return self._drawn

    @property
    def recorded(self) -> Path | None:
        """As the session."""
        return self._session.recorded

    def act(self, action: Action) -> None:
        """As the session."""
        self._session.act(action)

    def state(self) -> dict[str, object]:
        """As the session."""
        return self._session.state()

    def stats(self) -> dict[str, object]:
        """As the session."""
        return self._session.stats()

    def _work(self) -> None:
        seen = 0
        while not self._session.drawn.closed:
            found = self._session.drawn.wait(seen, _WAIT_SECONDS)
            if found is not None:
                seen, frame = found
                number = frame.number % (1 << BITS)
                self._numbers.append(number)
                self._times.append(time.time() - (time.monotonic() - frame.time))
                self._drawn.put(replace(frame, image=stamped(frame.image, number)))
        self._drawn.close()
