"""Glasses of a second photo: the lenses' outline is detected, and a pair of that form, colour and tint is made for the avatar.

The outline is the closed path around both eyes of the highest contrast: the thin dark or bright line of a frame's rim, or the
edge of a dark lens. Both sides share one outline, so that hair, brows or a reflection on one side do not decide (dynamic
programming, as in Amini et al., Using dynamic programming for solving variational problems in vision, PAMI 1990).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from offline.editing.donor import Donor
from offline.editing.head_pair import Transplant
from offline.editing.light_match import LUMA
from offline.images import blur, disk, sample
from offline.looks.changes import Title
from offline.looks.eyewear.glasses import FrameStyle, glasses
from perse_live.arrays import Float32Array, FloatArray
from perse_live.attributes import Attribute
from perse_live.errors import UserError

# Metres: the reference lens that outlines are factors of
_HALF_WIDTH, _HALF_HEIGHT, _EXPONENT = (0.0255, 0.0195, 2.6)
_OUTWARD, _LOWER = 0.0042, 0.004  # metres from the eye's centre to the reference lens' centre
_AHEAD = 0.0125  # metres between cornea and lens
_WRAP, _TILT = 1.6, np.radians(6)  # curvature (1 / metres) and inclination of the front
_ANGLES = 72
_FACTORS = np.linspace(0.62, 1.42, 65)
_STIFFNESS = 0.35  # cost of a step in the factor, relative to a line of full contrast
_SIZE_PRIOR = 0.25  # cost of a lens half as large again as usual
# Mean root of contrast along an outline, all around and on the cheeks; bare faces: 0.24, 0.14
_LINE, _LOWER_LINE = (0.30, 0.20)
_PROFILE = np.linspace(-0.006, 0.006, 49)  # metres across the rim


@dataclass(frozen=True, eq=False)
class _Front:
    """Projection of a lens' plane into the donor's photo."""

    donor: Donor

    def pixels(self, side: float, places: FloatArray) -> FloatArray:
        """Pixels (N, 2) of places (N, 2) about a lens' centre, x towards the temple, metres."""
        eyes = self.donor.rig.eye_centers.astype(np.float64)
        middle = eyes.mean(0)
        out = abs(eyes[0, 0] - eyes[1, 0]) / 2 + _OUTWARD + places[:, 0]
        depth = (
            middle[2]
            + self.donor.rig.eye_radius
            + _AHEAD
            - _WRAP * out**2
            + np.tan(_TILT) * places[:, 1]
        )
        points = np.stack([middle[0] + side * out, middle[1] - _LOWER + places[:, 1], depth], 1)
        geometry = self.donor.geometry
        seen = geometry.camera.project(points @ geometry.R_cam_head.T + geometry.t_cam_head)
        return np.clip(seen, 1, np.array([geometry.camera.width, geometry.camera.height]) - 1.01)


def glasses_from(both: Transplant, title: Title) -> Attribute:
    """The attribute. Raises UserError where no glasses are detected."""
    donor = both.donor
    front = _Front(donor)
    angles = np.arange(_ANGLES) * 2 * np.pi / _ANGLES
    base = _superellipse(angles)
    line, edge = _evidence(donor)
    polar = base[:, None] * _FACTORS[None, :, None]
    seen = np.zeros((_ANGLES, len(_FACTORS)))
    for evidence in (line, edge):
        sides = [
            sample(evidence, front.pixels(side, polar.reshape(-1, 2))).reshape(_ANGLES, -1)
            for side in (-1.0, 1.0)
        ]
        # a rim shows on both sides: half of the weight is the lower contrast of the two
        seen = np.maximum(seen, 0.5 * np.minimum(*sides) + 0.5 * np.mean(sides, 0))
    cost = -np.clip(seen, 0, 1) + _SIZE_PRIOR * (np.log(_FACTORS)[None] / np.log(1.5)) ** 2
    path = closed_path(cost, _STIFFNESS)
    contrast = seen[np.arange(_ANGLES), path]
    below = (angles > np.radians(205)) & (angles < np.radians(335))
    if contrast.mean() < _LINE or contrast[below].mean() < _LOWER_LINE:
        raise UserError(
            f"{donor.photo.name}: no glasses can be made out; use a sharp photo from the front"
        )
    factors = _smooth(_FACTORS[path])
    style = _style(both, front, base * factors[:, None], factors)
    return glasses(both.avatar, title.name, title.label, style)


def _superellipse(angles: FloatArray) -> FloatArray:
    """Points (N, 2) of the usual lens at angles (N,)."""
    c, s = np.cos(angles), np.sin(angles)
    radius = (np.abs(c / _HALF_WIDTH) ** _EXPONENT + np.abs(s / _HALF_HEIGHT) ** _EXPONENT) ** (
        -1 / _EXPONENT
    )
    return np.stack([radius * c, radius * s], 1)


def _evidence(donor: Donor) -> tuple[Float32Array, Float32Array]:
    """Contrast (H, W) of a rim and of a dark lens' edge at each pixel, relative to the skin's brightness."""
    unit = donor.portrait.unit
    luma = blur(donor.look.image @ LUMA.astype(np.float32), 0.6)
    skin = (donor.look.skin > 0.7) & (donor.look.alpha > 0.95)
    bright = float(np.median(luma[skin])) if skin.any() else 0.5
    line = np.zeros_like(luma)
    for radius in (3.5 * unit, 6.5 * unit):
        line = np.maximum(line, cv2.morphologyEx(luma, cv2.MORPH_BLACKHAT, disk(radius)))
    shine = cv2.morphologyEx(luma, cv2.MORPH_TOPHAT, disk(3.0 * unit))
    line = np.maximum(line, 0.8 * shine)
    slope = np.hypot(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)) / 8
    dark = blur((luma < 0.45 * bright).astype(np.float32), 2 * unit)
    # lashes, brows and the eyes themselves are dark lines too
    quiet = 1 - 0.75 * _features(donor)
    rim, lens = (
        1.5 * line / bright * quiet,
        1.5 * slope / bright * np.sqrt(np.clip(dark, 0, 1)) * quiet,
    )
    # the root raises weak contrast: a thin wire on a cheek, where nothing else is
    return np.sqrt(np.clip(rim, 0, 1)).astype(np.float32), np.sqrt(np.clip(lens, 0, 1)).astype(
        np.float32
    )


