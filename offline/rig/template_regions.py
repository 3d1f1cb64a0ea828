"""Places of the head that code asks for, as data: the neck's axis, and named regions of the mean head.

All coordinates are metres in the head frame of the mean head (`IdentityModel.mean`): origin between the eyes, +y up, +z out of
the face; regions are the same on both sides. All heads share the mean head's numbering, so a region drawn on it holds for
everybody; `docs/template-regions.webp` shows them (`python -m offline.tools.region_pictures docs`). Regions with
soft edges, such as lips, brows and scalp, are charts of the vertices in `anatomy`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perse_live.arrays import BoolArray, FloatArray

NECK_AXIS_DEPTH = -0.085
"""The neck turns about a vertical axis in the symmetry plane at this depth (z); also right on personal heads, within 1 cm."""

NECK_ELLIPSE = 0.8
"""Width over depth of a neck, for `neck_radius`."""

EYES_LOWEST = -0.025
"""Height (y) below which there is nothing of the eyes; where sideburns end."""

EAR_LOBES, NECK_TOP, CHIN_HEIGHT, COLLAR = -0.05, -0.075, -0.111, -0.152
"""Heights (y): lower end of the ears, where the nape begins too; upper end of the neck's sides; MediaPipe's chin; where a
shirt ends at the throat. They stand for 15 heights that lay up to 1.1 cm apart; what that alone changes was not measured."""

BEHIND_JAW = -0.045
"""Depth (z) of the jaw's corners; neck, nape and back of the head are behind them."""

_ANY = (-np.inf, np.inf)


@dataclass(frozen=True)
class TemplateRegion:
    """A box of the mean head, on both sides of the symmetry plane; its borders are outside."""

    shows: str
    """What of the head it is."""
    lateral: tuple[float, float] = _ANY
    """From the symmetry plane, |x|."""
    height: tuple[float, float] = _ANY
    """y."""
    depth: tuple[float, float] = _ANY
    """z: greater is farther in front."""

    def contains(self, places: FloatArray) -> BoolArray:
        """Which of the places (..., 3) lie in it; NaN, where a pixel shows no head, does not."""
        with np.errstate(invalid="ignore"):
            inside = np.ones(places.shape[:-1], np.bool_)
            for values, (low, high) in (
                (np.abs(places[..., 0]), self.lateral),
                (places[..., 1], self.height),
                (places[..., 2], self.depth),
            ):
                if low > -np.inf:
                    inside &= values > low
                if high < np.inf:
                    inside &= values < high
        return inside


FACE_FRONT = TemplateRegion(
    "where expressions live: from the chin to the hairline, before the ears",
    height=(-0.125, 0.085),
    depth=(-0.045, np.inf),
)
FACE_AND_THROAT = TemplateRegion(
    "the face with its sides, and the throat", height=(-np.inf, 0.085), depth=(-0.09, np.inf)
)
FACE_MIDDLE = TemplateRegion(
    "eyes, nose and mouth: almost all of it is skin", lateral=(-np.inf, 0.05), height=(-0.085, 0.02)
)
PROFILE = TemplateRegion(
    "nose, mouth, chin and cheeks: what stands before the background in profile",
    height=(-np.inf, 0.035),
    depth=(-0.01, np.inf),
)
FOREHEAD = TemplateRegion(
    "the forehead, with all below it", height=(-np.inf, 0.08), depth=(-0.03, np.inf)
)
THROAT = TemplateRegion(
    "throat and the chin's underside: in the chin's shadow",
    lateral=(-np.inf, 0.035),
    height=(-np.inf, -0.075),
    depth=(-0.07, np.inf),
)
NECK_SIDE = TemplateRegion(
    "the neck's sides, behind the jaw",
    lateral=(0.03, np.inf),
    height=(-np.inf, -0.095),
    depth=(-np.inf, -0.055),
)
HEAD_SIDE = TemplateRegion(
    "ears and the sides of the head", lateral=(0.05, np.inf), depth=(-np.inf, -0.03)
)

REGIONS = {
    "face front": FACE_FRONT,
    "face and throat": FACE_AND_THROAT,
    "face middle": FACE_MIDDLE,
    "profile": PROFILE,
    "forehead": FOREHEAD,
    "throat": THROAT,
    "neck side": NECK_SIDE,
    "head side": HEAD_SIDE,
}
"""All regions by name, for the picture."""


def neck_radius(places: FloatArray, *, depth_scale: float = 1.0) -> FloatArray:
    """How far places (..., 3) are from the neck's axis, metres. depth_scale: weight of depth against width, for ellipses."""
    return np.hypot(places[..., 0], depth_scale * (places[..., 2] - NECK_AXIS_DEPTH))
