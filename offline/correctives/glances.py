"""Glances: when the eye turns, what the photo shows of the iris at the lids' edges goes, and the white that appears is lit.

Where an eye's opening in the photo is a little larger than the rig's, part of the iris lies in the veil before the eye
(`offline.lift.lids`) and would stay where it is: the eye seems to turn half as far as it does. When the eye turns, that part
takes colour and opacity of the lids next to the iris, at the same distance from their edges.

The white of an eye that looks ahead lies in the corners, in the lids' shadow, and has that shadow in its colour. When the eye
turns aside, it comes to the middle of the opening, out of the shadow.

Reflections on the iris, and what the lids hid of it in the photo, would turn with it as pale and black patches. So a turned iris
keeps of the photo what differs little from the colour of its sides at the same distance from its centre, with a round pupil, and
its reflections go to Gaussians of their own, which stay with the light. Its centre is where its edge shows in the colours, since
the detector's may be a quarter of a radius off. Both eyes turn together: one component for a turn aside, one for up and down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from offline.gaussian_layer import COVERAGE
from offline.looks.face.rest_positions import height_over, landmarks_on, on_part, places_at_rest
from offline.numeric import normalized, ramp
from offline.priors import DARKEST, PATCH
from perse_live.animate import RigidBinding
from perse_live.arrays import BoolArray, Float64Array, FloatArray
from perse_live.avatar import Avatar
from perse_live.correctives import GAZE_NAMES, Component, Curve, join, sparse
from perse_live.head import landmarks as lm
from perse_live.head.rig import EYES, gaze_rotation
from perse_live.regions import Region

_Knots = tuple[tuple[float, float], ...]
_IRISES = (lm.LEFT_IRIS, lm.RIGHT_IRIS)
# Radians from rest, and from the photo's gaze, within which the eye shows the photo; over how many more its iris leaves the place
_STILL, _TURNED = (0.08, 0.2)
# Metres above the upper lid's edge, and below the lower one's, up to which the iris is seen
_ABOVE, _BELOW = (0.0012, 0.0028)
# Radii of the iris between which the white has the shadow of an eye's corner
_SHADED = (1.15, 1.7)
# Light in the middle of the opening over that in the corners, and how much of its colour the white keeps there: on film of
# three people who look aside, the white is 1.2, 1.4 and 1.4 times as bright as drawn with the corners' colour, and 0.7 to 0.85
# as tinted (docs/measures.md)
_LIT, _TINTED, _WHITEST = (1.28, 0.8, 0.92)
# Radii: how far the detected centre of an iris may be off, and the annuli inside and outside its edge: what lies within is the
# iris', what lies beyond is not
_OFF_CENTRE = 0.35
_INSIDE, _OUTSIDE = ((0.65, 0.95), (1.05, 1.35))
# Least darkness of the iris against the white, and of the pupil against the iris, for its edge to be seen
_CONTRAST = 0.3
_FEWEST = 5  # Gaussians of an annulus at one side that are compared
# Radii at which an iris is described; radius of the pupil: least, usual (4 of 11.7 mm, as in Daugman 1993) and largest
_STEP = 0.1
_RINGS = _STEP * np.arange(1, 15)
_PUPIL = (0.15, 0.34, 0.55)
# Brightness over that of the description up to which the photo's is the iris', not a lid's shadow or a reflection
_OWN = (0.6, 1.3)
_REFLECTED = 0.08  # sRGB over the iris from which light is a reflection
_BEFORE = 1.01  # radii of the eye at which reflections lie


def with_glances(avatar: Avatar) -> Avatar:
    """The avatar with components for eyes that turn: clear irises, none of the photo's at the lids' edges, and a lit white."""
    aside = with_clear_irises(avatar)
    added = len(aside) - len(avatar)
    rest = replace(
        aside,
        colors=np.concatenate([avatar.colors, aside.colors[len(avatar) :]]),
        opacities=np.concatenate([avatar.opacities, np.zeros(added, np.float32)]),
    )
    colors = np.stack([aside.colors - rest.colors] * 2).astype(np.float64)
    opacities = np.stack([aside.opacities - rest.opacities] * 2).astype(np.float64)
    for eye in range(2):
        color, opacity = _without_iris(rest, eye)
        colors[0] += color + _lit_white(aside, eye)
        opacities[0] += opacity
    yaw, pitch = GAZE_NAMES[:2]
    still, turned = _turns(avatar.source.gaze[:, 0])
    raised = _turns(avatar.source.gaze[:, 1])[1]
    components = (
        Component("glance-aside", (Curve(yaw, turned),)),
        Component("glance-up-down", (Curve(pitch, raised), Curve(yaw, still))),
    )
    made = sparse(components, colors, opacities)
    return replace(rest, correctives=join(rest.correctives, made))


def _turns(photo: FloatArray) -> tuple[_Knots, _Knots]:
    """Knots of curves over an angle of the gaze: 1 near rest and the photo's, and 1 away from both. photo: (2,) radians."""
    low, high = min(0.0, float(photo.min())) - _STILL, max(0.0, float(photo.max())) + _STILL
    places = (low - _TURNED, low, high, high + _TURNED)
    still, turned = (tuple(zip(places, v, strict=True)) for v in ((0, 1, 1, 0), (1, 0, 0, 1)))
    return still, turned