def _features(donor: Donor) -> Float32Array:
    """(H, W) in [0, 1] where brows and lids are."""
    geometry = donor.geometry
    corners = geometry.triangles[np.maximum(geometry.seen.triangle_ids, 0)]
    charts = np.maximum(donor.charts.brows, 0.8 * donor.charts.eyelids)
    values = (charts[corners] * geometry.seen.barycentrics).sum(-1) * geometry.seen.covered
    return np.clip(np.maximum(blur(values, 1.5), blur(donor.look.openings, 2.0)), 0, 1)


def closed_path(cost: FloatArray, stiffness: float) -> NDArray[np.integer]:
    """The columns (A,) of least cost through (A, R), neighbours at most two columns apart; the last row meets the first."""
    rows, columns = cost.shape
    twice = np.concatenate(
        [cost, cost]
    )  # the second round does not depend on where the first started
    best, back = twice[0].copy(), np.zeros((2 * rows, columns), np.int64)
    steps = np.arange(-2, 3)
    for k in range(1, 2 * rows):
        shifted = np.full((len(steps), columns), np.inf)
        for j, step in enumerate(steps):
            source = np.arange(columns) + step
            inside = (source >= 0) & (source < columns)
            shifted[j, inside] = best[source[inside]] + stiffness * 0.25 * step**2
        choice = shifted.argmin(0)
        back[k] = np.clip(np.arange(columns) + steps[choice], 0, columns - 1)
        best = shifted.min(0) + twice[k]
    path = np.empty(2 * rows, np.int64)
    path[-1] = int(best.argmin())
    for k in range(2 * rows - 1, 0, -1):
        path[k - 1] = back[k, path[k]]
    half = rows // 2
    return np.roll(path[half : half + rows], half)


def _smooth(factors: FloatArray) -> FloatArray:
    kernel = np.array([0.06, 0.24, 0.4, 0.24, 0.06])
    padded = np.concatenate([factors[-2:], factors, factors[:2]])
    return np.convolve(padded, kernel, mode="valid")


def _style(both: Transplant, front: _Front, outline: FloatArray, factors: FloatArray) -> FrameStyle:
    """Form, thickness and colours of the frame along an outline (A, 2)."""
    image = both.donor.look.image
    away = outline / np.linalg.norm(outline, axis=1, keepdims=True)
    across = outline[:, None] + _PROFILE[None, :, None] * away[:, None]
    colors = np.stack(
        [
            sample(image, front.pixels(side, across.reshape(-1, 2))).reshape(*across.shape[:2], 3)
            for side in (-1.0, 1.0)
        ]
    )
    below = outline[:, 1] < 0.35 * _HALF_HEIGHT  # the upper rim may lie on a brow
    profile = np.median((colors @ LUMA)[:, below].reshape(-1, len(_PROFILE)), 0)
    inside, beyond = float(np.median(profile[:10])), float(np.median(profile[-10:]))
    middle = slice(len(_PROFILE) // 2 - 8, len(_PROFILE) // 2 + 9)
    at = middle.start + int(profile[middle].argmin())
    skin = float(both.light.donor_skin @ LUMA)
    lens = np.median(colors[:, :, :6].reshape(-1, 3), 0)
    tinted = float(lens @ LUMA) < 0.5 * skin
    ground = beyond if tinted else (inside + beyond) / 2
    half = profile < (profile[at] + ground) / 2
    first, last = at, at
    while first > 0 and half[first - 1] and not tinted:
        first -= 1
    while last < len(half) - 1 and half[last + 1]:
        last += 1
    width = (_PROFILE[1] - _PROFILE[0]) * (last - first + 1)
    pixel = 1 / both.donor.geometry.pixels_per_metre
    # A line looks a pixel wider than it is
    rim = float(np.clip((width - 1.2 * pixel) / 2, 0.00055, 0.003))
    near = colors[:, below][:, :, max(at - 1, 0) : at + 2].reshape(-1, 3)
    luma = near @ LUMA
    frame = np.median(near[luma <= np.percentile(luma, 35)], 0)
    if rim < 0.001:  # a wire's pixels are half skin
        frame = np.clip(frame - 0.5 * (both.light.donor_skin - frame), 0.03, 1)
    shown = both.light.things(np.stack([frame, lens]))
    return FrameStyle(
        half_width=_HALF_WIDTH,
        half_height=_HALF_HEIGHT,
        exponent=_EXPONENT,
        outward=_OUTWARD,
        rim=rim,
        arm=min(rim, 0.0022),
        color=_triple(shown[0]),
        shine=0.45 if rim < 0.001 else 0.3,
        lens=_triple(shown[1] if tinted else (0.82, 0.88, 0.92)),
        lens_top=0.93 if tinted else 0.07,
        lens_bottom=0.80 if tinted else 0.035,
        drop=0.3 * _HALF_HEIGHT,
        outline=tuple(float(f) for f in factors),
        lower=_LOWER,
    )


def _triple(color: FloatArray | tuple[float, float, float]) -> tuple[float, float, float]:
    red, green, blue = (float(c) for c in color)
    return red, green, blue
