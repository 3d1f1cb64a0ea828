"""The person's matte: MediaPipe's selfie model (the fitted head where it fails), refined to soft edges by closed-form matting."""

from __future__ import annotations

import logging

import cv2
import mediapipe as mp
import numpy as np
from pymatting import estimate_alpha_cf, estimate_foreground_ml

from offline.images import dilate, disk, distance_to, erode, opened, without_small
from offline.numeric import ramp
from offline.priors import PART
from offline.segment.contract import OPAQUE
from perse_live.arrays import BoolArray, Float32Array, FloatArray, UInt8Array
from perse_live.assets import asset_path
from perse_live.quiet import quiet_stderr

_log = logging.getLogger(__name__)
_CLOSER = 420.0  # pixels (eye distance 115): side of the crop around the head
# Pixels (eye distance 115): half the width from which what is little like a person is background; earrings are narrower
_UNSURE = 8.0
# Pixels (eye distance 115) from it within which cloth may be translucent, and from which it is not
_CLOTH_EDGE = (5.0, 12.0)


def person_probability(rgb: UInt8Array) -> Float32Array:
    """Probability that each pixel is part of the person in front. rgb: (H, W, 3). Returns (H, W) in [0, 1]."""
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_path=str(asset_path("selfie_segmentation"))),
        output_confidence_masks=True,
        output_category_mask=False,
    )
    picture = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))
    with quiet_stderr(), vision.ImageSegmenter.create_from_options(options) as segmenter:
        result = segmenter.segment(picture)
        return np.squeeze(result.confidence_masks[-1].numpy_view()).astype(np.float32).copy()


def person_near_face(
    rgb: UInt8Array, valid: BoolArray, center: FloatArray, unit: float
) -> Float32Array:
    """Least `person_probability` (H, W) of three framings: the picture, the photo's part of it, and a closer crop of the head.

    What the model takes of a background along with the person changes with the framing; the person does not.
    valid: (H, W) inside the photo; center: (2,) pixels, middle of the face; unit: pixels, eye distance / 115.
    """
    half = 0.5 * _CLOSER * unit
    left, top = np.maximum(center - half, 0).astype(int)
    right, bottom = np.ceil(center + half).astype(int)
    rows, columns = np.flatnonzero(valid.any(1)), np.flatnonzero(valid.any(0))
    framings = (
        (np.s_[:, :], len(rgb)),
        (np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], len(rgb)),
        (np.s_[top:bottom, left:right], int(center[1])),  # below that row it loses earrings
    )
    least = np.ones(valid.shape, np.float32)
    for framing, end in framings:
        person, picture = np.ones_like(least), rgb[framing]
        flipped = person_probability(picture[:, ::-1])[:, ::-1]
        person[framing] = 0.5 * (person_probability(picture) + flipped)
        least[:end] = np.minimum(least, person)[:end]
    return least


def person_mask(
    probability: Float32Array, valid: BoolArray, face: BoolArray, silhouette: BoolArray, unit: float
) -> Float32Array:
    """A network's mask of the person, or what surrounds the fitted head where the network does not find the person.

    probability: (H, W) in [0, 1], of the network. Returns (H, W) in [0, 1], 0 outside the photo.
    """
    mask = probability * valid
    if mask[face].mean() < 0.7 or mask[~dilate(silhouette, 60 * unit)].mean() > 0.6:
        _log.warning("the segmentation model does not find the person: the head's outline is taken")
        mask = (dilate(silhouette, 12 * unit) & valid).astype(np.float32)
    count, labels, _, _ = cv2.connectedComponentsWithStats((mask > 0.4).astype(np.uint8))
    if count > 2:
        votes = np.bincount(labels[face & (labels > 0)], minlength=count)
        mask = mask * (
            cv2.dilate((labels == int(votes.argmax())).astype(np.uint8), disk(6 * unit)) > 0
        )
    return mask


def soft_matte(
    rgb: UInt8Array,
    mask: Float32Array,
    valid: BoolArray,
    face: BoolArray,
    before_face: BoolArray,
    unit: float,
) -> tuple[Float32Array, Float32Array]:
    """Closed-form matting (Levin et al. 2008) around the mask's edge, and the foreground's colours (Germer et al. 2020).

    before_face: (H, W) beyond the outline of the face; the segmentation model is too coarse there, and a strip of background
    along a cheek shows at once. Returns alpha (H, W) in [0, 1] and foreground (H, W, 3) in [0, 1].
    """
    trimap = np.full(mask.shape, 0.5)
    trimap[erode(mask > 0.9, 4 * unit)] = 1
    likely = mask > 0.12
    unsure = opened(likely & ~dilate(mask > 0.5, 6 * unit), _UNSURE * unit)
    trimap[~dilate(likely & ~unsure, 6 * unit)] = 0
    trimap[before_face & (trimap == 1) & (distance_to(~before_face) < 9 * unit)] = 0.5
    trimap[before_face & (distance_to(~before_face) > 12 * unit) & (mask < 0.98)] = 0
    trimap[erode(face, 3)] = 1
    image = rgb.astype(np.float64) / 255
    alpha = np.asarray(estimate_alpha_cf(image, trimap, laplacian_kwargs={"epsilon": 1e-5}))
    alpha = np.clip((alpha - 0.04) / 0.92, 0, 1) * valid
    foreground = np.asarray(estimate_foreground_ml(image, alpha))
    return alpha.astype(np.float32), foreground.astype(np.float32)


def without_haze(alpha: Float32Array, below: float, unit: float) -> Float32Array:
    """A matte (H, W) without wide translucent patches next to the shoulders, which are background similar to the clothes.

    Cloth ends within a few pixels; hair may be thin far out, so that nothing above the row `below` changes. unit: pixels, eye
    distance / 115.
    """
    solid = without_small(alpha > OPAQUE, PART * unit**2)
    if not solid.any():
        return alpha
    haze = ramp(distance_to(solid), _CLOTH_EDGE[0] * unit, _CLOTH_EDGE[1] * unit)
    lower = ramp(np.arange(len(alpha)) - below, 0.0, 20 * unit)[:, None]
    return (alpha * (1 - haze * lower)).astype(np.float32)
