"""Which semantic class each Gaussian and each place of the head's mesh has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from offline.animation.guide_maps import SemanticClass
from perse_live.arrays import BoolArray, Float32Array, FloatArray, UInt8Array
from perse_live.attributes import Look
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.head.landmarks import LEFT_BROW, OUTER_LIP_RING, RIGHT_BROW
from perse_live.head.rig import Part
from perse_live.regions import Region

# MediaPipe's landmarks around the nose: root, its left flank down to the wing, under the tip, and back up
_NOSE_RING = (
    168,
    417,
    465,
    412,
    399,
    437,
    420,
    360,
    278,
    294,
    327,
    2,
    98,
    64,
    48,
    131,
    198,
    217,
    174,
    188,
    245,
    193,
)
_SOFT = 0.002  # metres over which a class's weight goes from 0 to 1 on the mesh
_ASIDE = -0.03  # metres, head frame: nothing of lips, nose and brows lies farther back
_ON_SKIN = (SemanticClass.MOUTH, SemanticClass.NOSE, SemanticClass.EYEBROWS, SemanticClass.BODY)
_OF_PART: Mapping[Part, SemanticClass] = {
    Part.SKIN: SemanticClass.SKIN,
    Part.BODY: SemanticClass.BODY,
    Part.EYE_CAVITY_LEFT: SemanticClass.EYES,
    Part.EYE_CAVITY_RIGHT: SemanticClass.EYES,
    Part.EYE_LEFT: SemanticClass.EYES,
    Part.EYE_RIGHT: SemanticClass.EYES,
    Part.MOUTH_CAVITY: SemanticClass.MOUTH_INTERIOR,
    Part.TONGUE: SemanticClass.MOUTH_INTERIOR,
    Part.TEETH_UPPER: SemanticClass.MOUTH_INTERIOR,
    Part.TEETH_LOWER: SemanticClass.MOUTH_INTERIOR,
    Part.LASHES: SemanticClass.EYES,
    Part.LID_SHEET: SemanticClass.EYES,
}
_OF_SLOT: Mapping[str, SemanticClass] = {
    "hat": SemanticClass.HAT,
    "glasses": SemanticClass.GLASSES,
    "earrings": SemanticClass.EARRINGS,
    "headphones": SemanticClass.HEADPHONES,
}
_HAIR_OF_SLOT: Mapping[str, SemanticClass] = {
    "beard": SemanticClass.BEARD,
    "eyebrows": SemanticClass.EYEBROWS,
}
_HAIR = (Region.HAIR, Region.HAIR_BACK)
_LEAST_HAIR = 300  # visible Gaussians of hair from which the scalp may count as hair too
_VISIBLE = 0.05  # opacity


def mesh_class_weights(avatar: Avatar) -> Float32Array:
    """How far each vertex belongs to lips, nose, brows, and neck or shoulders: (V, 4) in [0, 1], in the order of `SKIN_CLASSES`.

    Drawn by the avatar's own landmarks at rest; neck and shoulders by how little they follow the head.
    """
    rig, landmarks = avatar.rig, neutral_landmarks(avatar)
    weights = np.zeros((len(rig.vertices), len(_ON_SKIN)), np.float32)
    front = rig.vertices[:, 2] > _ASIDE
    brows = [(*ring[:5], *reversed(ring[5:])) for ring in (RIGHT_BROW, LEFT_BROW)]
    for column, rings in enumerate(([OUTER_LIP_RING], [_NOSE_RING], brows)):
        for ring in rings:
            inside = _depth_inside(rig.vertices, landmarks[list(ring)])
            weights[:, column] = np.maximum(
                weights[:, column], np.clip(0.5 + inside / _SOFT, 0, 1) * front
            )
    weights[:, 3] = 1 - rig.head_weights
    return weights


SKIN_CLASSES = _ON_SKIN
"""The classes of `mesh_class_weights`."""


def triangle_classes(avatar: Avatar) -> UInt8Array:
    """The class of each of the rig's triangles (T,), as far as its part tells."""
    table = np.zeros(max(Part) + 1, np.uint8)
    for part, found in _OF_PART.items():
        table[part] = found
    return table[avatar.rig.parts]


@dataclass(frozen=True, eq=False)
class GaussianClasses:
    """What the Gaussians of an avatar in a look are, beyond the head's mesh."""

    classes: UInt8Array
    """(G,) `SemanticClass`; BACKGROUND where the mesh below decides."""
    look: SemanticClass
    """The class of what the look adds, OTHER where none fits."""


def class_of_thing(slot: str) -> SemanticClass | None:
    """The class of pixels that show what a look of a slot adds and nothing of the person; None where no class tells that."""
    if slot == "beard":
        return SemanticClass.BEARD
    return _OF_SLOT.get(slot)


def gaussian_classes(blended: Avatar, look: Look | None) -> GaussianClasses:
    """The classes of the Gaussians of an avatar in a look, as `with_attributes` has blended it in."""
    slot = "" if look is None else look.slot
    own = _OF_SLOT.get(slot, SemanticClass.OTHER)
    table = np.full(max(Region) + 1, SemanticClass.BACKGROUND, np.uint8)
    table[list(_HAIR)] = SemanticClass.HAIR
    table[Region.CLOTHES] = SemanticClass.CLOTH
    table[Region.BODY] = SemanticClass.BODY
    table[Region.ACCESSORY] = own
    classes = table[blended.regions]
    classes[_hairy_scalp(blended)] = SemanticClass.HAIR
    if look is not None and slot in _HAIR_OF_SLOT:
        classes[_added(blended, look) & (classes == SemanticClass.HAIR)] = _HAIR_OF_SLOT[slot]
        own = _HAIR_OF_SLOT[slot]
    return GaussianClasses(classes, own)


def _hairy_scalp(avatar: Avatar) -> BoolArray:
    """(G,) which Gaussians of the scalp count as hair: where there is hair, those that have its colour rather than the skin's."""
    seen = avatar.opacities > _VISIBLE
    hair = np.isin(avatar.regions, _HAIR) & seen
    skin = (avatar.regions == Region.SKIN) & seen
    if int(hair.sum()) < _LEAST_HAIR or not skin.any():
        return np.zeros(len(avatar), np.bool_)
    to_hair, to_skin = (
        np.linalg.norm(avatar.colors - np.median(avatar.colors[some], 0), axis=1)
        for some in (hair, skin)
    )
    return (avatar.regions == Region.SCALP) & (to_hair < to_skin)


def _added(blended: Avatar, look: Look) -> BoolArray:
    """(G,) which Gaussians came with the look: the last on the surface, and the last rigid ones."""
    on = len(look.added.surface.triangles)
    off = len(look.added) - on
    count = len(blended.surface.triangles)
    added = np.zeros(len(blended), np.bool_)
    added[count - on : count] = True
    added[len(blended) - off :] = True
    return added


def _depth_inside(places: Float32Array, ring: FloatArray) -> Float32Array:
    """How far inside a ring (N, 3), seen from the front, places (V, 3) lie; metres, negative outside."""
    contour = np.ascontiguousarray(ring[:, :2] * 1e3, np.float32)
    return np.array(
        [
            cv2.pointPolygonTest(contour, (float(x), float(y)), measureDist=True) / 1e3
            for x, y in places[:, :2] * 1e3
        ],
        np.float32,
    )
