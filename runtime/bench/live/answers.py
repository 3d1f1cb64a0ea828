"""Response times, from the records of the probe in the page. Times are seconds of `time.time()`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from perse_live.arrays import BoolArray, Float64Array
from runtime.bench.live.nodding_film import HALF_SECONDS

_ANSWERED = 0.25  # share of the way to the new pose at which the avatar has answered
_LONGEST_ANSWER = 0.8  # seconds
# Grey levels that the whole picture changes by; below, there is no face, or nobody moved
_VISIBLE = 1.0


def key_answers(keys: Sequence[float], times: Float64Array, red: BoolArray) -> list[float]:
    """Milliseconds from each key to the first picture whose background has taken the other colour.

    times, red: (P,) of every picture, when it was seen and which colour it had.
    """
    answers: list[float] = []
    for key in keys:
        after = np.searchsorted(times, key)
        if 0 < after < len(red):
            changed = np.nonzero(red[after:] != red[after - 1])[0]
            if len(changed) and times[after + changed[0]] - key < _LONGEST_ANSWER:
                answers.append(1000 * float(times[after + changed[0]] - key))
    return answers


def camera_answers(marks: Sequence[float], pictures: Sequence[Sequence[Any]]) -> list[float]:
    """Milliseconds from each change of the camera's picture to the avatar's first picture part of the way to its new pose."""
    times = np.array([one[0] for one in pictures])
    grey = np.array([one[4] for one in pictures], np.float64).reshape(len(pictures), -1)
    answers: list[float] = []
    for mark in marks:
        before = grey[(times > mark - 0.4) & (times <= mark)]
        settled = grey[(times > mark + 0.7) & (times < mark + HALF_SECONDS)]
        after = (times > mark) & (times < mark + _LONGEST_ANSWER)
        if not (len(before) and len(settled) and after.any()):
            continue
        start, way = before.mean(0), settled.mean(0) - before.mean(0)
        share = (grey[after] - start) @ way / max(float(way @ way), 1e-9)
        if np.abs(way).mean() > _VISIBLE and (share > _ANSWERED).any():
            answers.append(1000 * float(times[after][np.argmax(share > _ANSWERED)] - mark))
    return answers
