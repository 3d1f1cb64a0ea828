"""The mask of hair that is built as a separate volume."""

from __future__ import annotations

import cv2
import numpy as np

from offline.images import dilate, opened, without_small
from offline.priors import NARROW, ON_EAR, PART, PIECE
from offline.rig.photo_geometry import PhotoGeometry, attribute_map
from offline.segment.appearance import Appearance
from offline.segment.contract import SURE
from perse_live.arrays import BoolArray, Float32Array
from perse_live.head.rig import Part

_HAIR = 0.45  # probability from which a pixel is hair; at 0.5 the face of a portrait with long hair (s42) loses 0.3 dB


def hair_mask(
    geometry: PhotoGeometry, look: Appearance, ears: Float32Array, dressed: BoolArray, unit: float
) -> BoolArray:
    """(H, W) mask of hair that is built as a separate volume; empty for bald people.

    ears: (V,) chart; dressed: (H, W) clothes that reach below the chin; unit: pixels, eye distance / 115.
    """
    hair = look.hair > _HAIR
    place = geometry.template_map()
    ear_map = np.nan_to_num(attribute_map(geometry, ears[:, None])[..., 0])
    for side in (place[..., 0] < 0, place[..., 0] > 0):
        ear = (ear_map > ON_EAR) & side
        if ear.any() and hair[ear].mean() < 0.5:  # dark hollows of a bare ear
            hair &= ~ear
    off = look.visible & ~geometry.seen.covered
    hair |= _slits(geometry, off & look.person & (look.clothes < 0.5) & ~hair, hair, unit)
    hair |= _above_eyes(geometry, off & ~dressed, hair, unit)
    hair = without_small(hair, PIECE * unit**2)
    return hair if hair.sum() >= PART * unit**2 else np.zeros_like(hair)


def with_mixed_edge(hair: BoolArray, look: Appearance, chin_row: float, unit: float) -> BoolArray:
    """Hair (H, W) with the mixed pixels around it and narrow strips beside it below the chin.

    On the body, they would be fragments once the hair is cut.
    """
    below = np.arange(len(hair))[:, None] > chin_row
    hanging = hair & below
    unsure = look.visible & below & (look.skin < SURE)
    with_mixed = hair | (dilate(hanging, NARROW * unit) & unsure)
    rest = unsure & ~with_mixed
    strips = rest & ~opened(rest, 2 * NARROW * unit) & dilate(hanging, 4 * NARROW * unit)
    return with_mixed | strips


def _slits(geometry: PhotoGeometry, off: BoolArray, hair: BoolArray, unit: float) -> BoolArray:
    """(H, W) the narrow strips of the person between `hair` (H, W) and the rig: they would be holes otherwise.

    off: (H, W) the person off the rig, without hair and clothes.
    """
    return (
        (off & ~opened(off, NARROW * unit))
        & dilate(hair, 2 * NARROW * unit)
        & dilate(geometry.part_map(Part.SKIN), 2 * NARROW * unit)
    )


def _above_eyes(geometry: PhotoGeometry, off: BoolArray, hair: BoolArray, unit: float) -> BoolArray:
    """(H, W) the person off the rig, (H, W) `off`, that is next to `hair` above the eyes, away from the rig.

    Only hair, or what is worn on it, is there. Built as skin, it would float in front of the hair when the head nods.
    """
    eye_row = geometry.camera.project(geometry.t_cam_head[None])[0, 1]
    above = np.arange(len(hair))[:, None] < eye_row
    away = ~dilate(geometry.seen.covered, NARROW * unit)
    _, pieces = cv2.connectedComponents((off & above & away).astype(np.uint8))
    next_to_hair = np.unique(pieces[dilate(hair, 2 * NARROW * unit)])
    return np.isin(pieces, next_to_hair[next_to_hair > 0])
