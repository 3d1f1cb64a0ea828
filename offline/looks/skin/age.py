"""Some years more: deeper folds, shadows under the eyes, less even skin, greying hair."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offline.looks.changes import Title, recolored
from offline.looks.face.rest_positions import along_line, on_part, places_at_rest
from offline.looks.hair.hair_color import GREY, hair_of, tinted
from offline.looks.skin.skin_tone import skin_share
from offline.numeric import ramp
from perse_live.arrays import FloatArray
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.head.rig import Part

# Landmarks along folds of the subject's right and left half; depth of the shade; standard deviation across, millimetres
_FOLDS: tuple[tuple[tuple[int, ...], float, float], ...] = (
    ((129, 203, 206, 216), 1.0, 1.6),
    ((358, 423, 426, 436), 1.0, 1.6),  # nose to mouth
    ((61, 43, 106), 0.6, 1.3),
    ((291, 273, 335), 0.6, 1.3),  # mouth to chin
    ((31, 228, 229, 230, 231, 232), 0.75, 1.3),
    ((261, 448, 449, 450, 451, 452), 0.75, 1.3),  # under the eyes
    ((68, 104, 69, 108, 151, 337, 299, 333, 298), 0.35, 1.1),  # across the forehead
    ((55, 8), 0.35, 1.2),
    ((285, 8), 0.35, 1.2),  # between the brows
    ((226, 113, 124), 0.4, 1.0),
    ((446, 342, 353), 0.4, 1.0),  # crow's feet
)
_BAGS = ((119, 118, 117), (348, 347, 346))
_SEED = 60
_GREYING = 0.75


def _folds(marks: FloatArray, places: FloatArray) -> FloatArray:
    """Depth of folds at points (N, 3), with a lighter ridge on both sides: (N,), about -0.4 to 1."""
    depth, ridge = np.zeros(len(places)), np.zeros(len(places))
    for line, strength, width in _FOLDS:
        distance, along = along_line(places, marks[list(line)])
        ends = ramp(along, -0.02, 0.2) * (1 - ramp(along, 0.5, 1.0))
        depth = np.maximum(depth, strength * ends * np.exp(-0.5 * (distance / (width * 1e-3)) ** 2))
        ridge = np.maximum(
            ridge,
            strength * ends * np.exp(-0.5 * ((distance - 2.8e-3 * width / 1.3) / 1.5e-3) ** 2),
        )
    return depth - 0.35 * ridge


def _older(avatar: Avatar) -> Attribute:
    places, marks = places_at_rest(avatar), neutral_landmarks(avatar)
    rng = np.random.default_rng(_SEED)
    face = skin_share(avatar) * on_part(avatar, Part.SKIN)
    waves = rng.normal(size=(3, 30)) / 0.007
    blotches = np.cos(places @ waves + rng.uniform(0, 2 * np.pi, 30)).sum(1) / np.sqrt(15)
    bags = np.max(
        [np.exp(-0.5 * (along_line(places, marks[list(line)])[0] / 0.005) ** 2) for line in _BAGS],
        0,
    )
    shade = 0.20 * _folds(marks, places) + 0.05 * bags + 0.022 * blotches + 0.02
    colors = avatar.colors * (1 - face[:, None] * shade[:, None] * np.array([0.85, 1.0, 1.05]))
    hair = hair_of(avatar)
    colors += _GREYING * hair.share[:, None] * (tinted(avatar, hair, GREY) - colors)
    return recolored(
        avatar,
        Title("age-older", "Older", "face"),
        np.clip(colors, 0, 1),
        np.maximum(face > 0, hair.share > 0),
    )


AGES: dict[str, Callable[[Avatar], Attribute]] = {"age-older": _older}
"""By attribute name."""
