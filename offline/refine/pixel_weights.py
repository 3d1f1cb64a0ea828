"""Weights of the portrait's pixels in refinement."""

from __future__ import annotations

import numpy as np

from offline.images import dilate
from offline.portrait import Portrait
from offline.segment.appearance import Appearance
from offline.segment.landmark_masks import face_oval
from perse_live.arrays import Float32Array

_THROAT = 30.0  # pixels (eye distance 115) from the chin down to where clothes and shoulders begin
_AROUND = 6.0  # pixels (eye distance 115) around the person that must stay empty


def pixel_weights(portrait: Portrait, look: Appearance) -> Float32Array:
    """Importance of each pixel for refinement: the face twice, eyes and mouth four times; nothing beyond the photo."""
    oval = face_oval(portrait.detection.landmarks, portrait.valid.shape)
    # pixels that mix skin with the background would be baked onto the cheek and show when the head turns
    mixed = (look.skin > 0.3) & (look.purity < 0.35) & look.visible
    # these are fitted by hair
    mixed &= ~dilate((look.hair > 0.5) & look.opaque, 5 * portrait.unit)
    # Shoulders turn little
    # hair and clothes beyond the matte weigh as much as holes within it
    mixed &= np.arange(len(mixed))[:, None] < portrait.chin_row + _THROAT * portrait.unit
    weight = (
        0.25
        + 0.75 * dilate(look.visible, _AROUND * portrait.unit)
        + 1.0 * oval
        + 2.0 * dilate(look.openings, 6)
    )
    return np.where(~portrait.valid, 0, np.where(mixed, 0.1 * weight, weight)).astype(np.float32)
