"""Finding faces in pictures: 478 landmarks and expression scores, by MediaPipe's FaceLandmarker.

MediaPipe's destructor fails while the interpreter shuts down, and its C++ code writes to stderr when it starts. Both are handled
here; no other module uses the face landmarker.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
import types
import weakref
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from perse_live.arrays import Float32Array, UInt8Array
from perse_live.assets import asset_path
from perse_live.errors import UserError
from perse_live.head.expressions import from_scores
from perse_live.quiet import quiet_stderr

LANDMARK_COUNT = 478
_EYE_CORNERS = (33, 263)  # outer corners of the right and the left eye
_PRESENCE = 0.4  # minimum presence confidence of a face found before; does not distinguish people from animals
# Sizes of the windows that a picture is searched in, of its longer side
_SEARCH_FRACTIONS = (0.6, 0.36, 0.22, 0.13)
_MIN_WINDOW = 64  # pixels
_BLANK = np.zeros((64, 64, 3), np.uint8)


@dataclass(frozen=True)
class Detection:
    """One face in one picture."""

    landmarks: Float32Array
    """(478, 3) pixels from the picture's left and top edge (pixel centres at +0.5); z in pixels too, smaller is nearer, rough."""
    blendshapes: Float32Array
    """(52,) [0, 1] expression scores in the order of `EXPRESSION_NAMES`; tongueOut is always 0."""
    matrix: Float32Array
    """(4, 4) MediaPipe's rigid pose of its canonical face: centimetres, y up, camera at the origin looking along -z."""
    width: int
    """Of the picture, pixels."""
    height: int
    """Of the picture, pixels."""

    @property
    def eye_distance(self) -> float:
        """Pixels between the outer corners of the eyes; measures errors relative to the size of the face."""
        right, left = self.landmarks[list(_EYE_CORNERS), :2]
        return float(np.linalg.norm(left - right))


class FaceDetector:
    """Finds faces in single pictures. Use it in a `with` block or close it. Thread-safe: calls are serialised."""

    def __init__(
        self, *, max_faces: int = 1, min_confidence: float = 0.75, search: bool = True
    ) -> None:
        """Load the model: 30 ms, and a download at the first use ever.

        max_faces: how many faces to return at most; min_confidence: [0, 1], below which a find is dropped. Portraits, paintings
        and drawings score above 0.9; the muzzle of a dog reaches 0.7. search: look closer where a picture shows no face at first
        sight. Raises UserError where the model file cannot be had.
        """
        self._max_faces, self._search = max_faces, search
        self._graph = _Graph("IMAGE", max_faces=max_faces, min_confidence=min_confidence)

    def detect(self, image: UInt8Array, *, search: bool | None = None) -> list[Detection]:
        """Faces in a picture, largest first; none is an empty list.

        image: (H, W, 3) uint8 RGB; search: in place of what the detector was made with. MediaPipe overlooks faces below a fifth
        of the picture, so where it finds none, overlapping windows are searched too, ever smaller ones (0.5 s at most).
        Raises UserError for another shape or type.
        """
        _check_image(image)
        found = self._graph.run(image, None)
        if found or not (self._search if search is None else search):
            return found
        height, width = image.shape[:2]
        for _, windows in itertools.groupby(
            search_windows(width, height), key=lambda window: window[2]
        ):
            for left, top, side in windows:
                window = np.ascontiguousarray(image[top : top + side, left : left + side])
                found += [
                    moved(face, left, top, width, height) for face in self._graph.run(window, None)
                ]
            if found:
                break
        return _distinct(found)[: self._max_faces]

    def close(self) -> None:
        """Free the model; calling it again does nothing."""
        self._graph.close()

    def __enter__(self) -> FaceDetector:
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


class VideoFaceDetector:
    """Follows faces through a video: quicker and steadier than `FaceDetector`, but only for the frames of one video in order.

    Nothing is smoothed, unless asked for: that is the tracker's to decide.
    """

    def __init__(
        self, *, max_faces: int = 1, min_confidence: float = 0.4, smoothed: bool = False
    ) -> None:
        """Load the model; see `FaceDetector`. smoothed: let MediaPipe filter over time, which it does for one face only."""
        self._max_faces = max_faces
        # looking for one face only, MediaPipe filters its landmarks over time, which makes them late and the outline 1-2 % too
        # large; looking for two costs 2 ms more, and brings the error of self-reenactment down from 1.37 to 1.12 % (eye distance)
        self._graph = _Graph(
            "VIDEO", max_faces=1 if smoothed else max(max_faces, 2), min_confidence=min_confidence
        )
        self._last = 0

    def detect(self, image: UInt8Array, timestamp: float) -> list[Detection]:
        """Faces in the next frame, largest first; none is an empty list.

        image: (H, W, 3) uint8 RGB; timestamp: seconds, meant to grow; where it does not grow by a millisecond, one is added,
        since MediaPipe insists. Raises UserError for another shape or type.
        """
        _check_image(image)
        self._last = max(self._last + 1, round(timestamp * 1000) + 1)
        return self._graph.run(image, self._last)[: self._max_faces]

    def forget(self) -> None:
        """Discard tracked faces, as at a cut: the next picture is searched as a whole."""
        self._last += 1
        self._graph.run(_BLANK, self._last)  # what was followed is not in it, so it is let go

    def close(self) -> None:
        """Free the model; calling it again does nothing."""
        self._graph.close()

    def __enter__(self) -> VideoFaceDetector:
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


