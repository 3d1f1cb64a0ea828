"""Small image operations that several steps of the build share."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates

from offline.numeric import ratio
from perse_live.arrays import (
    BoolArray,
    Float32Array,
    Float64Array,
    FloatArray,
    Int32Array,
    UInt8Array,
)

Picture = NDArray[Any]
"""(H, W) or (H, W, C) of any number type, or a mask."""


def disk(radius: float) -> UInt8Array:
    """A round structuring element of at least one pixel's radius."""
    r = max(1, round(radius))
    return np.asarray(
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * r + 1, 2 * r + 1)), np.uint8
    )


def dilate(mask: BoolArray, radius: float) -> BoolArray:
    """Grow a mask (H, W) by `radius` pixels."""
    return cv2.dilate(mask.astype(np.uint8), disk(radius)) > 0


def erode(mask: BoolArray, radius: float) -> BoolArray:
    """Shrink a mask (H, W) by `radius` pixels; the picture's border does not count as outside."""
    return (
        cv2.erode(
            mask.astype(np.uint8), disk(radius), borderType=cv2.BORDER_CONSTANT, borderValue=1
        )
        > 0
    )


def opened(mask: BoolArray, radius: float) -> BoolArray:
    """A mask (H, W) without what is narrower than two radii, pixels (morphological opening); the rest keeps its outline."""
    return mask & dilate(erode(mask, radius), radius + 1)


def blur(image: Picture, sigma: float, *, sigma_y: float = 0.0) -> Float32Array:
    """Gaussian blur; `sigma` and `sigma_y` in pixels, 0 for the latter means the same as across."""
    return np.asarray(
        cv2.GaussianBlur(image.astype(np.float32), (0, 0), max(sigma, 1e-3), sigmaY=sigma_y),
        np.float32,
    )


def mean_around(image: Picture, mask: BoolArray, sigma: float) -> Float32Array:
    """Mean of the image's pixels on a mask (H, W), weighted by a Gaussian around each pixel; 0 far from the mask.

    image: (H, W) or (H, W, C); sigma: pixels.
    """
    on_mask = mask[..., None] if image.ndim == 3 else mask
    share = blur(mask, sigma).reshape(on_mask.shape)
    mean = blur(np.where(on_mask, image, 0), sigma) / np.maximum(share, 1e-3)
    return np.asarray(mean, np.float32)


def distance_to(mask: BoolArray) -> Float32Array:
    """Distance in pixels to the nearest true pixel; 0 on the mask. Large values for an empty mask."""
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance, np.float32)


def nearest_true(mask: BoolArray) -> tuple[Float32Array, Int32Array, Int32Array]:
    """How far the nearest true pixel is, and its row and column; each (H, W). At least one pixel must be true."""
    found: Any = distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return distance_to(mask), *found


def without_small(mask: BoolArray, area: float) -> BoolArray:
    """A mask (H, W) without those of its connected pieces that have fewer than `area` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas: Int32Array = np.asarray(stats, np.int32)[:, cv2.CC_STAT_AREA]
    return mask & (areas >= area)[np.asarray(labels, np.intp)]


def polygon(points: FloatArray, shape: tuple[int, int]) -> BoolArray:
    """Fill a polygon.

    points: (N, 2) pixels, centres at +0.5. Returns (H, W).
    """
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(
        mask, [np.round((np.asarray(points) - 0.5) * 16).astype(np.int32)], 1, cv2.LINE_8, 4
    )
    return mask > 0


def pixel_centers(shape: tuple[int, ...]) -> Float64Array:
    """Where the pixels of a picture lie. shape: height and width first. Returns (H, W, 2) x and y."""
    ys, xs = np.mgrid[0 : shape[0], 0 : shape[1]]
    return np.stack([xs, ys], -1) + 0.5


def sample(image: Picture, pixels: FloatArray) -> Float32Array:
    """Bilinear look-up, edges replicated.

    image: (H, W) or (H, W, C); pixels: (N, 2), centres at +0.5. Returns (N,) or (N, C).
    """
    at = np.asarray(pixels)[:, ::-1].T - 0.5
    planes = np.moveaxis(np.atleast_3d(image.astype(np.float32)), 2, 0)
    values = [map_coordinates(plane, at, order=1, mode="nearest") for plane in planes]
    return np.stack(values, -1, dtype=np.float32).reshape(len(pixels), *image.shape[2:])


def fill_from(image: Picture, weight: Picture) -> Float32Array:
    """Spread known values smoothly over the unknown ones: pull-push on a pyramid (Gortler et al., The Lumigraph, SIGGRAPH 1996).

    image: (H, W) or (H, W, C); weight: (H, W) in [0, 1], 0 = unknown. Returns the image, filled.
    """
    known = weight.astype(np.float32)
    levels = [
        (
            (image[..., None] if image.ndim == 2 else image).astype(np.float32) * known[..., None],
            known,
        )
    ]
    while max(known.shape) > 1:
        size = (max(1, known.shape[1] // 2), max(1, known.shape[0] // 2))
        values, known = _halved(levels[-1][0], size), _halved(known, size)[..., 0]
        levels.append((values, known))
    current = ratio(levels[-1][0], known[..., None])  # the mean of all that is known
    for values, known in levels[-2::-1]:
        coarse = cv2.resize(current, known.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(
            *known.shape, -1
        )
        share = np.clip(known * 4, 0, 1)[..., None]
        current = ratio(values, known[..., None]) * share + coarse * (1 - share)
    return np.asarray(current[..., 0] if image.ndim == 2 else current, np.float32)


def _halved(image: Float32Array, size: tuple[int, int]) -> Float32Array:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32).reshape(
        size[1], size[0], -1
    )


def strand_direction(image: Float32Array, sigma: float) -> Float32Array:
    """Main direction of fine lines (H, W, 2), unit, x right and y down, from the structure tensor (Bigun & Granlund 1987).

    Without structure the direction tends to straight down.
    """
    luminance = blur(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)), 0.8)
    gx, gy = (
        np.asarray(cv2.Sobel(luminance, cv2.CV_32F, *order), np.float32)
        for order in ((1, 0), (0, 1))
    )
    xx, yy, xy = blur(gx * gx, sigma), blur(gy * gy, sigma), blur(gx * gy, sigma)
    prior = 0.15 * float(np.median(xx + yy))
    # Across the gradient; the prior is a gradient along x
    angle = 0.5 * np.arctan2(2 * xy, xx - yy + prior) + np.pi / 2
    direction = np.stack([np.cos(angle), np.sin(angle)], -1)
    return np.where(direction[..., 1:] < 0, -direction, direction).astype(np.float32)
