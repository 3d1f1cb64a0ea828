"""Points of a look, unprojected from the pixels of pictures by their depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import KDTree

from offline.images import strand_direction
from offline.lift.hair import hair_weights
from offline.looks.assembly import flat
from offline.training.posed_avatar import DEPTH_TOLERANCE, PosedAvatar, SeenFrame
from perse_live.animate import (
    HeadPose,
    RigidBinding,
    SurfaceBinding,
    bind_surface,
    neck_frame,
)
from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array
from perse_live.attributes import nothing_added
from perse_live.avatar import Avatar
from perse_live.decoder.features import places_at_rest
from perse_live.head.rig import Part
from perse_live.rotations import to_matrix

_PART = 0.5  # of the part's mask, from which a pixel counts
_SOLID_PIXEL = (
    0.75  # alpha from which a pixel is unprojected: at the outline it shows the background too
)
_STEP_IN_DEPTH = 2.5  # pixels that depth may differ from the mean of its neighbours on either side: more is an edge
STRAND = 1.7
"""Square root of a strand's ratio of length to width, before it is fitted."""
STRAND_SIGMA = 1.5
"""Pixels over which the direction of strands is averaged."""
_NEARER = 0.002  # metres before the avatar from which a pixel shows something that is added
_MAX_ADDED = 12_000  # Gaussians of a look
_REFUTED = 0.2  # share of the pictures that may refute a point: depth is wrong at outlines
_ROUNDS = 2  # of finding how far hair and clothes turn with the head
_FEWEST_ADDED = 40
_UNIT = 1e-3  # metres, standard deviation before points are thinned
_COVERAGE = 0.6  # standard deviation over the spacing
START_OPACITY = 0.9
"""Of added Gaussians, before they are fitted."""
_SPACINGS = np.geomspace(0.0007, 0.006, 24)  # metres, tried from the finest
ON_SKIN = frozenset({"beard", "eyebrows", "make-up", "skin", "mouth", "nose", "eyes", "face"})
"""Slots of what moves with the face; all else follows the skull, or the shoulders."""
HAIR_SLOTS = frozenset({"hair", "beard", "eyebrows"})
"""Slots whose Gaussians are strands."""


@dataclass(frozen=True, eq=False)
class Points:
    """N points of a look with `_UNIT` as their size: all bound to triangles, or all rigid."""

    surface: SurfaceBinding
    rigid: RigidBinding
    colors: Float32Array
    """(N, 3)"""
    facing: Float32Array
    """(N,) cosine between normal and view, in the picture that a point is from."""
    pictures: Int32Array
    """(N,) the number of that picture."""

    @staticmethod
    def none() -> Points:
        """No points."""
        nothing, empty = nothing_added(), np.zeros(0, np.float32)
        return Points(nothing.surface, nothing.rigid, nothing.colors, empty, np.zeros(0, np.int32))

    @staticmethod
    def joined(several: Sequence[Points]) -> Points:
        """The points of several pictures, one after another."""

        def all_of(owners: Sequence[object]) -> list[np.ndarray]:
            return [
                np.concatenate([getattr(one, field) for one in owners]) for field in vars(owners[0])
            ]

        return Points(
            SurfaceBinding(*all_of([one.surface for one in several])),
            RigidBinding(*all_of([one.rigid for one in several])),
            np.concatenate([one.colors for one in several]),
            np.concatenate([one.facing for one in several]),
            np.repeat(
                np.arange(len(several), dtype=np.int32), [len(one.facing) for one in several]
            ),
        )

    def chosen(self, numbers: np.ndarray, size: float = _UNIT) -> Points:
        """Some of them, `size` (metres) as their standard deviation."""
        shown = self.colors[numbers], self.facing[numbers], self.pictures[numbers]
        if len(self.surface.triangles):
            kept = SurfaceBinding(*(array[numbers] for array in vars(self.surface).values()))
            axes = (kept.axes * (size / _UNIT)).astype(np.float32)
            return Points(replace(kept, axes=axes), self.rigid, *shown)
        kept = RigidBinding(*(array[numbers] for array in vars(self.rigid).values()))
        scales = kept.scales.copy()
        scales[:, :2] *= size / _UNIT
        return Points(self.surface, replace(kept, scales=scales), *shown)


def points_of(avatar: Avatar, slot: str, seen: Sequence[SeenFrame]) -> Points:
    """The points of a look in a slot that pictures with depth show, as dense as the budget allows; none where there are few."""
    if not seen:
        return Points.none()
    views = [PosedAvatar(avatar, one.frame) for one in seen]
    points = Points.joined(
        [_unprojected(view, one, slot) for one, view in zip(seen, views, strict=True)]
    )
    return _thinned(avatar, points.chosen(_consistent(avatar, points, views, seen)))