def detect_faces(image: UInt8Array, *, max_faces: int = 1) -> list[Detection]:
    """Faces in one picture, largest first, for callers that have only one; see `FaceDetector.detect`."""
    with FaceDetector(max_faces=max_faces) as detector:
        return detector.detect(image)


@contextlib.contextmanager
def _without_matplotlib() -> Generator[None, None, None]:
    """While MediaPipe is imported, empty modules stand in for matplotlib, which it would load (0.4 s) for its drawing helpers."""
    stand_ins = {name: types.ModuleType(name) for name in ("matplotlib", "matplotlib.pyplot")}
    if any(name in sys.modules for name in stand_ins):
        yield
        return
    stand_ins["matplotlib"].__dict__["pyplot"] = stand_ins["matplotlib.pyplot"]
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


class _Graph:
    """MediaPipe's landmarker with a lock around it, silenced while it starts, and closed before the interpreter is gone."""

    def __init__(self, mode: str, *, max_faces: int, min_confidence: float) -> None:
        path = asset_path(
            "face_landmarker"
        )  # before the import: a missing file is reported at once
        with quiet_stderr():
            with _without_matplotlib():
                import mediapipe
                from mediapipe.tasks.python import BaseOptions, vision

            options = vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(path)),
                running_mode=vision.RunningMode[mode],
                num_faces=max_faces,
                min_face_detection_confidence=min_confidence,
                min_face_presence_confidence=_PRESENCE,
                min_tracking_confidence=_PRESENCE,
                output_face_blendshapes=True,
                output_facial_transformation_matrixes=True,
            )
            landmarker = vision.FaceLandmarker.create_from_options(options)
            self._mediapipe: Any = mediapipe
            self._landmarker: Any = landmarker
            self._lock = threading.Lock()
            self._closer = weakref.finalize(self, _close, landmarker)
            self.run(_BLANK, 0 if mode == "VIDEO" else None)  # the last start-up messages

    def run(self, image: UInt8Array, timestamp_ms: int | None) -> list[Detection]:
        height, width = image.shape[:2]
        with self._lock:
            if not self._closer.alive:
                raise RuntimeError("the face detector is closed")
            picture = self._mediapipe.Image(
                image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image)
            )
            if timestamp_ms is None:
                result = self._landmarker.detect(picture)
            else:
                result = self._landmarker.detect_for_video(picture, timestamp_ms)
        scale = np.array([width, height, width], np.float32)
        faces: list[Detection] = []
        for points, scores, matrix in zip(
            result.face_landmarks,
            result.face_blendshapes,
            result.facial_transformation_matrixes,
            strict=True,
        ):
            landmarks = np.array([(p.x, p.y, p.z) for p in points], np.float32) * scale
            blendshapes = from_scores({score.category_name: score.score for score in scores})
            if np.isfinite(landmarks).all():
                faces.append(
                    Detection(landmarks, blendshapes, np.asarray(matrix, np.float32), width, height)
                )
        return _by_size(faces)

    def close(self) -> None:
        with self._lock:
            self._closer()


def _close(landmarker: Any) -> None:
    try:
        landmarker.close()
    except RuntimeError:
        # at exit: the thread that MediaPipe closes on is gone, the process frees everything soon
        landmarker._handle = None  # or its destructor tries once more, and fails


def _check_image(image: UInt8Array) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise UserError(
            f"face detection: the picture is {image.dtype} of shape {image.shape}; pass uint8 RGB of shape (H, W, 3)"
        )


def _by_size(faces: list[Detection]) -> list[Detection]:
    return sorted(faces, key=lambda face: -float(np.ptp(face.landmarks[:, :2], 0).prod()))


def moved(face: Detection, left: int, top: int, width: int, height: int) -> Detection:
    """A face that was found in a part of a picture, as a face of the whole.

    left, top: of the part; width, height: of the whole; pixels.
    """
    shifted = face.landmarks + np.array([left, top, 0], np.float32)
    return Detection(shifted, face.blendshapes, face.matrix, width, height)


def search_windows(width: int, height: int) -> Iterator[tuple[int, int, int]]:
    """Square windows (left, top, side in pixels) that cover a picture with half a window of overlap, ever smaller ones.

    In the smallest, the detector finds faces from 3 % of the picture's longer side on.
    """
    for fraction in _SEARCH_FRACTIONS:
        side = max(round(fraction * max(height, width)), _MIN_WINDOW)
        for top in _starts(height, side):
            for left in _starts(width, side):
                yield left, top, side


def _starts(length: int, window: int) -> list[int]:
    """Where windows begin that cover a length with half a window of overlap."""
    count = max(1, -(-2 * (length - window) // window) + 1)
    return [round(i * (length - window) / (count - 1)) for i in range(count)] if count > 1 else [0]


def _distinct(faces: list[Detection]) -> list[Detection]:
    """Drop finds of the same face from overlapping tiles: centres nearer than half a face."""
    kept: list[Detection] = []
    for face in _by_size(faces):
        center, size = face.landmarks[:, :2].mean(0), np.ptp(face.landmarks[:, :2], 0).max()
        if all(
            np.linalg.norm(other.landmarks[:, :2].mean(0) - center) > size / 2 for other in kept
        ):
            kept.append(face)
    return kept
