"""Follows one face where several are in the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perse_live.arrays import FloatArray
from perse_live.detect import Detection

_LET_GO_SECONDS = 1.5  # seconds after which any face may be the driver's
_NEAR = 0.6  # of a face's size that it may move between two pictures
_LARGER = 1.45  # factor by which it may grow or shrink between two pictures
_TENTH = 10.0  # per second: both bounds hold for a tenth of a second, then they grow with time


class FaceLock:
    """Chooses in each picture the face that was followed before; the largest at first and after a long absence."""

    def __init__(self) -> None:
        self._center: FloatArray | None = None
        self._size = 0.0
        self._seen = -np.inf

    def choose(self, faces: Sequence[Detection], time: float) -> Detection | None:
        """The driver's face, or None where it is not among them.

        faces: of one picture, largest first; time: seconds, growing.
        """
        if time - self._seen > _LET_GO_SECONDS:
            self._center = None
        chosen = next(iter(faces), None)
        if self._center is not None:
            known, elapsed = self._center, max(1.0, (time - self._seen) * _TENTH)
            near = [
                face
                for face in faces
                if np.linalg.norm(_center(face) - known) < _NEAR * self._size * elapsed
                and abs(np.log(_size(face) / self._size)) < np.log(_LARGER) * elapsed
            ]
            chosen = min(
                near, key=lambda face: float(np.linalg.norm(_center(face) - known)), default=None
            )
        if chosen is not None:
            self._center, self._size, self._seen = _center(chosen), _size(chosen), time
        return chosen

    def reset(self) -> None:
        """Reset: the largest face in the next picture is the driver's."""
        self._center, self._seen = None, -np.inf


def _center(face: Detection) -> FloatArray:
    return face.landmarks[:, :2].mean(0)


def _size(face: Detection) -> float:
    return max(float(np.ptp(face.landmarks[:, :2], 0).max()), 1.0)
