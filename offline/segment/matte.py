"""The person's matte: MediaPipe's selfie model (the fitted head where it fails), refined to soft edges by closed-form matting."""

from __future__ import annotations

import logging

import cv2
import mediapipe as mp
import numpy as np
from pymatting import estimate_alpha_cf, estimate_foreground_ml

from offline.images import dilate, disk, distance_to, erode, without_small
from offline.numeric import ramp
from offline.priors import PART
from offline.segment.contract import OPAQUE
from perse_live.arrays import BoolArray, Float32Array, FloatArray, UInt8Array
from perse_live.assets import asset_path
from perse_live.quiet import quiet_stderr

_log = logging.getLogger(__name__)
# Pixels (eye distance 115): side of the crop around the head, and its border over which it passes into the whole picture's mask
_CLOSER, _BLEND = 420.0, 60.0
_LOBES = 20.0  # pixels (eye distance 115) from the middle of the face down to the lobes of the ears
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


def person_near_face(rgb: UInt8Array, center: FloatArray, unit: float) -> Float32Array:
    """`person_probability` (H, W), mean of the picture and its mirror image; around the upper head no more than in a closer crop.

    The model works at 256 x 256; in a closer crop it takes less of a background that resembles hair along with the head.
    center: (2,) pixels, middle of the face; unit: pixels, eye distance / 115.
    """
    flipped = person_probability(np.ascontiguousarray(rgb[:, ::-1]))[:, ::-1]
    whole = 0.5 * (person_probability(rgb) + flipped)
    height, width = whole.shape
    half = 0.5 * _CLOSER * unit
    scale = height / (2 * half)
    closer = np.array(
        [[scale, 0, scale * (half - center[0])], [0, scale, scale * (half - center[1])]]
    )
    crop = cv2.warpAffine(rgb, closer, (width, height), borderMode=cv2.BORDER_REPLICATE)
    near = cv2.warpAffine(
        person_probability(np.asarray(crop, np.uint8)),
        closer,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    y, x = np.mgrid[0:height, 0:width] + 0.5
    from_edge = half - np.maximum(np.abs(x - center[0]), np.abs(y - center[1]))
    # not beside the neck: there a closer crop loses earrings
    inside = ramp(from_edge, 0, _BLEND * unit) * ramp(center[1] - y, -_LOBES * unit, 0)
    return np.minimum(whole, inside * near + (1 - inside) * whole).astype(np.float32)


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
    trimap[~dilate(mask > 0.12, 6 * unit)] = 0
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
