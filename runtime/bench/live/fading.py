"""Attributes that fade in and out while a session is watched, and how evenly pictures come meanwhile."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Collection, Sequence
from typing import cast

import numpy as np

from runtime.live import fades
from runtime.live.actions import SetAttribute
from runtime.live.session import LiveSession

_EVERY = 1.5  # seconds; a fade takes less than a third of it
_MOST = 9  # attributes that are tried, one for each digit key


class Fading:
    """Fades a session's attributes, one after the other, from `begin` to `end`."""

    def __init__(self, session: LiveSession) -> None:
        """session: with any attributes, or none."""
        state = cast("dict[str, list[dict[str, str]]]", session.state())
        self._session, self._names = session, [one["name"] for one in state["attributes"]][:_MOST]
        self._starts: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="fade", daemon=True)

    def begin(self) -> None:
        """Once."""
        self._thread.start()

    def end(self) -> list[float]:
        """When fades began, seconds of `time.time()`; needs to have begun."""
        self._over.set()
        self._thread.join()
        return self._starts

    def _work(self) -> None:
        for name, weight in itertools.cycle(
            [(name, weight) for name in self._names for weight in (1.0, 0.0)]
        ):
            if self._over.wait(_EVERY):
                return
            self._session.act(SetAttribute(name, weight))
            self._starts.append(time.time())


def intervals_in_fades(drawn: Collection[float], starts: Sequence[float]) -> list[float]:
    """Milliseconds between a picture and the one before it, of those drawn during fades.

    drawn: when pictures were; starts: when fades began; seconds of one clock.
    """
    times = np.sort(np.fromiter(drawn, np.float64))
    if len(times) < 2 or not starts:
        return []
    begins = np.sort(np.asarray(starts, np.float64))
    last = np.searchsorted(begins, times[1:], side="right") - 1
    fading = (last >= 0) & (times[1:] - begins[last] <= fades.SECONDS + 0.05)
    return [float(one) for one in 1000 * np.diff(times)[fading]]
