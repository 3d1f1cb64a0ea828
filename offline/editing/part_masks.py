"""Masks of a part in a portrait: segmented from the photo, or its usual region by the rig."""

from __future__ import annotations

import cv2
import numpy as np

from offline.editing.donor import Donor
from offline.editing.hat_transfer import hat_mask
from offline.images import blur, dilate, disk, distance_to
from offline.rig.photo_geometry import attribute_map
from offline.segment.landmark_masks import eye_openings
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.errors import UserError

_SOFT = 2.0  # pixels at an eye distance of 115
_HAIR, _LEAST = 0.5, 150.0  # probability of hair; fewest square pixels of a part
# Metres on the mean head: half width and depth, upper and lower edge of glasses
_BAND = ((0.085, -0.040), (0.024, -0.032))


def seen_mask(donor: Donor, part: str) -> Float32Array:
    """(H, W) in [0, 1]: the part as segmented in a photo, the form of an inpainting mask.

    Raises UserError where it shows none.
    """
    unit = donor.portrait.unit
    if part == "hair":
        found = (donor.parts.hair > _HAIR) & (donor.look.alpha > 0.3)
    elif part == "hat":
        found = hat_mask(donor)
    elif part == "beard":
        skin = (donor.look.skin > 0.8) & (donor.look.alpha > 0.95)
        luma = donor.look.image.mean(2)
        bright = float(np.median(luma[skin])) if skin.any() else 0.5
        found = (_chart(donor, donor.charts.beard) > 0.2) & (luma < 0.72 * bright)
        found = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_CLOSE, disk(5 * unit)) > 0
    else:
        return usual_mask(donor, part)
    if found.sum() < _LEAST * unit**2:
        raise UserError(f"{donor.photo.name}: it shows no {part}")
    return _soft(dilate(found, 4 * unit), unit)


def usual_mask(donor: Donor, part: str) -> Float32Array:
    """(H, W) in [0, 1]: the usual region of the part on this head."""
    unit, charts, shape = donor.portrait.unit, donor.charts, donor.look.alpha.shape
    rest = donor.geometry.template_map()
    with np.errstate(invalid="ignore"):
        if part == "beard":
            found = (_chart(donor, charts.beard) > 0.1) | _below_chin(donor)
        elif part == "brows":
            found = dilate(_chart(donor, charts.brows) > 0.2, 5 * unit)
        elif part == "eyes":
            found = dilate(
                eye_openings(donor.portrait.detection.landmarks, (shape[0], shape[1])), 2 * unit
            )
        elif part == "makeup":
            found = dilate(_chart(donor, np.maximum(charts.lips, charts.eyelids)) > 0.2, 5 * unit)
            x, y = np.abs(rest[..., 0]), rest[..., 1]
            found |= np.hypot((x - 0.040) / 0.022, (y + 0.036) / 0.020) < 1
        elif part == "glasses":
            (wide, back), (upper, lower) = _BAND
            found = (
                (np.abs(rest[..., 0]) < wide)
                & (rest[..., 2] > back)
                & (rest[..., 1] < upper)
                & (rest[..., 1] > lower)
            )
            found = dilate(found, 4 * unit)
        else:
            found = _crown(donor, part)
    return _soft(found, unit)


def moved_mask(mask: Float32Array, landmarks: FloatArray, onto: FloatArray) -> Float32Array:
    """A mask (H, W), moved with the face by the similarity between two sets of landmarks (478, 2+)."""
    matrix, _ = cv2.estimateAffinePartial2D(
        landmarks[:, :2].astype(np.float32), onto[:, :2].astype(np.float32), method=cv2.LMEDS
    )
    return np.asarray(
        cv2.warpAffine(mask, matrix, mask.shape[::-1], flags=cv2.INTER_LINEAR), np.float32
    )


def _soft(mask: BoolArray, unit: float) -> Float32Array:
    """The mask with edges that fade outwards to 0."""
    out = np.clip(1 - distance_to(mask) / (3 * _SOFT * unit), 0, 1)
    return blur(out, 0.5 * _SOFT * unit) * (out > 0)


def _chart(donor: Donor, chart: Float32Array) -> Float32Array:
    """A chart (V,) rendered to a picture (H, W), 0 outside of the rig."""
    return np.nan_to_num(attribute_map(donor.geometry, chart[:, None])[..., 0])


def _below_chin(donor: Donor) -> BoolArray:
    """(H, W) a strip under the chin, where beards hang."""
    landmarks, unit = donor.portrait.detection.landmarks, donor.portrait.unit
    chin = landmarks[[152, 148, 377, 176, 400], :2]
    rows, columns = np.mgrid[0 : donor.look.alpha.shape[0], 0 : donor.look.alpha.shape[1]]
    near = np.stack([np.hypot(columns + 0.5 - x, rows + 0.5 - y) for x, y in chin]).min(0)
    return (near < 14 * unit) & (rows > chin[:, 1].min() - 4 * unit)


def _crown(donor: Donor, part: str) -> BoolArray:
    """(H, W) the head above the forehead with a margin; for hair also the sides of the face."""
    landmarks, unit, shape = (
        donor.portrait.detection.landmarks,
        donor.portrait.unit,
        donor.look.alpha.shape,
    )
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    head = dilate(np.isfinite(donor.geometry.head_depth), (26 if part == "hair" else 16) * unit)
    brow = landmarks[[105, 334], 1].mean() - 8 * unit
    above = head & (rows < brow - (0 if part == "hat" else 14 * unit))
    if part == "hat":
        return above | (head & (rows < brow) & dilate(above, 4 * unit))
    oval = landmarks[:, 0].min() + 6 * unit, landmarks[:, 0].max() - 6 * unit
    beside = (
        head & ((columns < oval[0]) | (columns > oval[1])) & (rows < landmarks[152, 1] + 20 * unit)
    )
    own = (donor.parts.hair > _HAIR) & (donor.look.alpha > 0.3)
    return above | beside | dilate(own, 4 * unit)
