"""Small image operations that several steps of the build share."""

from __future__ import annotations

import cv2
import numpy as np

from perse_live.arrays import BoolArray, Float32Array, FloatArray


def disk(radius: float) -> np.ndarray:
    """A round structuring element of at least one pixel's radius."""
    r = max(1, round(radius))
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * r + 1, 2 * r + 1))


def dilate(mask: BoolArray, radius: float) -> BoolArray:
    """Grow a mask (H, W) by `radius` pixels."""
    return cv2.dilate(mask.astype(np.uint8), disk(radius)) > 0


def erode(mask: BoolArray, radius: float) -> BoolArray:
    """Shrink a mask (H, W) by `radius` pixels; the picture's border does not count as outside."""
    return cv2.erode(mask.astype(np.uint8), disk(radius), borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0


def blur(image: FloatArray, sigma: float) -> Float32Array:
    """Gaussian blur of (H, W) or (H, W, C)."""
    return cv2.GaussianBlur(image.astype(np.float32), (0, 0), max(sigma, 1e-3))


def distance_to(mask: BoolArray) -> Float32Array:
    """Pixels from each place to the nearest true one; 0 on the mask itself. All true nowhere gives large numbers."""
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5).astype(np.float32)


def polygon(points: FloatArray, shape: tuple[int, int]) -> BoolArray:
    """Fill a polygon.

    points: (N, 2) pixels, centres at +0.5. Returns (H, W).
    """
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round((np.asarray(points) - 0.5) * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    return mask > 0


def sample(image: FloatArray, pixels: FloatArray) -> Float32Array:
    """Bilinear look-up, edges replicated.

    image: (H, W) or (H, W, C); pixels: (N, 2), centres at +0.5. Returns (N,) or (N, C).
    """
    count, width = len(pixels), 4096
    rows = max(1, -(-count // width))
    grid = np.zeros((rows * width, 2), np.float32)
    grid[:count] = pixels - 0.5
    out = cv2.remap(image.astype(np.float32), grid[:, 0].reshape(rows, width), grid[:, 1].reshape(rows, width), cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REPLICATE)
    return out.reshape(rows * width, *image.shape[2:])[:count]


def fill_from(image: FloatArray, weight: FloatArray) -> Float32Array:
    """Spread known values smoothly over the unknown ones: pull-push on a pyramid (Gortler et al., The Lumigraph, SIGGRAPH 1996).

    image: (H, W) or (H, W, C); weight: (H, W) in [0, 1], 0 = unknown. Returns the image, filled.
    """
    flat = image.ndim == 2
    weight = weight.astype(np.float32)
    colour = (image[..., None] if flat else image).astype(np.float32) * weight[..., None]
    levels = [(colour, weight)]
    while min(levels[-1][1].shape) > 2:
        height, width = levels[-1][1].shape
        size = (max(1, width // 2), max(1, height // 2))
        smaller = cv2.resize(levels[-1][0], size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
        levels.append((smaller, cv2.resize(levels[-1][1], size, interpolation=cv2.INTER_AREA)))
    current = levels[-1][0] / np.maximum(levels[-1][1], 1e-8)[..., None]
    for colour, weight in levels[-2::-1]:
        size = (weight.shape[1], weight.shape[0])
        coarse = cv2.resize(current, size, interpolation=cv2.INTER_LINEAR).reshape(*weight.shape, -1)
        share = np.clip(weight * 4, 0, 1)[..., None]
        current = colour / np.maximum(weight, 1e-8)[..., None] * share + coarse * (1 - share)
    return current[..., 0] if flat else current
