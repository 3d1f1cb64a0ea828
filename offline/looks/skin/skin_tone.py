"""Other skins: sun-tanned, pale, rosy cheeks, freckles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial import KDTree

from offline.looks.changes import Title, only_added, recolored, spots
from offline.looks.face.make_up import blush_share
from offline.looks.face.rest_positions import along_line, depth_inside, on_part, places_at_rest
from offline.looks.hair.hair_color import hair_of
from offline.looks.photo_tones import LUMA, rgb_of, skin_likeness, skin_of
from offline.numeric import normalized, ramp
from offline.sampling import poisson_disk
from perse_live.arrays import FloatArray
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.head.landmarks import LEFT_BROW, LEFT_EYE, OUTER_LIP_RING, RIGHT_BROW, RIGHT_EYE
from perse_live.head.rig import Part
from perse_live.regions import Region

_SEED = 47
_FRECKLES_AT = 0.0019  # metres between candidate positions, most of which are discarded
# Cheeks towards the nose, and across its bridge
_FRECKLE_LINES = ((50, 36, 142, 126), (280, 266, 371, 355), (126, 195, 355))


def skin_share(avatar: Avatar) -> FloatArray:
    """Share of skin in each Gaussian, (G,) in [0, 1]: 1 on face, ears and neck, less on lips, 0 on hair and brows."""
    like = skin_likeness(avatar.colors, skin_of(avatar))
    skin, lips = avatar.regions == Region.SKIN, avatar.regions == Region.LIPS
    bare = np.isin(avatar.regions, (Region.BODY, Region.SCALP)) & (like > 0.5)
    return np.where(skin | bare, like, 0) + 0.7 * lips + hair_of(avatar).skin * like


def _tan(avatar: Avatar) -> Attribute:
    """Darker, and warmer unless the skin or the photo's light is warm."""
    skin = skin_of(avatar)
    lightness, red, yellow = skin.lab
    goal = rgb_of(
        np.array(
            [[0.86 * lightness, red + 0.6 * max(14 - red, 0), yellow + 0.6 * max(24 - yellow, 0)]]
        )
    )[0]
    tanned = avatar.colors * (goal / np.maximum(skin.color, 0.02))
    return recolored(
        avatar, Title("skin-tan", "Sun-tanned skin", "skin"), tanned, skin_share(avatar)
    )


def _pale(avatar: Avatar) -> Attribute:
    light = (avatar.colors @ LUMA)[:, None]
    grey = light + 0.68 * (avatar.colors - light)
    pale = 1 - (1 - grey) ** 1.28 * np.array([0.92, 0.90, 0.885])
    return recolored(
        avatar, Title("skin-pale", "Pale skin", "skin"), pale, 0.9 * skin_share(avatar)
    )


def _rosy(avatar: Avatar) -> Attribute:
    places, marks = places_at_rest(avatar), neutral_landmarks(avatar)
    cheeks = blush_share(avatar, places, spread=0.0155)
    nose = 0.5 * np.exp(-0.5 * (np.linalg.norm(places - marks[4], axis=1) / 0.009) ** 2)
    chin = 0.25 * np.exp(-0.5 * (np.linalg.norm(places - marks[199], axis=1) / 0.010) ** 2)
    flushed = avatar.colors * np.array([1.0, 0.66, 0.68]) + np.array([0.035, 0, 0])
    share = (
        np.maximum(cheeks, np.maximum(nose, chin)) * skin_share(avatar) * on_part(avatar, Part.SKIN)
    )
    return recolored(avatar, Title("skin-rosy", "Rosy cheeks", "skin"), flushed, 0.45 * share)


def _freckles(avatar: Avatar) -> Attribute:
    """Spots of several sizes: dense across the nose and on the cheeks, fewer around, none on lips and lids."""
    rig, marks = avatar.rig, neutral_landmarks(avatar)
    rng = np.random.default_rng(_SEED)
    middle = rig.vertices[rig.triangles].mean(1)
    face = (
        (rig.parts == Part.SKIN) & (middle[:, 2] > -0.035) & (np.abs(middle[:, 1] + 0.02) < 0.075)
    )
    points = poisson_disk(
        rig.vertices, rig.triangles, np.where(face, _FRECKLES_AT, 0), rng=rng, oversampling=3.0
    )
    places = points.interpolate(rig.vertices, rig.triangles)
    density = _freckle_density(marks, places) * _clumps(places, rng)
    density *= skin_likeness(_colors_near(avatar, places), skin_of(avatar))
    kept = rng.random(len(points)) < density
    points, density = points.select(kept), density[kept]
    own = _colors_near(avatar, places[kept])
    size = np.exp(rng.normal(np.log(0.00050), 0.38, len(points))).clip(0.0003, 0.0011)
    sigma = np.stack([size * rng.uniform(1.0, 1.5, len(points)), size], 1)
    brown = own * np.array([0.70, 0.55, 0.44])
    turn = normalized(rng.normal(size=(len(points), 3)))
    opacity = rng.uniform(0.15, 0.70, len(points)) * (0.6 + 0.4 * density)
    appear = rng.uniform(0, 0.75, len(points))
    return only_added(
        avatar,
        Title("skin-freckles", "Freckles", "skin"),
        spots(avatar, rig.vertices, points, sigma, brown, opacity, appear, along=turn),
    )


def _freckle_density(marks: FloatArray, places: FloatArray) -> FloatArray:
    near = np.min([along_line(places, marks[list(line)])[0] for line in _FRECKLE_LINES], 0)
    density = 0.62 * np.exp(-0.5 * (near / 0.0125) ** 2) + 0.055
    for ring, gap in (
        (LEFT_EYE, 0.0035),
        (RIGHT_EYE, 0.0035),
        (OUTER_LIP_RING, 0.006),
        (LEFT_BROW, 0.005),
        (RIGHT_BROW, 0.005),
    ):
        line = marks[[*ring, ring[0]]]
        density *= ramp(along_line(places, line)[0], gap, gap + 0.004)
    # What of lids and lips lies within is too far from the ring to be near it
    for ring in (LEFT_EYE, RIGHT_EYE, OUTER_LIP_RING):
        density *= depth_inside(places[:, :2], marks[list(ring), :2]) < 0
    nostrils = marks[[98, 2, 327]]
    return density * ramp(along_line(places, nostrils)[0], 0.004, 0.008)


def _clumps(places: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Smooth noise around 1, as freckles are not distributed uniformly. places: (N, 3)."""
    waves = rng.normal(size=(3, 24)) / 0.006
    return np.clip(
        1 + 0.30 * np.cos(places @ waves + rng.uniform(0, 2 * np.pi, 24)).sum(1) / np.sqrt(6),
        0.15,
        1.9,
    )


def _colors_near(avatar: Avatar, places: FloatArray) -> FloatArray:
    """The skin's colour (N, 3) around places (N, 3) at rest."""
    skin = np.nonzero(avatar.regions[: len(avatar.surface.triangles)] == Region.SKIN)[0]
    count = min(5, len(skin))
    nearest = KDTree(places_at_rest(avatar)[skin]).query(places, k=count)[1].reshape(-1, count)
    return avatar.colors[skin[nearest]].mean(1)


SKINS: dict[str, Callable[[Avatar], Attribute]] = {
    "skin-freckles": _freckles,
    "skin-tan": _tan,
    "skin-pale": _pale,
    "skin-rosy": _rosy,
}
"""By attribute name."""
