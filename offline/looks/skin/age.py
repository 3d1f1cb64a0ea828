"""Some years more: deeper folds, shadows under the eyes, uneven skin, hair that greys and thins from the temples; and less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from offline.looks.changes import Title, recolored
from offline.looks.face.face_shapes import SHAPES
from offline.looks.face.make_up import blush_share
from offline.looks.face.rest_positions import along_line, on_part, places_at_rest
from offline.looks.hair.hair_color import GREY, hair_of, tinted
from offline.looks.measured_head import head_shape
from offline.looks.photo_tones import LUMA, Ramp, lab_of
from offline.looks.skin.skin_tone import skin_share
from offline.looks.skin.under_hair import bare_skin, own_head, under_hair
from offline.numeric import ramp
from perse_live.arrays import FloatArray
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.head.landmarks import LEFT_BROW, RIGHT_BROW
from perse_live.head.rig import Part
from perse_live.regions import Region

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
_GREY_TEMPLES, _GREY_ELSEWHERE = 0.85, 0.40  # how far hair has greyed
_HAIR_BY_HAIR = 0.2  # by how much that differs between neighbours
_TEMPLE_BESIDE, _TEMPLE_ABOVE = (
    (0.045, 0.062),
    (0.075, 0.035),
)  # metres beside the middle and above the brows
_THIN_TEMPLES, _THIN_CROWN = 0.75, 0.25  # share of the strands that is lost there
_HAIRLINE = (0.028, 0.004)  # metres from bare skin over which temples recede
_SEEN_THROUGH = 0.8  # how far the scalp shows between strands that are left
_FINE, _AROUND = 0.0035, 32  # metres, and Gaussians, over which young skin is even
_LIGHTER, _DARKER = 0.14, 0.03  # most that is changed for it
_EVEN = 0.75  # share of unevenness that is taken away
_FLUSH = 0.35  # of young cheeks
_ROUNDER = (("eyes-large", 0.6), ("lips-full", 0.6), ("chin-short", 0.5), ("nose-small", 0.35))
"""Shapes of which a younger face has a share."""
_PIGMENT = Ramp((0.050, 0.034, 0.024), (0.20, 0.145, 0.105), (0.50, 0.40, 0.31))
"""Of hair that has lost its own."""
_COLORLESS = (13.0, 6.0)  # chroma in CIE L*a*b* between which hair has its pigment and has lost it
_PALE_HAIR = (25.0, 45.0)  # lightness between which colourless hair is black and grey


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
    greyed = hair.share * _grey_share(places, marks, rng)
    colors += greyed[:, None] * (tinted(avatar, hair, GREY) - colors)
    thin = _thinned(avatar, places, marks)
    on = np.arange(len(avatar)) < len(avatar.surface.triangles)
    scalp = on * thin * _SEEN_THROUGH * hair.share
    colors += scalp[:, None] * (_bare(avatar) - colors)
    older = recolored(
        avatar,
        Title("age-older", "Older", "face"),
        np.clip(colors, 0, 1),
        np.maximum(face > 0, hair.share > 0),
    )
    floating = np.isin(avatar.regions, (Region.HAIR, Region.HAIR_BACK))
    gone = floating & (rng.random(len(avatar)) < thin)
    return replace(older, opacities=np.where(gone[older.ids], 0, older.opacities))


def _thinned(avatar: Avatar, places: FloatArray, marks: FloatArray) -> FloatArray:
    """Share (G,) of the strands that is lost: most at the temples' hairline, some on the crown."""
    brow = float(marks[[*LEFT_BROW, *RIGHT_BROW], 1].max())
    bare = places[(avatar.regions == Region.SKIN) & (places[:, 1] > brow + _TEMPLE_ABOVE[1] / 2)]
    if not len(bare):
        return np.zeros(len(avatar))
    line = ramp(KDTree(bare).query(places)[0], *_HAIRLINE)
    beside = ramp(np.abs(places[:, 0]), 0.012, _TEMPLE_BESIDE[0])
    above = ramp(places[:, 1] - brow, _TEMPLE_ABOVE[1] / 2, _TEMPLE_ABOVE[0])
    return above * np.maximum(_THIN_TEMPLES * line * beside, _THIN_CROWN)