def with_clear_irises(avatar: Avatar) -> Avatar:
    """The avatar as its eyes are turned: irises without patches, their reflections on Gaussians that do not turn with them."""
    colors, irises = avatar.colors.copy(), list[tuple[int, np.ndarray, Float64Array]]()
    for eye in range(2):
        ball, flat = in_iris_radii(avatar, eye)
        centre = iris_centre(flat, colors[ball].mean(1).astype(np.float64))
        if centre is not None and len(ball) > PATCH * len(_RINGS):
            irises.append((eye, ball, flat - [centre, 0]))
    tables = [_rings_of(flat, colors[ball].astype(np.float64)) for _, ball, flat in irises]
    for (eye, ball, flat), table in zip(irises, with_pupils(tables), strict=True):
        seen, ring = colors[ball].astype(np.float64), np.linalg.norm(flat, axis=1)
        even = np.stack([np.interp(ring, _RINGS, table[:, k]) for k in range(3)], 1)
        light = seen.mean(1) / np.maximum(even.mean(1), DARKEST)
        share = (1 - ramp(ring, *_OUTSIDE))[:, None]
        clear = seen + share * (np.clip(light, *_OWN)[:, None] * even - seen)
        colors[ball] = clear
        avatar = _with_reflections(avatar, eye, ball[ring < 1], seen[ring < 1], clear[ring < 1])
    return replace(avatar, colors=np.concatenate([colors, avatar.colors[len(colors) :]]))


def in_iris_radii(avatar: Avatar, eye: int) -> tuple[np.ndarray, Float64Array]:
    """The Gaussians (N,) of an eyeball, and where they lie (N, 2), in radii of its iris from the detected centre."""
    rig = avatar.rig
    ball = np.flatnonzero(on_part(avatar, EYES[eye]))
    out = normalized(places_at_rest(avatar)[ball].astype(np.float64) - rig.eye_centers[eye])
    marks = landmarks_on(avatar, rig.vertices).astype(np.float64)[list(_IRISES[eye])]
    radius = float(np.linalg.norm(marks[1:] - marks[0], axis=1).mean()) / rig.eye_radius
    angle = np.arctan2(np.linalg.norm(out[:, :2], axis=1), out[:, 2]) / radius
    return ball, normalized(out[:, :2]) * angle[:, None]


