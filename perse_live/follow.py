"""Follows one person's face through a film or a camera's pictures.

The detector sees a face from a tenth of the picture on. A smaller one is looked for in windows, and then followed in a crop that
moves with it. Of several people the one who was followed before is kept (`perse_live.facelock`); only a small face that never
moves, as on a poster, gives way to a person who comes near.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import numpy as np

from perse_live.arrays import FloatArray, UInt8Array
from perse_live.detect import Detection, FaceDetector, VideoFaceDetector, moved, search_windows
from perse_live.facelock import FaceLock

# Of the picture's longer side: face sizes below which a crop is used, and above which no longer
_SMALL, _LARGE = (0.10, 0.25)
# Side of the crop, in sizes of the face: it takes the detector's best share of a picture
_CROP = 4.0
_MIN_CROP = 64  # pixels
# By how much of its side, or which factor, a crop may be off before it is moved
_OFF_CENTRE, _OFF_SIZE = (0.15, 1.4)
# For how long, and within which share of its size, a face on a poster stays where it is
_STILL_SECONDS, _STILL = (2.0, 0.006)
_NEARER = 2.5  # factor by which a person before the camera is larger than a poster behind
_LOST_SECONDS = 5.0  # for which a lost face is looked for near its last place first


class _Detector(Protocol):
    """What `FaceFollower` needs of a detector for the pictures of one film in order."""

    def detect(self, image: UInt8Array, timestamp: float, /) -> list[Detection]:
        """Faces, largest first; image: (H, W, 3) RGB; timestamp: seconds."""
        ...

    def forget(self) -> None:
        """Reset: the next picture shows another view."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...


class _Stills:
    """Treats every picture as the first, for pictures that are far apart in time."""

    def __init__(self, min_confidence: float) -> None:
        self._detector = FaceDetector(max_faces=2, min_confidence=min_confidence, search=False)

    def detect(self, image: UInt8Array, timestamp: float) -> list[Detection]:
        return self._detector.detect(image)

    def forget(self) -> None:
        pass

    def close(self) -> None:
        self._detector.close()