def _bare(avatar: Avatar) -> FloatArray:
    """(G, 3) colours of the skin under the hair; those of Gaussians that are not on the rig stay."""
    shape = head_shape(avatar)
    own = own_head(avatar, shape.template, shape.charts)
    colors = avatar.colors.astype(np.float64)
    colors[: len(own.on)] = bare_skin(own, under_hair(own))
    return colors


def _grey_share(places: FloatArray, marks: FloatArray, rng: np.random.Generator) -> FloatArray:
    """How far hair at points (N, 3) has greyed, [0, 1]: most at the temples."""
    brow = float(marks[[*LEFT_BROW, *RIGHT_BROW], 1].max())
    temples = ramp(np.abs(places[:, 0]), *_TEMPLE_BESIDE) * ramp(
        places[:, 1] - brow, *_TEMPLE_ABOVE
    )
    grey = _GREY_ELSEWHERE + (_GREY_TEMPLES - _GREY_ELSEWHERE) * temples
    return np.clip(grey + _HAIR_BY_HAIR * (rng.random(len(places)) - 0.5), 0, 1)


def _younger(avatar: Avatar) -> Attribute:
    places, marks = places_at_rest(avatar), neutral_landmarks(avatar)
    face = skin_share(avatar) * on_part(avatar, Part.SKIN)
    colors = avatar.colors.astype(np.float64)
    ids = np.nonzero(face > 0.3)[0]
    even = _even(places[ids], colors[ids]) - colors[ids]
    colors[ids] += face[ids, None] * _EVEN * np.clip(even, -_DARKER, _LIGHTER)
    ridges = np.maximum(_folds(marks, places), 0)
    colors *= 1 + face[:, None] * 0.08 * ridges[:, None]
    flush = _FLUSH * blush_share(avatar, places, spread=0.0155) * face
    colors += flush[:, None] * (colors * np.array([1.0, 0.72, 0.74]) + (0.03, 0, 0) - colors)
    hair = hair_of(avatar)
    lab = lab_of(avatar.colors)
    faded = ramp(np.linalg.norm(lab[:, 1:], axis=1), *_COLORLESS) * ramp(lab[:, 0], *_PALE_HAIR)
    colors += (hair.share * faded)[:, None] * (tinted(avatar, hair, _PIGMENT) - colors)
    fresh = recolored(
        avatar,
        Title("age-younger", "Younger", "face"),
        np.clip(colors, 0, 1),
        np.maximum(face > 0, hair.share > 0),
    )
    moved = np.zeros_like(avatar.rig.vertices)
    for name, share in _ROUNDER:
        shape = SHAPES[name](avatar)
        moved[shape.vertex_ids] += np.float32(share) * shape.vertex_offsets
    ids = np.nonzero(moved.any(1))[0].astype(np.int32)
    return replace(fresh, vertex_ids=ids, vertex_offsets=moved[ids])


def _even(places: FloatArray, colors: FloatArray) -> FloatArray:
    """Colours (N, 3) without wrinkles, spots and shine: of the middle half in lightness of those around, points (N, 3)."""
    count = min(_AROUND, len(places))
    distance, near = KDTree(places).query(places, k=count)
    light = (colors @ LUMA)[near]
    low, high = np.quantile(light, (0.35, 0.85), axis=1, keepdims=True)
    weights = np.exp(-0.5 * (distance / _FINE) ** 2) * ((light >= low) & (light <= high)) + 1e-9
    return np.einsum("nk,nkc->nc", weights / weights.sum(1, keepdims=True), colors[near])


AGES: dict[str, Callable[[Avatar], Attribute]] = {"age-older": _older, "age-younger": _younger}
"""By attribute name."""