def _lit_white(avatar: Avatar, eye: int) -> Float64Array:
    """Changes of colours (G, 3) that take the white of a turned eye out of the shadow of its corners. eye: 0 left, 1 right."""
    ball, flat = in_iris_radii(avatar, eye)
    colors = avatar.colors[ball].astype(np.float64)
    grey = colors.mean(1, keepdims=True)
    lit = np.clip(_LIT * (grey + _TINTED * (colors - grey)), 0, _WHITEST)
    ring = np.linalg.norm(flat, axis=1)
    changes = np.zeros((len(avatar), 3))
    changes[ball] = ramp(ring, *_SHADED)[:, None] * np.maximum(lit - colors, 0)
    return changes


def iris_centre(flat: Float64Array, brightness: Float64Array) -> float | None:
    """How far the iris lies sideways of the detected centre, in its radii; None where its edge is not seen.

    By the difference of brightness across its edge, on both sides of the eye, where no lid hides it (Daugman 1993, "High
    confidence visual recognition of persons", section III, with a known radius). flat: (N, 2) radii; brightness: (N,).
    """

    def edge(offset: float) -> float:
        along = flat[:, 0] - offset
        ring, total = np.hypot(along, flat[:, 1]), 0.0
        for side in (1, -1):
            sector = side * along > np.abs(flat[:, 1])
            inner, outer = (
                brightness[sector & (ring > near) & (ring < far)]
                for near, far in (_INSIDE, _OUTSIDE)
            )
            if min(len(inner), len(outer)) >= _FEWEST:
                total += 0.5 * (1 - float(inner.mean()) / max(float(outer.mean()), DARKEST))
        return total

    offsets = np.arange(-_OFF_CENTRE, _OFF_CENTRE + _STEP / 2, _STEP / 2).tolist()
    best = max(offsets, key=edge)
    return best if edge(best) > _CONTRAST and best not in (offsets[0], offsets[-1]) else None


