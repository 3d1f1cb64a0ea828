"""Weights of the portrait's pixels in refinement."""

from __future__ import annotations

import numpy as np

from offline.images import dilate
from offline.portrait import Portrait
from offline.segment.appearance import Appearance
from offline.segment.landmark_masks import face_oval
from perse_live.arrays import Float32Array

_AROUND = 6.0  # pixels (eye distance 115) around the person that must stay empty


def pixel_weights(portrait: Portrait, look: Appearance) -> Float32Array:
    """Importance of each pixel for refinement: the face twice, eyes and mouth four times; nothing beyond the photo."""
    oval = face_oval(portrait.detection.landmarks, portrait.valid.shape)
    weight = (
        0.25
        + 0.75 * dilate(look.visible, _AROUND * portrait.unit)
        + 1.0 * oval
        + 2.0 * dilate(look.openings, 6)
    )
    return np.where(portrait.valid, weight, 0).astype(np.float32)
