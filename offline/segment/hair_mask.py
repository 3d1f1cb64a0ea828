"""The mask of hair that is built as a separate volume."""

from __future__ import annotations

import numpy as np

from offline.images import NARROW, dilate, opened, without_small
from offline.rig.photo_geometry import PhotoGeometry, attribute_map
from offline.segment.appearance import Appearance
from offline.segment.contract import PartMaps
from perse_live.arrays import BoolArray, Float32Array
from perse_live.head.rig import Part

_HAIR = 0.45  # probability from which a pixel is hair; at 0.5 the face of a portrait with long hair (s42) loses 0.3 dB
_LOCK = 80.0  # pixels (eye distance 115); smaller components of hair are dropped


def hair_mask(
    geometry: PhotoGeometry,
    look: Appearance,
    parts: PartMaps,
    ears: Float32Array,
    unit: float,
) -> BoolArray:
    """(H, W) mask of hair that is built as a separate volume; empty for bald people."""
    hair = (parts.hair > _HAIR) & look.visible
    place = geometry.template_map()
    ear_map = np.nan_to_num(attribute_map(geometry, ears[:, None])[..., 0])
    for side in (place[..., 0] < 0, place[..., 0] > 0):
        ear = (ear_map > 0.3) & side
        if ear.any() and hair[ear].mean() < 0.5:  # dark hollows of a bare ear
            hair &= ~ear
    hair |= _slits(geometry, look, hair, unit)
    hair = without_small(hair, _LOCK * unit**2)
    return hair if hair.sum() >= 400 * unit**2 else np.zeros_like(hair)


def _slits(geometry: PhotoGeometry, look: Appearance, hair: BoolArray, unit: float) -> BoolArray:
    """(H, W) the narrow strips of the person between `hair` (H, W) and the rig: they would be holes otherwise."""
    off = look.person & (look.clothes < 0.5) & ~hair & ~geometry.seen.covered
    return (
        (off & ~opened(off, NARROW * unit))
        & dilate(hair, 2 * NARROW * unit)
        & dilate(geometry.part_map(Part.SKIN), 2 * NARROW * unit)
    )