@dataclass(frozen=True)
class _Box:
    """A part of a picture, pixels."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, image: UInt8Array) -> UInt8Array:
        return np.ascontiguousarray(
            image[self.top : self.top + self.height, self.left : self.left + self.width]
        )


class FaceFollower:
    """Finds and follows the face of one person. Not thread-safe. Use it in a `with` block or close it."""

    def __init__(self, *, windows: int = 8, independent: bool = False) -> None:
        """Load the model.

        windows: how many windows (2 ms each) a picture without a face is searched in, one picture after the other until all have
        been looked at; the first picture is searched in all of them. independent: for pictures that are seconds apart. Raises
        UserError where the model file cannot be had.
        """
        self._detector: _Detector = _Stills(0.5) if independent else VideoFaceDetector(max_faces=2)
        self._windows = windows
        self._searcher: FaceDetector | None = None
        self._sweep: Iterator[_Box] = iter(())
        self._lock = FaceLock()
        self._crop: _Box | None = None
        self._last: Detection | None = None
        self._last_time = -np.inf
        self._first = True
        self._shape: tuple[int, ...] = ()  # of the last picture
        # Time and centre of a face in a crop, in the last seconds
        self._places: deque[tuple[float, FloatArray]] = deque()

    def update(self, image: UInt8Array, time: float) -> Detection | None:
        """The person's face in the next picture, or None.

        image: (H, W, 3) uint8 RGB; time: seconds, growing. At first, and after 1.5 s without it, the largest face is taken.
        Raises UserError for an image of another shape or type.
        """
        if image.shape != self._shape:
            self.reset()
            self._shape = image.shape
        face = self._look(image, time)
        if face is None and self._crop is not None:
            self._show(None)
            face = self._look(image, time)
        if face is None:
            face = self._search(image, time)
        self._first = False
        if face is not None:
            self._last, self._last_time = face, time
            self._sweep = iter(())
            self._recentre(face)
            if self._crop is not None and self._is_still(face, time):
                face = self._nearer(image, time) or face
        return face

    def reset(self) -> None:
        """Reset: the next largest face is followed."""
        self._show(None)
        self._last, self._sweep = None, iter(())
        self._lock.reset()

    def close(self) -> None:
        """Free the models; calling it again does nothing."""
        self._detector.close()
        if self._searcher is not None:
            self._searcher.close()

    def __enter__(self) -> FaceFollower:
        """Return self."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _look(self, image: UInt8Array, time: float) -> Detection | None:
        """Detect the person's face in the current crop, or in the whole picture."""
        if self._crop is None:
            return self._lock.choose(self._detector.detect(image, time), time)
        return self._lock.choose(
            _found(self._detector.detect(self._crop.cut(image), time), self._crop, image), time
        )

    def _show(self, crop: _Box | None) -> None:
        """Set the crop for the next pictures."""
        if crop != self._crop:
            self._crop = crop
            if crop is None:
                self._places.clear()
            self._detector.forget()

    def _is_still(self, face: Detection, time: float) -> bool:
        """Whether a small face has not moved for a while, as on a poster; checked once per interval."""
        self._places.append((time, face.landmarks[:, :2].mean(0)))
        if time - self._places[0][0] < _STILL_SECONDS:
            return False
        spread = np.std([place for _, place in self._places], 0).max()
        self._places.clear()
        return bool(spread < _STILL * _size(face))

    def _nearer(self, image: UInt8Array, time: float) -> Detection | None:
        """A much larger face, which takes over from a still one far away."""
        assert self._last is not None
        if self._searcher is None:
            self._searcher = FaceDetector(max_faces=2, search=False)
        found = [
            face
            for face in self._searcher.detect(image)
            if _size(face) > _NEARER * _size(self._last)
        ]
        if not found:
            return None
        self.reset()
        self._lock.choose(found, time)
        self._last, self._last_time = found[0], time
        return self._look(image, time) or found[0]

    def _search(self, image: UInt8Array, time: float) -> Detection | None:
        if self._searcher is None:
            self._searcher = FaceDetector(max_faces=2, search=False)
        windows = itertools.islice(self._sweep, None if self._first else self._windows)
        if self._first:
            windows = self._sweep = self._windows_of(image, time)
        looked_at = 0
        for window in windows:
            looked_at += 1
            found = self._lock.choose(
                _found(self._searcher.detect(window.cut(image)), window, image), time
            )
            if found is not None:
                self._show(_around(found, image))
                return self._look(image, time) or found
        if looked_at < self._windows:  # all were looked at: begin again with the next picture
            self._sweep = self._windows_of(image, time)
        return None

    def _windows_of(self, image: UInt8Array, time: float) -> Iterator[_Box]:
        """Where to search: around the last place, then everywhere, coarse windows first."""
        if self._last is not None and time - self._last_time < _LOST_SECONDS:
            yield _around(self._last, image)
        for left, top, side in search_windows(image.shape[1], image.shape[0]):
            yield _Box(left, top, min(side, image.shape[1]), min(side, image.shape[0]))

    def _recentre(self, face: Detection) -> None:
        size, longer = _size(face), max(face.width, face.height)
        if size > _LARGE * longer or (self._crop is None and size >= _SMALL * longer):
            self._show(None)
            return
        wanted, now = _crop_of(face), self._crop
        if (
            now is None
            or max(wanted.width / now.width, now.width / wanted.width) > _OFF_SIZE
            or max(abs(wanted.left - now.left), abs(wanted.top - now.top))
            > _OFF_CENTRE * wanted.width
        ):
            self._show(wanted)


def _size(face: Detection) -> float:
    return float(np.ptp(face.landmarks[:, :2], 0).max())


def _found(faces: list[Detection], box: _Box, image: UInt8Array) -> list[Detection]:
    """Faces of a part of a picture, as faces of the whole."""
    return [moved(face, box.left, box.top, image.shape[1], image.shape[0]) for face in faces]


def _around(face: Detection, image: UInt8Array) -> _Box:
    assert (face.height, face.width) == image.shape[:2]
    return _crop_of(face)


def _crop_of(face: Detection) -> _Box:
    """The square around a face that it is followed in, inside the picture."""
    side = max(round(_CROP * _size(face)), _MIN_CROP)
    width, height = min(side, face.width), min(side, face.height)
    low, high = face.landmarks[:, :2].min(0), face.landmarks[:, :2].max(0)
    x, y = (low + high) / 2
    left = min(max(round(float(x) - width / 2), 0), face.width - width)
    top = min(max(round(float(y) - height / 2), 0), face.height - height)
    return _Box(left, top, width, height)
