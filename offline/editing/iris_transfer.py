"""The irises of a second photo, resampled to polar coordinates and mapped onto the avatar's eyeballs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.editing.head_pair import Transplant
from offline.editing.light_match import LUMA
from offline.images import distance_to, sample
from offline.looks.changes import Title, recolored
from offline.looks.face.eye_color import iris_places
from offline.numeric import ramp
from offline.segment.landmark_masks import eye_openings
from perse_live.arrays import FloatArray
from perse_live.attributes import Attribute
from perse_live.errors import UserError
from perse_live.head.landmarks import LEFT_IRIS, RIGHT_IRIS

_RINGS, _ANGLES = 14, 48
_INNER, _OUTER = 0.38, 1.0  # of the iris' radius: the avatar's pupil is kept
_LEAST_SEEN = 0.3  # fraction of the ring that must be visible between the lids
_LEAST_RADIUS = 3.0  # pixels of the portrait


@dataclass(frozen=True, eq=False)
class _Unrolled:
    """An iris in polar coordinates: rings x angles."""

    colors: FloatArray
    """(R, A, 3)."""
    seen: FloatArray
    """(R, A) in [0, 1]."""


def eyes_from(both: Transplant, title: Title) -> Attribute:
    """Raises UserError where the photo shows no irises."""
    tables = [
        table for iris in (LEFT_IRIS, RIGHT_IRIS) if (table := _unrolled(both, iris)) is not None
    ]
    if not tables:
        raise UserError(
            f"{both.donor.photo.name}: the eyes are closed, too small or turned away; use a sharper, larger photo"
        )
    best = max(tables, key=lambda table: float(table.seen.mean()))
    colors = _completed(best)
    places = iris_places(both.avatar)
    on_eye = np.isfinite(places[:, 0])
    ring = np.where(on_eye, np.linalg.norm(np.where(on_eye[:, None], places, 9.0), axis=1), 9.0)
    angle = np.arctan2(places[:, 1], places[:, 0], where=on_eye, out=np.zeros(len(places)))
    wanted = both.light.things(_looked_up(colors, ring, angle))
    own = both.avatar.colors @ LUMA
    usual = (
        float(np.median(own[(ring > _INNER) & (ring < 0.9)]))
        if ((ring > _INNER) & (ring < 0.9)).any()
        else 0.3
    )
    reflection = ramp(own - usual, 0.16, 0.32) * (ring < 0.95)
    share = (
        ramp(ring, _INNER - 0.05, _INNER + 0.08) * (1 - ramp(ring, 0.97, 1.07)) * (1 - reflection)
    )
    return recolored(both.avatar, title, wanted, 0.95 * share)


def _unrolled(both: Transplant, iris: tuple[int, ...]) -> _Unrolled | None:
    """One eye of the donor; None where too little of it is visible."""
    donor = both.donor
    landmarks, shape = donor.portrait.detection.landmarks, donor.look.alpha.shape
    center = landmarks[iris[0], :2]
    radius = float(np.linalg.norm(landmarks[list(iris[1:]), :2] - center, axis=1).mean())
    if radius < _LEAST_RADIUS:
        return None
    radii = np.linspace(_INNER, _OUTER, _RINGS) * radius
    angles = np.arange(_ANGLES) * 2 * np.pi / _ANGLES
    # picture rows grow downwards, the eyeball's y upwards
    pixels = center + np.stack(
        [np.outer(radii, np.cos(angles)), -np.outer(radii, np.sin(angles))], -1
    )
    flat = pixels.reshape(-1, 2)
    inside = ramp(sample(distance_to(~eye_openings(landmarks, shape)), flat), 0.5, 2.0)
    colors = sample(donor.look.image, flat)
    luma = colors @ LUMA
    if inside.mean() < _LEAST_SEEN:
        return None
    typical = float(np.median(luma[inside > 0.5])) if (inside > 0.5).any() else 0.3
    seen = inside * (1 - ramp(luma - typical, 0.18, 0.32))  # reflections of lamps are excluded
    return _Unrolled(
        colors.reshape(_RINGS, _ANGLES, 3).astype(np.float64), seen.reshape(_RINGS, _ANGLES)
    )


def _completed(table: _Unrolled) -> FloatArray:
    """Colours (R, A, 3), completed where lids and reflections hide the iris: the ring's mean, shaded from above."""
    weight = table.seen[..., None] + 1e-4
    ring = (table.colors * weight).sum(1, keepdims=True) / weight.sum(1, keepdims=True)
    share = table.seen[..., None]
    return share * table.colors + (1 - share) * ring


def _looked_up(table: FloatArray, ring: FloatArray, angle: FloatArray) -> FloatArray:
    """Colours (N, 3) of a table (R, A, 3) at rings in iris radii (N,) and angles (N,) from +x counter-clockwise."""
    row = np.clip((ring - _INNER) / (_OUTER - _INNER), 0, 1) * (_RINGS - 1)
    column = np.mod(angle / (2 * np.pi), 1.0) * _ANGLES
    r, c = np.minimum(row.astype(int), _RINGS - 2), column.astype(int) % _ANGLES
    fr, fc = (row - r)[:, None], (column - np.floor(column))[:, None]
    after = (c + 1) % _ANGLES
    upper = table[r, c] * (1 - fc) + table[r, after] * fc
    lower = table[r + 1, c] * (1 - fc) + table[r + 1, after] * fc
    return upper * (1 - fr) + lower * fr
