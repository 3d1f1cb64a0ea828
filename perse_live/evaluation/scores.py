"""Scoring a rendered film against the real one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.detect import Detection, FaceDetector, VideoFaceDetector
from perse_live.errors import UserError
from perse_live.evaluation import motion_metrics as motion
from perse_live.evaluation.identity import IdentityModel
from perse_live.evaluation.image_metrics import detail, psnr, structure
from perse_live.evaluation.regions import face_regions
from perse_live.head.expressions import index

HIGHER_IS_BETTER: dict[str, bool | None] = {
    "psnr": True,
    "psnr_in": True,
    "ssim": True,
    "gmsd": False,
    "psnr_mouth": True,
    "psnr_eyes": True,
    "psnr_lids": True,
    "akd": False,
    "akd_mouth": False,
    "akd_eyes": False,
    "akd_oval": False,
    "akd_expr": False,
    "bs_l1": False,
    "bs_corr": True,
    "pose_deg": False,
    "detect": True,
    "jitter": None,
    "jitter_err": False,
    "folds": None,
    "id_src": True,
    "id_ref": True,
    "id_ceil": True,
}
"""All measures in the order in which they are shown; None: 1 is best. See docs/measures.md."""

_BLINKS = [index("eyeBlinkLeft"), index("eyeBlinkRight")]
_CLOSED = 0.5  # blink score of both eyes from which they are closed
_FOLDED_BY = [
    [index(name) for name in names]
    for names in (
        ("browInnerUp",),
        ("browDownLeft", "browDownRight"),
        ("mouthSmileLeft", "mouthSmileRight"),
    )
]
_FOLDED = 0.5  # score of one of these, both sides', from which skin is folded

MEASURES = tuple(HIGHER_IS_BETTER)

Progress = Callable[[float], None]
"""Called with the fraction of the frames done, [0, 1]."""


@dataclass(frozen=True)
class FilmScores:
    """How a rendered film compares with the real one."""

    frames: int
    """How many were compared."""
    undetected: int
    """Real frames in which no face was found; they count nowhere."""
    means: dict[str, float | None]
    """By the names of `MEASURES`; None: not measured."""


def score_film(
    real: Sequence[UInt8Array],
    drawn: Sequence[UInt8Array],
    source: UInt8Array,
    *,
    rate: float,
    numbers: Sequence[int] | None = None,
    identity: IdentityModel | None = None,
    progress: Progress = lambda _: None,
) -> FilmScores:
    """Compare a rendering with the real film, frame by frame.

    real, drawn: (H, W, 3) RGB, as many and as large; source: the portrait; rate: frames per second; numbers: which frames of the
    original clip these are (by default each the next); identity: without it the id measures are None.
    Raises UserError where the films do not fit together.
    """
    if len(real) != len(drawn) or any(
        a.shape != b.shape for a, b in zip(real, drawn, strict=False)
    ):
        raise UserError(
            f"the films differ: {len(real)} frames of {_size(real)} and {len(drawn)} of {_size(drawn)}; a rendering"
            " has one frame for each real one, of its size"
        )
    done, total = 0, 4 * len(real) + 1

    def step() -> None:
        nonlocal done
        done += 1
        progress(done / total)

    with FaceDetector(min_confidence=0.5, search=False) as detector:
        faces, drawn_faces = (_found(detector, film, step) for film in (real, drawn))
        source_face = next(iter(detector.detect(source)), None)
    rows: list[dict[str, float]] = []
    known = None if identity is None or source_face is None else identity.embed(source, source_face)
    for picture, rendering, face, again in zip(real, drawn, faces, drawn_faces, strict=True):
        if face is None:
            continue
        row = _frame_scores(picture, rendering, face, again)
        if identity is not None and known is not None and again is not None:
            there, here = identity.embed(picture, face), identity.embed(rendering, again)
            row |= {
                "id_src": float(here @ known),
                "id_ref": float(here @ there),
                "id_ceil": float(there @ known),
            }
        rows.append(row)
    means: dict[str, float | None] = {
        name: _mean([row[name] for row in rows if name in row]) for name in MEASURES
    }
    pairs = [
        (a, b) for a, b in zip(faces, drawn_faces, strict=True) if a is not None and b is not None
    ]
    means["bs_corr"] = _or_none(motion.score_correlation(pairs))
    folded = [row for row in rows if "folds_real" in row]
    if folded:
        of_real, of_drawn = (
            sum(row[name] for row in folded) for name in ("folds_real", "folds_drawn")
        )
        means["folds"] = _or_none(of_drawn / max(of_real, 1e-6))

    followed: list[list[Detection | None]] = []
    for film in (real, drawn):  # followed in order, or the detector's noise would drown the jitter
        with VideoFaceDetector(min_confidence=0.5, smoothed=True) as follower:
            followed.append(_followed(follower, film, rate, step))
    steps = list(range(len(real))) if numbers is None else list(numbers)
    means["jitter"], means["jitter_err"] = (
        _or_none(value) for value in motion.liveliness(followed[0], followed[1], steps)
    )
    progress(1.0)
    return FilmScores(len(real), len(real) - len(rows), means)


def mean_scores(clips: Sequence[FilmScores]) -> dict[str, float | None]:
    """Means over clips, each clip counting alike."""
    return {
        name: _mean([value for one in clips if (value := one.means[name]) is not None])
        for name in MEASURES
    }


def _found(
    detector: FaceDetector, film: Sequence[UInt8Array], step: Callable[[], None]
) -> list[Detection | None]:
    found: list[Detection | None] = []
    for picture in film:
        found.append(next(iter(detector.detect(picture)), None))
        step()
    return found


def _followed(
    detector: VideoFaceDetector, film: Sequence[UInt8Array], rate: float, step: Callable[[], None]
) -> list[Detection | None]:
    found: list[Detection | None] = []
    for k, picture in enumerate(film, 1):
        found.append(next(iter(detector.detect(picture, k / rate)), None))
        step()
    return found


def _frame_scores(
    picture: UInt8Array, rendering: UInt8Array, face: Detection, again: Detection | None
) -> dict[str, float]:
    """The measures of one frame; those of the landmarks only where a face was found again."""
    regions = face_regions(face.landmarks, *picture.shape[:2])
    ssim, gmsd = structure(picture, rendering, regions.face)
    row = {
        "psnr": psnr(picture, rendering, regions.face),
        "psnr_in": psnr(picture, rendering, regions.inner),
        "ssim": ssim,
        "gmsd": gmsd,
        "psnr_mouth": psnr(picture, rendering, regions.mouth),
        "psnr_eyes": psnr(picture, rendering, regions.eyes),
        "detect": float(again is not None),
    }
    if face.blendshapes[_BLINKS].min() > _CLOSED:
        row["psnr_lids"] = row["psnr_eyes"]
    if max(face.blendshapes[both].min() for both in _FOLDED_BY) > _FOLDED and regions.folding.any():
        for name, one in (("folds_real", picture), ("folds_drawn", rendering)):
            row[name] = detail(one, regions.folding, face.eye_distance)
    if again is None:
        return row
    errors = motion.landmark_errors(face, again)
    return row | {
        "akd": errors.everywhere,
        "akd_mouth": errors.mouth,
        "akd_eyes": errors.eyes,
        "akd_oval": errors.outline,
        "akd_expr": errors.expression,
        "bs_l1": motion.score_error(face, again),
        "pose_deg": motion.turn_error(face, again),
    }


def _mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else None


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _size(film: Sequence[UInt8Array]) -> str:
    return f"{film[0].shape[1]}x{film[0].shape[0]}" if film else "nothing"
