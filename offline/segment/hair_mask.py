"""The mask of hair that is built as a separate volume."""

from __future__ import annotations

import numpy as np

from offline.images import dilate, distance_to, erode, without_small
from offline.rig.photo_geometry import PhotoGeometry, attribute_map, before_face
from offline.segment.appearance import Appearance
from offline.segment.contract import PartMaps
from perse_live.arrays import BoolArray, Float32Array
from perse_live.head.rig import Part

_LOCK = 80.0  # pixels (eye distance 115); smaller components of hair are dropped
# Pixels (eye distance 115): half the width of what may be left open between hair and face
_SLIT = 3.0


def hair_mask(
    geometry: PhotoGeometry,
    look: Appearance,
    parts: PartMaps,
    ears: Float32Array,
    chin_row: float,
    unit: float,
) -> BoolArray:
    """(H, W) mask of hair that is built as a separate volume; empty for bald people."""
    hair = (parts.hair > 0.45) & (look.alpha > 0.05)
    hair &= dilate(erode(hair, 3 * unit), 4.5 * unit)  # no dark outlines along the face's edge
    hair |= _wisps(hair, look.alpha, chin_row)
    # a thin dark strip along nose and cheek is a shadow in the matte; a wide one is hair behind the face
    ahead = hair & before_face(geometry)
    hair &= ~(ahead & ~dilate(erode(ahead, 4 * unit), 5 * unit))
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
    off = (look.alpha > 0.5) & (look.clothes < 0.5) & ~hair & ~geometry.seen.covered
    narrow = off & ~dilate(erode(off, _SLIT * unit), (_SLIT + 1) * unit)
    return (
        narrow
        & dilate(hair, 2 * _SLIT * unit)
        & dilate(geometry.part_map(Part.SKIN), 2 * _SLIT * unit)
    )


def _wisps(hair: BoolArray, alpha: Float32Array, chin_row: float) -> BoolArray:
    """(H, W) thin edges of the person that belong to hair because solid hair is nearest."""
    solid = alpha > 0.9
    nearer = distance_to(hair & solid) < distance_to(~hair & solid)
    above = np.arange(alpha.shape[0])[:, None] < chin_row
    return (alpha > 0.05) & ~solid & nearer & above
