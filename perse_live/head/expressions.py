"""The expression space: 52 facial actions under their ARKit names, in the order of Anny's action shapes.

MediaPipe's face landmarker scores 52 categories too, but another set (`_neutral` first, no `tongueOut`) in another order, so its
scores are always mapped by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np

from perse_live.arrays import Float32Array, FloatArray
from perse_live.errors import UserError

EXPRESSION_NAMES: tuple[str, ...] = (
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "eyeLookDownLeft",
    "eyeLookDownRight",
    "eyeLookInLeft",
    "eyeLookInRight",
    "eyeLookOutLeft",
    "eyeLookOutRight",
    "eyeLookUpLeft",
    "eyeLookUpRight",
    "eyeSquintLeft",
    "eyeSquintRight",
    "eyeWideLeft",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthClose",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthFunnel",
    "mouthLeft",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthPucker",
    "mouthRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
)
"""The 52 names; "Left" is the subject's left, as in ARKit and in Anny's `.L`."""

EXPRESSION_COUNT = len(EXPRESSION_NAMES)


@lru_cache(maxsize=1)
def _positions() -> Mapping[str, int]:
    return {name: position for position, name in enumerate(EXPRESSION_NAMES)}


def index(name: str) -> int:
    """Position of an action in every expression vector of this project.

    Raises UserError for a name that is not one of `EXPRESSION_NAMES`.
    """
    try:
        return _positions()[name]
    except KeyError:
        raise UserError(
            f"unknown expression {name!r}: use one of the 52 ARKit names, such as 'jawOpen'"
        ) from None


def indices(names: Iterable[str]) -> list[int]:
    """Positions of several actions, in the order given. Raises UserError as `index` does."""
    return [index(name) for name in names]


def expression(**scores: float) -> Float32Array:
    """An expression vector with the named actions set and all others 0, such as `expression(jawOpen=0.5)`.

    Returns (52,) float32. Raises UserError for an unknown name.
    """
    vector = np.zeros(EXPRESSION_COUNT, np.float32)
    for name, score in scores.items():
        vector[index(name)] = score
    return vector


def from_scores(scores: Mapping[str, float]) -> Float32Array:
    """An expression vector from scores by name, as a detector gives them.

    scores: name -> [0, 1]. Names outside `EXPRESSION_NAMES` (MediaPipe's `_neutral`) are dropped; missing ones (MediaPipe has no
    `tongueOut`) are 0. Returns (52,) float32.
    """
    positions = _positions()
    vector = np.zeros(EXPRESSION_COUNT, np.float32)
    for name, score in scores.items():
        if name in positions:
            vector[positions[name]] = score
    return vector


# Blinks over which a closing lid takes over what a downward gaze lowers it by: lids meet at 0.65 to 0.8
_SHUTS = 0.6, 1.0


def consistent_actions(strengths: FloatArray) -> Float32Array:
    """An expression (52,) without what its linear actions would do twice, or without the action they belong to.

    A shut lid cannot be lowered further by `eyeLookDown`. `mouthClose` closes lips that `jawOpen` has parted (ARKit defines it
    relative to that), so it does not exceed it. Returns (52,) float32.
    """
    start, end = _SHUTS
    consistent = np.array(strengths, np.float32)
    for side in ("Left", "Right"):
        shut = np.clip((consistent[index(f"eyeBlink{side}")] - start) / (end - start), 0, 1)
        consistent[index(f"eyeLookDown{side}")] *= 1 - shut
    close, jaw = index("mouthClose"), index("jawOpen")
    consistent[close] = min(consistent[close], consistent[jaw])
    return consistent