def _unprojected(view: PosedAvatar, one: SeenFrame, slot: str) -> Points:
    """What a picture with depth shows elsewhere than where the avatar is."""
    if one.depth is None:
        return Points.none()
    frame, camera = view.frame, view.frame.camera
    # farther: the look hides what is there, as a cap does that presses hair flat
    other = (view.alpha < _PART) | (np.abs(one.depth - view.depth) > _NEARER)
    alpha = np.ones_like(one.depth) if one.alpha is None else one.alpha
    if one.thing is not None:
        other |= one.thing
    wanted = (
        (frame.part_mask > _PART) & other & (alpha > _SOLID_PIXEL) & _smooth(one.depth, camera.fx)
    )
    rows, columns = np.nonzero(wanted)
    if not len(rows):
        return Points.none()
    z = one.depth[rows, columns].astype(np.float64)
    x, y = (columns + 0.5 - camera.cx) / camera.fx * z, (rows + 0.5 - camera.cy) / camera.fy * z
    means = np.stack([x, y, z], 1)
    towards = -means / np.linalg.norm(means, axis=1, keepdims=True)
    normals = towards if one.normals is None else one.normals[rows, columns].astype(np.float64)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(lengths > 0, normals / np.maximum(lengths, 1e-9), towards)
    facing = (normals * towards).sum(1).astype(np.float32)
    # without the backdrop, of which the picture shows 1 - alpha
    share = alpha[rows, columns, None]
    colors = (frame.image[rows, columns] - (1 - share) * np.array(frame.backdrop)) / share
    colors = np.clip(colors, 0, 1).astype(np.float32)
    along, sigma = None, np.full((len(z), 2), _UNIT)
    if slot in HAIR_SLOTS:
        along = np.zeros_like(means)
        along[:, :2] = strand_direction(frame.image, STRAND_SIGMA)[rows, columns]
        sigma = sigma * (STRAND, 1 / STRAND)
    nothing, first = nothing_added(), np.zeros(len(z), np.int32)
    if slot in ON_SKIN:
        skin = np.nonzero(view.rig.parts == Part.SKIN)[0]
        corners = view.vertices[view.rig.triangles[skin]]
        nearest = KDTree(corners.mean(1)).query(means)[1]
        v0, v1, v2 = corners[nearest].transpose(1, 0, 2)
        of_skin = np.cross(v1 - v0, v2 - v0)
        of_skin /= np.maximum(np.linalg.norm(of_skin, axis=1, keepdims=True), 1e-12)
        surface = bind_surface(
            flat(means, of_skin, sigma, colors, opacity=START_OPACITY, along=along),
            skin[nearest],
            view.vertices,
            view.rig.triangles,
            two_sided=np.ones(len(z), np.uint8),
        )
        return Points(surface, nothing.rigid, colors, facing, first)
    means, turns, weights = _at_rest(means, frame.pose, view.rig.neck_pivot, slot)
    normals = np.einsum("nij,ni->nj", turns, normals)
    if along is not None:
        along = np.einsum("nij,ni->nj", turns, along)
    shaped = flat(means, normals, sigma, colors, opacity=START_OPACITY, along=along)
    rigid = RigidBinding(shaped.means, shaped.quats, shaped.scales, weights)
    return Points(nothing.surface, rigid, colors, facing, first)


def _smooth(depth: Float32Array, fx: float) -> BoolArray:
    """(H, W) where depth is known and no edge: there it is a mean of two surfaces, and lies on neither."""
    step = _STEP_IN_DEPTH * depth / fx
    known = depth > 0
    whole = np.ones_like(known)
    for axis in (0, 1):
        before, after = np.roll(depth, 1, axis), np.roll(depth, -1, axis)
        both = np.roll(known, 1, axis) & np.roll(known, -1, axis)
        whole &= ~both | (np.abs(depth - 0.5 * (before + after)) < step)
    return known & whole


def _consistent(
    avatar: Avatar, points: Points, views: Sequence[PosedAvatar], seen: Sequence[SeenFrame]
) -> np.ndarray:
    """Which points (numbers) do not stand before what most other pictures see: depth at outlines lies between two surfaces."""
    tested, refuted = np.zeros(len(points.colors)), np.zeros(len(points.colors))
    if not len(tested):
        return np.zeros(0, np.int64)
    for one, view in zip(seen, views, strict=True):
        if one.depth is None:
            continue
        means = view.posed(avatar, points.surface, points.rigid)
        columns, rows, on = view.pixels(means)
        found = one.depth[rows, columns]
        tested += on
        refuted += on & ((found == 0) | (means[:, 2] < found - DEPTH_TOLERANCE))
    return np.nonzero(refuted <= _REFUTED * tested)[0]


def _at_rest(
    means: FloatArray, pose: HeadPose, pivot: FloatArray, slot: str
) -> tuple[FloatArray, FloatArray, Float32Array]:
    """Points (N, 3) of the camera frame at rest in the head frame, rotations (N, 3, 3) from there, and head weights (N,).

    The inverse of `pose_points`; how far a point turns with the head depends on where it is at rest, hence rounds.
    """
    frame = neck_frame(pose, pivot)

    def turns(weights: Float32Array) -> FloatArray:
        share = weights[:, None]
        quats = (1 - share) * np.array([1.0, 0, 0, 0]) + share * frame.relative
        return to_matrix(quats / np.linalg.norm(quats, axis=1, keepdims=True)) @ frame.body

    def rest(weights: Float32Array) -> FloatArray:
        return np.einsum("nij,ni->nj", turns(weights), means - frame.posed_pivot) + frame.pivot

    weights = np.full(len(means), 0 if slot == "cloth" else 1, np.float32)
    for _ in range(_ROUNDS if slot == "hair" else 0):
        weights = hair_weights(rest(weights))
    return rest(weights), turns(weights), weights


def _thinned(avatar: Avatar, points: Points) -> Points:
    """The points at the finest spacing that keeps to the budget; none where there are few."""
    places = places_at_rest(avatar.rig, points.surface, points.rigid)
    if len(places) < _FEWEST_ADDED:
        return Points.none()
    # of the points in a cell the one that is seen best
    best = np.argsort(-points.facing, kind="stable")
    spacing, numbers = _SPACINGS[-1], np.zeros(0, np.int64)
    for spacing in _SPACINGS:
        cells = np.floor(places / spacing).astype(np.int64)
        numbers = best[np.unique(cells[best], axis=0, return_index=True)[1]]
        if len(numbers) <= _MAX_ADDED:
            break
    return points.chosen(numbers, _COVERAGE * float(spacing))
