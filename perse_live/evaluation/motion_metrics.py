"""Distances of the motion in two films, from the face detector's results in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perse_live.arrays import FloatArray
from perse_live.detect import Detection
from perse_live.evaluation.regions import EYE_CONTOURS, LIP_CONTOURS
from perse_live.head import landmarks as lm

# Standard deviation over time from which an action counts as moving in the reference
_MOVING = 0.05


@dataclass(frozen=True)
class LandmarkErrors:
    """Mean distances of one frame's landmarks, percent of the real face's distance between the outer eye corners."""

    everywhere: float
    """All 478."""
    mouth: float
    eyes: float
    outline: float
    expression: float
    """All 478 after the best move, turn and resizing in the picture: expression and head turn only."""


def landmark_errors(reference: Detection, picture: Detection) -> LandmarkErrors:
    """How far the landmarks of a rendering lie from those of the real frame."""
    real, drawn = (
        reference.landmarks[:, :2].astype(np.float64),
        picture.landmarks[:, :2].astype(np.float64),
    )
    right, left = reference.landmarks[list(lm.EYE_CORNERS)]
    percent = 100 / float(np.linalg.norm(left - right))  # in 3D, so that a turned head counts alike
    errors = np.linalg.norm(drawn - real, axis=1) * percent
    scale_turn, shift = similarity(drawn, real)
    aligned = np.linalg.norm(drawn @ scale_turn.T + shift - real, axis=1) * percent
    mouth, eyes, outline = (
        float(errors[list(group)].mean()) for group in (LIP_CONTOURS, EYE_CONTOURS, lm.FACE_OVAL)
    )
    return LandmarkErrors(float(errors.mean()), mouth, eyes, outline, float(aligned.mean()))


def similarity(start: FloatArray, end: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The least-squares move, turn and resizing of points (N, 2) onto others: end = start @ A.T + b. Returns A (2, 2), b (2,)."""
    middle_start, middle_end = start.mean(0), end.mean(0)
    a, b = (
        (points - middle) @ np.array([1, 1j])
        for points, middle in ((start, middle_start), (end, middle_end))
    )
    factor = (a.conj() @ b) / (a.conj() @ a)
    matrix = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return matrix, middle_end - matrix @ middle_start


def score_error(reference: Detection, picture: Detection) -> float:
    """Mean absolute difference of the detector's 52 expression scores, in [0, 1]."""
    return float(np.abs(reference.blendshapes - picture.blendshapes).mean())


def turn_error(reference: Detection, picture: Detection) -> float:
    """Degrees between two head rotations."""
    a, b = (head_rotation(found) for found in (reference, picture))
    return float(np.degrees(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1))))


def head_rotation(found: Detection) -> FloatArray:
    """(3, 3) the nearest rotation to the detector's rigid pose."""
    left, _, right = np.linalg.svd(found.matrix[:3, :3].astype(np.float64))
    return left @ right


def score_correlation(pairs: Sequence[tuple[Detection, Detection]]) -> float:
    """Correlation over time of the expression scores, mean over those that move in the reference; NaN where none does.

    pairs: reference and picture of every frame with a face in both. A score that stays constant in the pictures counts 0.
    """
    if len(pairs) <= 2:
        return float("nan")
    real, drawn = (
        np.stack([pair[k].blendshapes for pair in pairs]).astype(np.float64) for k in (0, 1)
    )
    moving = real.std(0) > _MOVING
    if not moving.any():
        return float("nan")
    covariance = ((real - real.mean(0)) * (drawn - drawn.mean(0))).mean(0)
    deviation = drawn.std(0)
    return float(
        np.where(deviation > 1e-3, covariance / (real.std(0) * deviation + 1e-9), 0)[moving].mean()
    )


def liveliness(
    reference: Sequence[Detection | None], picture: Sequence[Detection | None], steps: Sequence[int]
) -> tuple[float, float]:
    """Jitter and its error, from films followed in order; NaN where no three frames follow each other.

    steps: each frame's number in the original clip; only evenly spaced triples count.
    Returns the mean second difference of the landmarks, rendering over real (1: as lively, above: shaky, below: too smooth), and
    that of their error over that of the real ones (0: perfect; a still picture gets 1).
    """
    triples = [
        i
        for i in range(1, len(reference) - 1)
        if all(film[k] is not None for film in (reference, picture) for k in (i - 1, i, i + 1))
        and steps[i + 1] - steps[i] == steps[i] - steps[i - 1]
    ]
    if not triples:
        return float("nan"), float("nan")
    real, drawn = (_second_differences(film, triples) for film in (reference, picture))
    scale = _mean_length(real)
    if scale <= 0:
        return float("nan"), float("nan")
    return _mean_length(drawn) / scale, _mean_length(drawn - real) / scale


def _second_differences(film: Sequence[Detection | None], triples: Sequence[int]) -> FloatArray:
    def place(k: int) -> FloatArray:
        found = film[k]
        assert found is not None
        return found.landmarks[:, :2].astype(np.float64)

    return np.stack([place(i - 1) - 2 * place(i) + place(i + 1) for i in triples])


def _mean_length(vectors: FloatArray) -> float:
    return float(np.linalg.norm(vectors, axis=-1).mean())
