"""Other colours for the hair of the head; strands keep their light and dark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from offline.attributes.making import Title, recolored
from offline.attributes.places import depth_inside, places_at_rest
from offline.attributes.tones import LUMA, Ramp, along_ramp, lab_of, light_of, lit, skin_of
from offline.numeric import ramp
from perse_live.arrays import BoolArray, FloatArray
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.head.landmarks import FACE_OVAL, LEFT_BROW, RIGHT_BROW
from perse_live.regions import Region

_HAIR = (Region.HAIR, Region.HAIR_BACK, Region.SCALP)
_FAR = 0.1  # metres; beyond, distances are infinite
_TINTS = (
    (Title("hair-black", "Black hair", "hair"), Ramp((0.012, 0.011, 0.012), (0.055, 0.050, 0.052), (0.23, 0.22, 0.23))),
    (Title("hair-brown", "Dark brown hair", "hair"), Ramp((0.040, 0.024, 0.016), (0.165, 0.105, 0.070), (0.42, 0.30, 0.21))),
    (Title("hair-chestnut", "Chestnut hair", "hair"), Ramp((0.085, 0.035, 0.018), (0.31, 0.155, 0.085), (0.62, 0.39, 0.25))),
    (Title("hair-copper", "Copper hair", "hair"), Ramp((0.16, 0.050, 0.016), (0.52, 0.215, 0.075), (0.86, 0.51, 0.26))),
    (Title("hair-blond", "Blond hair", "hair"), Ramp((0.27, 0.185, 0.095), (0.66, 0.51, 0.31), (0.95, 0.85, 0.64))),
    (Title("hair-platinum", "Platinum hair", "hair"), Ramp((0.36, 0.335, 0.315), (0.74, 0.715, 0.685), (0.97, 0.96, 0.94))),
    (Title("hair-blue", "Blue hair", "hair"), Ramp((0.018, 0.035, 0.13), (0.075, 0.20, 0.55), (0.42, 0.62, 0.93))),
    (Title("hair-pink", "Pink hair", "hair"), Ramp((0.25, 0.065, 0.13), (0.80, 0.36, 0.53), (0.98, 0.74, 0.83))),
)


@dataclass(frozen=True, eq=False)
class _Hair:
    """Which Gaussians show hair of the head."""

    share: FloatArray
    """(G,) in [0, 1]; pixels of the forehead between strands count less, dark strands on the cheek's edge count too."""
    from_skin: FloatArray
    """(G,) metres to the nearest skin."""


def _hair_of(avatar: Avatar) -> _Hair:
    places = places_at_rest(avatar)
    hair = np.isin(avatar.regions, _HAIR) & ~_before_face(avatar, places)
    core, skin = avatar.regions == Region.HAIR, avatar.regions == Region.SKIN
    if not (hair & core).any() or not skin.any():
        return _Hair(np.zeros(len(avatar)), np.zeros(len(avatar)))
    from_skin = KDTree(places[skin]).query(places, distance_upper_bound=_FAR)[0]
    lab, own = lab_of(avatar.colors), np.median(lab_of(avatar.colors[core]), 0)
    to_skin = np.linalg.norm(lab - skin_of(avatar).lab, axis=1)
    to_hair = np.linalg.norm(lab - own, axis=1)
    like_skin = ramp(to_hair - to_skin, 4, 22) * (1 - ramp(from_skin, 0.006, 0.014))
    share = hair * (1 - like_skin)
    from_hair = KDTree(places[hair & core]).query(places, distance_upper_bound=_FAR)[0]
    edge = skin & (depth_inside(places[:, :2], neutral_landmarks(avatar)[list(FACE_OVAL), :2]) < 0.012)
    strands = edge * ramp(to_skin - to_hair, 14, 30) * (1 - ramp(from_hair, 0.006, 0.016))
    return _Hair(np.maximum(share, strands), from_skin)


def _before_face(avatar: Avatar, places: FloatArray) -> BoolArray:
    """Below the brows inside the face's outline no hair of the head grows: those are brows, beard and errors."""
    marks = neutral_landmarks(avatar)
    brow = float(marks[[*LEFT_BROW, *RIGHT_BROW], 1].max()) + 0.004
    return (depth_inside(places[:, :2], marks[list(FACE_OVAL), :2]) > 0.004) & (places[:, 1] < brow) & (places[:, 2] > -0.05)


def _tinted(avatar: Avatar, hair: _Hair, tint: Ramp) -> FloatArray:
    """Colours (G, 3) of a tint with the light and dark that each Gaussian has; hairlines stay in the shade of their roots."""
    light = np.log(avatar.colors @ LUMA + 0.025)
    sure = light[(hair.share > 0.8) & (avatar.regions == Region.HAIR)]
    middle = float(np.median(sure)) if len(sure) else -1.0
    spread = max(float(np.std(sure)) if len(sure) else 0.4, 0.22)
    relief = np.minimum((light - middle) / (2.1 * spread), 1.3 * ramp(hair.from_skin, 0.0, 0.016) - 0.3)
    return lit(along_ramp(tint, relief), np.maximum(light_of(avatar), 0.6), share=0.55)


def _colored(title: Title, tint: Ramp) -> Callable[[Avatar], Attribute]:
    def make(avatar: Avatar) -> Attribute:
        hair = _hair_of(avatar)
        return recolored(avatar, title, _tinted(avatar, hair, tint), hair.share)

    return make


HAIR_COLORS: dict[str, Callable[[Avatar], Attribute]] = {title.name: _colored(title, tint) for title, tint in _TINTS}
"""By attribute name."""