def _rings_of(flat: Float64Array, colors: Float64Array) -> Float64Array:
    """Colours of an iris at `_RINGS`, (K, 3): at its sides; in its middle, where reflections lie, the darker ones.

    flat: (N, 2) radii from the centre; colors: (N, 3).
    """
    ring, beside = np.linalg.norm(flat, axis=1), np.abs(flat[:, 0]) > np.abs(flat[:, 1])
    told = np.flatnonzero(beside | (ring < _PUPIL[2]))
    table = []
    for middle in _RINGS:
        near = told[np.argsort(np.abs(ring[told] - middle))[: PATCH // 2]]
        order = near[np.argsort(colors[near].mean(1))]
        third = len(order) // 3
        table.append(colors[order[:third] if middle < _PUPIL[2] else order[third:-third]].mean(0))
    return np.array(table)


def with_pupils(tables: Sequence[Float64Array]) -> list[Float64Array]:
    """Colours of irises at `_RINGS`, each (K, 3), with pupils: as large as they are seen, of the usual size where they are not.

    The edge is where brightness differs most, as an iris' (`iris_centre`), over both eyes, whose pupils are alike.
    """
    ring, (least, usual, largest) = _RINGS, _PUPIL

    def edge(radius: float) -> float:
        inner, outer = (ring < radius, (ring > radius) & (ring < radius + usual))
        return float(
            np.mean([1 - one[inner].mean() / max(one[outer].mean(), DARKEST) for one in tables])
        )

    if not tables:
        return []
    best = max(ring[(ring > least) & (ring < largest)].tolist(), key=edge)
    within = ring < (best if edge(best) > _CONTRAST else usual) + _STEP / 2
    pupils = []
    for one in tables:
        iris = one[(ring > largest) & (ring < _INSIDE[1])].mean(0)
        dark = np.minimum(one.min(0), (1 - _CONTRAST) / 2 * iris)
        pupils.append(np.where(within[:, None], dark, one))
    return pupils


def _with_reflections(
    avatar: Avatar, eye: int, rows: np.ndarray, seen: Float64Array, clear: Float64Array
) -> Avatar:
    """The avatar with Gaussians, fixed to the head, where colours seen (N, 3) on an iris are
    much lighter than its own, clear (N, 3).

    eye: 0 left, 1 right; rows: (N,) of the iris' Gaussians.
    """
    excess = (seen - clear).mean(1)
    center = avatar.rig.eye_centers[eye].astype(np.float64)
    iris = places_at_rest(avatar)[rows].astype(np.float64)
    lit = excess > max(_REFLECTED, excess.max() / 2)  # fainter ones are the room's
    count = int(lit.sum())
    if not count:
        return avatar
    means = center + (iris[lit] - center) @ gaze_rotation(avatar.source.gaze[eye]).T * _BEFORE
    spacing = KDTree(iris).query(iris[lit], k=2)[0][:, 1:]
    covered = excess[lit] / np.maximum(1 - clear[lit].mean(1), excess[lit])
    color = np.clip(clear[lit] + (seen - clear)[lit] / covered[:, None], 0, 1)
    old, f32 = avatar.rigid, np.float32
    rigid = RigidBinding(
        np.concatenate([old.means, means.astype(f32)]),
        np.concatenate([old.quats, np.tile(np.array([1, 0, 0, 0], f32), (count, 1))]),
        np.concatenate([old.scales, np.tile(spacing * COVERAGE, (1, 3)).astype(f32)]),
        np.concatenate([old.head_weights, np.ones(count, f32)]),
    )
    return replace(
        avatar,
        rigid=rigid,
        opacities=np.concatenate([avatar.opacities, covered]).astype(f32),
        colors=np.concatenate([avatar.colors, color]).astype(f32),
        regions=np.concatenate([avatar.regions, np.full(count, int(Region.EYE), np.uint8)]),
    )


def _without_iris(avatar: Avatar, eye: int) -> tuple[Float64Array, Float64Array]:
    """Changes of colours (G, 3) and opacities (G,) that take the iris out of an eye's veil. eye: 0 left, 1 right."""
    places = places_at_rest(avatar).astype(np.float64)
    veil = (
        (avatar.regions == Region.LASHES)
        & (avatar.opacities > 0)
        & ((places[:, 0] > 0) == (eye == 0))
    )
    marks = landmarks_on(avatar, avatar.rig.vertices).astype(np.float64)
    off_edge, upper = _from_edges(places, marks, eye)
    iris = marks[list(_IRISES[eye])]
    radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
    turned = gaze_rotation(avatar.source.gaze[eye])[:, 2]
    middle = avatar.rig.eye_centers[eye] + avatar.rig.eye_radius * turned
    away = np.linalg.norm(places[:, :2] - middle[:2], axis=1) / radius
    reach = off_edge / np.where(upper, _ABOVE, _BELOW)
    share = (1 - ramp(away, _INSIDE[1], _OUTSIDE[1])) * (1 - ramp(reach, 0.5, 1.0)) * veil
    colors, opacities = np.zeros((len(avatar), 3)), np.zeros(len(avatar))
    for lid in (upper, ~upper):
        beside, changed = (
            np.flatnonzero(veil & lid & (away > _OUTSIDE[1])),
            np.flatnonzero((share > 0) & lid),
        )
        if len(beside) < PATCH or not len(changed):
            continue
        alike = beside[
            np.asarray(KDTree(off_edge[beside, None]).query(off_edge[changed, None], k=PATCH)[1])
        ]
        weights = avatar.opacities[alike][..., None].astype(np.float64)
        color = (weights * avatar.colors[alike]).sum(1) / weights.sum(1)
        colors[changed] = share[changed, None] * (color - avatar.colors[changed])
        opacities[changed] = share[changed] * (
            avatar.opacities[alike].mean(1) - avatar.opacities[changed]
        )
    return colors, opacities


def _from_edges(places: FloatArray, marks: FloatArray, eye: int) -> tuple[Float64Array, BoolArray]:
    """How far outside the opening places (N, 3) lie from the nearer lid's edge, metres, and whether that is the upper one."""
    above = height_over(marks[list(lm.UPPER_LID_EDGES[eye])], places)
    below = -height_over(marks[list(lm.LOWER_LID_EDGES[eye])], places)
    return np.maximum(above, below), above > below
