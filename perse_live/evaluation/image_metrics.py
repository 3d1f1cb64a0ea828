"""Image distances inside a region: PSNR, SSIM, GMSD and detail."""

from __future__ import annotations

import cv2
import numpy as np

from perse_live.arrays import BoolArray, Float32Array, FloatArray, UInt8Array

MAX_PSNR = 60.0
"""dB; what equal pictures get, so that means stay finite."""

_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5
_SSIM_LUMINANCE, _SSIM_CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_GMSD_CONSTANT = 170.0
_PREWITT = np.array([[1, 0, -1]] * 3, np.float32) / 3
_BORDER = 8  # pixels kept around a region, more than the SSIM window's half


def psnr(reference: UInt8Array, picture: UInt8Array, inside: BoolArray) -> float:
    """Peak signal-to-noise ratio over RGB in dB, at most `MAX_PSNR`; NaN for an empty region.

    reference, picture: (H, W, 3); inside: (H, W).
    """
    if not inside.any():
        return float("nan")
    error = float(
        ((reference[inside].astype(np.float32) - picture[inside].astype(np.float32)) ** 2).mean()
    )
    return min(MAX_PSNR, 10 * float(np.log10(255**2 / max(error, 1e-9))))


def structure(reference: UInt8Array, picture: UInt8Array, inside: BoolArray) -> tuple[float, float]:
    """SSIM (mean of its map, 1 is equal) and GMSD (0 is equal) of the luma inside a region; NaN for an empty one.

    Outside the region the picture counts as equal to the reference, so that no window on its edge sees a background.
    """
    if not inside.any():
        return float("nan"), float("nan")
    rows, columns = (np.nonzero(inside.any(axis))[0] for axis in (1, 0))
    window = np.s_[
        max(rows[0] - _BORDER, 0) : rows[-1] + _BORDER + 1,
        max(columns[0] - _BORDER, 0) : columns[-1] + _BORDER + 1,
    ]
    inside, reference = inside[window], reference[window]
    pasted = np.where(inside[..., None], picture[window], reference)
    a, b = _luma(reference), _luma(pasted)
    return float(ssim_map(a, b)[inside].mean()), gmsd(a, b, inside)


def ssim_map(a: FloatArray, b: FloatArray) -> FloatArray:
    """Structural similarity of every pixel's surroundings (Wang et al., IEEE TIP 2004), (H, W).

    a, b: (H, W) in [0, 255]. Gaussian window of 11 x 11, sigma 1.5.
    """
    mean_a, mean_b = _window(a), _window(b)
    variance_a, variance_b = _window(a * a) - mean_a**2, _window(b * b) - mean_b**2
    covariance = _window(a * b) - mean_a * mean_b
    return (
        (2 * mean_a * mean_b + _SSIM_LUMINANCE)
        * (2 * covariance + _SSIM_CONTRAST)
        / ((mean_a**2 + mean_b**2 + _SSIM_LUMINANCE) * (variance_a + variance_b + _SSIM_CONTRAST))
    )


def gmsd(a: Float32Array, b: Float32Array, inside: BoolArray) -> float:
    """Gradient magnitude similarity deviation at half size (Xue et al., IEEE TIP 2014). a, b: (H, W) in [0, 255]."""
    strong_a, strong_b = _gradient(_half(a)), _gradient(_half(b))
    similarity = (2 * strong_a * strong_b + _GMSD_CONSTANT) / (
        strong_a**2 + strong_b**2 + _GMSD_CONSTANT
    )
    covered = _half(inside.astype(np.float32)) > 0.5
    return float(similarity[covered].std()) if covered.any() else float("nan")


def detail(picture: UInt8Array, inside: BoolArray, eye_distance: float) -> float:
    """Mean square of the luma's detail, [0, 255]^2: what is finer than a fold is wide and coarser than a pixel's noise.

    It is the difference of Gaussians of 1/115 and 4/115 of the distance between the outer eye corners, pixels.
    inside: (H, W); NaN where it is empty.
    """
    if not inside.any():
        return float("nan")
    luma, unit = _luma(picture), eye_distance / 115
    fine, coarse = (cv2.GaussianBlur(luma, (0, 0), sigma * unit) for sigma in (1.0, 4.0))
    return float(((fine - coarse)[inside] ** 2).mean())


def _window(values: FloatArray) -> FloatArray:
    return np.asarray(
        cv2.GaussianBlur(values, (_SSIM_WINDOW, _SSIM_WINDOW), _SSIM_SIGMA), values.dtype
    )


def _half(values: Float32Array) -> Float32Array:
    return np.asarray(
        cv2.resize(values, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float32
    )


def _gradient(values: Float32Array) -> Float32Array:
    return np.hypot(cv2.filter2D(values, -1, _PREWITT), cv2.filter2D(values, -1, _PREWITT.T))


def _luma(picture: UInt8Array) -> Float32Array:
    return cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY).astype(np.float32)
