"""Other colours for the hair of the head; strands keep their contrast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from offline.looks.changes import Title, recolored
from offline.looks.face.rest_positions import depth_inside, places_at_rest
from offline.looks.photo_tones import LUMA, Ramp, along_ramp, lab_of, light_of, lit, skin_of
from offline.numeric import ramp
from perse_live.arrays import BoolArray, FloatArray
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.head.landmarks import FACE_OVAL, LEFT_BROW, RIGHT_BROW
from perse_live.regions import Region

_HAIR = (Region.HAIR, Region.HAIR_BACK, Region.SCALP)
_BELOW = (0.004, 0.005)  # metres sideways and up: window of the search below a Gaussian
_FAR = 0.03  # metres; beyond, distances are infinite
GREY = Ramp((0.11, 0.108, 0.108), (0.41, 0.40, 0.395), (0.83, 0.82, 0.81))
"""Hair that has lost most of its pigment."""
_TINTS = (
    (
        Title("hair-black", "Black hair", "hair"),
        Ramp((0.012, 0.011, 0.012), (0.055, 0.050, 0.052), (0.23, 0.22, 0.23)),
    ),
    (
        Title("hair-brown", "Dark brown hair", "hair"),
        Ramp((0.040, 0.024, 0.016), (0.165, 0.105, 0.070), (0.42, 0.30, 0.21)),
    ),
    (
        Title("hair-chestnut", "Chestnut hair", "hair"),
        Ramp((0.085, 0.035, 0.018), (0.31, 0.155, 0.085), (0.62, 0.39, 0.25)),
    ),
    (
        Title("hair-copper", "Copper hair", "hair"),
        Ramp((0.16, 0.050, 0.016), (0.52, 0.215, 0.075), (0.86, 0.51, 0.26)),
    ),
    (
        Title("hair-blond", "Blond hair", "hair"),
        Ramp((0.27, 0.185, 0.095), (0.66, 0.51, 0.31), (0.95, 0.85, 0.64)),
    ),
    (
        Title("hair-platinum", "Platinum hair", "hair"),
        Ramp((0.36, 0.335, 0.315), (0.74, 0.715, 0.685), (0.97, 0.96, 0.94)),
    ),
    (Title("hair-grey", "Grey hair", "hair"), GREY),
    (
        Title("hair-blue", "Blue hair", "hair"),
        Ramp((0.018, 0.035, 0.13), (0.075, 0.20, 0.55), (0.42, 0.62, 0.93)),
    ),
    (
        Title("hair-pink", "Pink hair", "hair"),
        Ramp((0.25, 0.065, 0.13), (0.80, 0.36, 0.53), (0.98, 0.74, 0.83)),
    ),
)


@dataclass(frozen=True, eq=False)
class Hair:
    """Weights of the Gaussians that show hair of the head."""

    share: FloatArray
    """(G,) in [0, 1]; lower for forehead between strands, above 0 for dark strands on the cheek's edge."""
    skin: FloatArray
    """(G,) in [0, 1]: Gaussians in the hair's layers that show skin between strands."""
    from_skin: FloatArray
    """(G,) metres to the nearest skin."""


def hair_of(avatar: Avatar) -> Hair:
    """Separate the hair of the head from brows, beard and surrounding skin, by position and colour."""
    places = places_at_rest(avatar)
    hair = np.isin(avatar.regions, _HAIR) & ~_before_face(avatar, places)
    core, skin = avatar.regions == Region.HAIR, avatar.regions == Region.SKIN
    if not (hair & core).any() or not skin.any():
        return Hair(*np.zeros((3, len(avatar))))
    from_skin = KDTree(places[skin]).query(places, distance_upper_bound=_FAR)[0]
    lab, own = lab_of(avatar.colors), np.median(lab_of(avatar.colors[core]), 0)
    skin_lab = skin_of(avatar).lab
    to_skin = np.linalg.norm(lab - skin_lab, axis=1)
    to_hair = np.linalg.norm(lab - own, axis=1)
    # the shadow of a fringe may resemble skin
    light_enough = ramp(lab[:, 0] / skin_lab[0], 0.76, 0.92)
    depth = _inside_face(avatar, places)
    # Farther up, light colours are highlights on the hair, not forehead
    beside_face = ramp(depth, -0.012, -0.004)
    between = (
        hair
        * ramp(to_hair - to_skin, 4, 22)
        * light_enough
        * (1 - ramp(from_skin, 0.006, 0.014))
        * beside_face
    )
    from_hair = KDTree(places[hair & core]).query(places, distance_upper_bound=_FAR)[0]
    brow = _brow_height(avatar)
    across = np.median(lab[core], 0) - skin_lab
    darkness = (lab - skin_lab) @ across / max(float(across @ across), 1.0)  # 0: skin, 1: hair
    cheek = (depth < 0.012) * ramp(to_skin - to_hair, 14, 30) * (1 - ramp(from_hair, 0.006, 0.016))
    fringe = (
        ramp(places[:, 1], brow + 0.006, brow + 0.011)
        * ramp(darkness, 0.30, 0.52)
        * (1 - ramp(from_hair, 0.012, 0.026))
    )
    strands = _without_specks(places, skin, np.maximum(cheek, fringe) * ~_on_brows(avatar, places))
    share = np.maximum(hair - between, strands)
    shine = _above_hair(avatar, places, share, brow)
    return Hair(np.maximum(share, shine), between * (1 - shine), from_skin)


