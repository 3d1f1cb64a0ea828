"""Other colours for the irises; pupils, sclera, limbus and reflections of light stay.

The iris is located in the avatar's colours as the circle with the largest change across it (Daugman, IEEE PAMI 1993), close to
the rig's position.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from offline.looks.changes import Title, recolored
from offline.looks.face.rest_positions import on_part, surface_places
from offline.looks.photo_tones import LUMA, Ramp, along_ramp, light_of, lit
from offline.numeric import ramp
from perse_live.arrays import BoolArray, FloatArray
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.head.landmarks import LEFT_IRIS, RIGHT_IRIS
from perse_live.head.rig import EYES

_PUPIL = 0.36  # of the iris' radius, in a lit room
_PUPIL_COLOR = np.array([0.035, 0.03, 0.03])
_LIMBUS = 0.80  # inner edge of the dark limbus
_SEARCHED = np.radians(5.0)  # search radius around the rig's position
_STREAKS = np.arange(7, 34, 2)  # radial fibres around the iris
_SEED = 1993

_TINTS = (
    (
        Title("eyes-blue", "Blue eyes", "eyes"),
        Ramp((0.06, 0.10, 0.16), (0.235, 0.315, 0.395), (0.52, 0.61, 0.67)),
    ),
    (
        Title("eyes-green", "Green eyes", "eyes"),
        Ramp((0.07, 0.10, 0.06), (0.235, 0.295, 0.185), (0.50, 0.52, 0.31)),
    ),
    (
        Title("eyes-amber", "Amber eyes", "eyes"),
        Ramp((0.16, 0.075, 0.025), (0.44, 0.265, 0.095), (0.70, 0.50, 0.24)),
    ),
    (
        Title("eyes-brown", "Brown eyes", "eyes"),
        Ramp((0.06, 0.030, 0.018), (0.24, 0.130, 0.072), (0.43, 0.26, 0.15)),
    ),
    (
        Title("eyes-grey", "Grey eyes", "eyes"),
        Ramp((0.09, 0.10, 0.115), (0.32, 0.355, 0.385), (0.57, 0.60, 0.62)),
    ),
)


def iris_places(avatar: Avatar) -> FloatArray:
    """Position of each Gaussian on its eyeball's iris: (G, 2) iris radii from the centre, infinite elsewhere."""
    count = len(avatar.surface.triangles)
    places, light = surface_places(avatar, avatar.rig.vertices), avatar.colors[:count] @ LUMA
    marks = neutral_landmarks(avatar)
    out = np.full((len(avatar), 2), np.inf)
    for part, iris, middle in zip(
        EYES, (LEFT_IRIS, RIGHT_IRIS), avatar.rig.eye_centers, strict=True
    ):
        ball = on_part(avatar, part)[:count]
        ray = places[ball] - middle
        ray /= np.maximum(np.linalg.norm(ray, axis=1, keepdims=True), 1e-9)
        front = ray[:, 2] > 0.5
        if front.sum() < 60:
            continue
        expected = (
            np.linalg.norm(marks[list(iris[1:])] - marks[iris[0]], axis=1).mean()
            / avatar.rig.eye_radius
        )
        angles = np.arctan2(ray[:, :2], ray[:, 2:])
        center, radius = _edge(
            angles[front], light[ball][front], float(np.arcsin(np.clip(expected, 0.25, 0.55)))
        )
        out[np.nonzero(ball)[0]] = np.where(front[:, None], (angles - center) / radius, np.inf)
    return out


def _edge(angles: FloatArray, light: FloatArray, expected: float) -> tuple[FloatArray, float]:
    """Centre (2,) and radius of the circle with the steepest rise of light from inside to outside; radians."""
    best, found = -np.inf, (np.zeros(2), expected)
    for dx in np.linspace(-1, 1, 5) * _SEARCHED:
        for dy in np.linspace(-1, 1, 5) * _SEARCHED:
            distance = np.linalg.norm(angles - (dx, dy), axis=1)
            # soft edges bias the radius outwards
            for radius in expected * np.linspace(0.9, 1.05, 6):
                inside = light[(distance > 0.72 * radius) & (distance < 0.96 * radius)]
                outside = light[(distance > 1.04 * radius) & (distance < 1.30 * radius)]
                if len(inside) < 8 or len(outside) < 8:
                    continue
                far = (
                    (dx / _SEARCHED) ** 2 + (dy / _SEARCHED) ** 2 + 4 * (radius / expected - 1) ** 2
                )
                if (score := float(outside.mean() - inside.mean()) - 0.04 * far) > best:
                    best, found = score, (np.array([dx, dy]), radius)
    return found


def _painted(avatar: Avatar, place: FloatArray, tint: Ramp) -> tuple[FloatArray, FloatArray]:
    """Colours (G, 3) of the irises and their weights (G,). place: (G, 2) in iris radii."""
    on_eye = np.isfinite(place[:, 0])
    ring = np.where(on_eye, np.linalg.norm(np.where(on_eye[:, None], place, 9.0), axis=1), 9.0)
    around = np.arctan2(place[:, 1], place[:, 0], where=on_eye, out=np.zeros(len(place)))
    rng = np.random.default_rng(_SEED)
    phases, heights = (
        rng.uniform(0, 2 * np.pi, len(_STREAKS)),
        rng.uniform(0.04, 0.10, len(_STREAKS)),
    )
    fibres = np.cos(around[:, None] * _STREAKS + phases) @ heights
    collar = np.exp(-0.5 * ((ring - 0.52) / 0.10) ** 2)
    height = np.where(on_eye, place[:, 1], 0)
    relief = (
        0.05
        + fibres
        + 0.38 * collar
        - 0.42 * np.clip(height, -1, 1)
        - 1.15 * ramp(ring, _LIMBUS, 1.0)
    )
    own = avatar.colors @ LUMA
    usual = _by_ring(own, ring)
    relief += 0.35 * np.clip(np.log((own + 0.03) / (usual + 0.03)), -0.7, 0.7)
    reflection = ramp(own - usual, 0.14, 0.30) * (ring < 0.95)
    in_pupil = 1 - ramp(ring, _PUPIL - 0.06, _PUPIL + 0.08)
    # of brown eyes whose pupil is not visible in the photo
    pale_pupil = in_pupil * ramp(own, 0.10, 0.20)
    share = np.maximum((1 - in_pupil) * (1 - ramp(ring, 0.97, 1.07)), 0.85 * pale_pupil) * (
        1 - reflection
    )
    colors = along_ramp(tint, relief) * (1 - in_pupil[:, None]) + _PUPIL_COLOR * in_pupil[:, None]
    return lit(colors, light_of(avatar), share=0.5), share


def _by_ring(light: FloatArray, ring: FloatArray) -> FloatArray:
    """Median brightness (G,) at each Gaussian's distance from the pupil."""
    edges = np.array([0.0, 0.3, 0.5, 0.65, 0.8, 0.9, 1.0, 1.15])
    middles, medians = [], []
    for low, high in itertools.pairwise(edges):
        here: BoolArray = (ring >= low) & (ring < high)
        if here.sum() > 6:
            middles.append((low + high) / 2)
            medians.append(float(np.median(light[here])))
    return np.interp(ring, middles, medians) if middles else light


def _colored(title: Title, tint: Ramp) -> Callable[[Avatar], Attribute]:
    def make(avatar: Avatar) -> Attribute:
        return recolored(avatar, title, *_painted(avatar, iris_places(avatar), tint))

    return make


EYE_COLORS: dict[str, Callable[[Avatar], Attribute]] = {
    title.name: _colored(title, tint) for title, tint in _TINTS
}
"""By attribute name."""