def _above_hair(avatar: Avatar, places: FloatArray, share: FloatArray, brow: float) -> FloatArray:
    """(G,) in [0, 1], of Gaussians on the front above the brows: 1 with hair directly below, which is not forehead, but a
    highlight on a fringe. share: (G,) of hair.
    """
    ids = np.nonzero(
        (places[:, 1] > brow) & (places[:, 2] > 0) & np.isin(avatar.regions, (*_HAIR, Region.SKIN))
    )[0]
    flat = places[ids, :2] * (1 / _BELOW[0], 1 / _BELOW[1])
    # An ellipse directly below
    around = KDTree(flat).query_ball_point(flat - (0, 1.2), 1.0)
    below = [float(np.mean(share[ids[near]] > 0.6)) if len(near) > 5 else 0.0 for near in around]
    out = np.zeros(len(places))
    out[ids] = ramp(np.array(below), 0.6, 0.8)
    return out


def _without_specks(places: FloatArray, skin: BoolArray, strands: FloatArray) -> FloatArray:
    """Weights (G,) of strand-like Gaussians on the skin with similar neighbours: isolated ones are moles or shadows."""
    ids = np.nonzero(skin)[0]
    neighbours = strands[ids][
        KDTree(places[ids]).query(places[ids], k=min(9, len(ids)))[1].reshape(len(ids), -1)
    ]
    out = np.zeros(len(strands))
    out[ids] = strands[ids] * ramp(np.median(neighbours, 1), 0.05, 0.4)
    return out


def _inside_face(avatar: Avatar, places: FloatArray) -> FloatArray:
    """Depth (N,) of points (N, 3) inside the face's outline as seen from the front, metres."""
    return depth_inside(places[:, :2], neutral_landmarks(avatar)[list(FACE_OVAL), :2])


def _on_brows(avatar: Avatar, places: FloatArray) -> BoolArray:
    """Mask of points (N, 3) inside a brow's outline as seen from the front; long brows reach to the hair's edge."""
    marks = neutral_landmarks(avatar)
    # The upper row is listed second
    outlines = [marks[[*brow[:5], *brow[:4:-1]], :2] for brow in (LEFT_BROW, RIGHT_BROW)]
    return np.logical_or(*(depth_inside(places[:, :2], outline) > 0 for outline in outlines))


def _brow_height(avatar: Avatar) -> float:
    return float(neutral_landmarks(avatar)[[*LEFT_BROW, *RIGHT_BROW], 1].max())


def _before_face(avatar: Avatar, places: FloatArray) -> BoolArray:
    """Mask of points below the brows and well inside the face's outline, where hair is brows, beard or an error."""
    below = places[:, 1] < _brow_height(avatar) + 0.004
    return (_inside_face(avatar, places) > 0.014) & below & (places[:, 2] > -0.05)


def tinted(avatar: Avatar, hair: Hair, tint: Ramp) -> FloatArray:
    """Colours (G, 3) of a tint with each Gaussian's relative lightness; hairlines stay as dark as the roots."""
    light = np.log(avatar.colors @ LUMA + 0.025)
    sure = light[(hair.share > 0.8) & (avatar.regions == Region.HAIR)]
    middle = float(np.median(sure)) if len(sure) else -1.0
    spread = max(float(np.std(sure)) if len(sure) else 0.4, 0.22)
    relief = np.minimum(
        (light - middle) / (2.1 * spread), 1.3 * ramp(hair.from_skin, 0.0, 0.016) - 0.3
    )
    return lit(along_ramp(tint, relief), np.maximum(light_of(avatar), 0.6), share=0.55)


def _colored(title: Title, tint: Ramp) -> Callable[[Avatar], Attribute]:
    def make(avatar: Avatar) -> Attribute:
        hair = hair_of(avatar)
        return recolored(avatar, title, tinted(avatar, hair, tint), hair.share)

    return make


HAIR_COLORS: dict[str, Callable[[Avatar], Attribute]] = {
    title.name: _colored(title, tint) for title, tint in _TINTS
}
"""By attribute name."""
