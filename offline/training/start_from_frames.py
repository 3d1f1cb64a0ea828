"""Where the learning of a look starts that is known from pictures only: which Gaussians may change, and which come with it.

What lies elsewhere than the avatar is unprojected by the pictures' depth into Gaussians on the
rig's triangles or fixed to the skull. Pictures without depth can only change what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.spatial import KDTree

from offline.lift.hair import hair_weights, strand_direction
from offline.looks.assembly import Changes, attribute, flat, piece_by_piece
from offline.training.contract import TeacherAttribute, TrainingFrame
from perse_live.animate import (
    HeadPose,
    RigidBinding,
    SurfaceBinding,
    bind_surface,
    neck_frame,
    pose_gaussians,
    pose_vertices,
)
from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array
from perse_live.attributes import AddedGaussians, nothing_added
from perse_live.avatar import Avatar, corrected
from perse_live.decoder.features import places_at_rest
from perse_live.gaussians import Gaussians
from perse_live.head.rig import Part
from perse_live.regions import Region
from perse_live.rotations import to_matrix
from perse_live.splatting.cpu import CpuRasterizer

_PART = 0.5  # of the part's mask, from which a pixel counts
_SOLID_PIXEL = (
    0.75  # alpha from which a pixel is unprojected: at the outline it shows the background too
)
_STEP_IN_DEPTH = 2.5  # pixels that depth may differ from the mean of its neighbours on either side: more is an edge
_STRAND = 1.7  # square root of a strand's ratio of length to width
_STRAND_SIGMA = 1.5  # pixels over which the direction of strands is averaged
_TOUCHED = 0.1  # of the part's mask, from which one of the avatar's Gaussians may change
_NEARER = 0.002  # metres before the avatar from which a pixel shows something that is added
_BEHIND = 0.006  # metres behind the avatar's surface at which its Gaussians are still seen
_CHANGED_IN = 0.34  # share of the pictures that see one of the avatar's Gaussians in which it must lie in the part
_MAX_ADDED = 12_000  # Gaussians
_BEFORE = 0.004  # metres before what a picture sees, by which it refutes a point
_WITHIN = (
    0.002  # metres behind a solid thing's surface in which it has none of the avatar's Gaussians
)
_HIDDEN_IN = 0.6  # share of the pictures that must refute one of the avatar's Gaussians, so that it starts hidden
_REFUTED = 0.2  # share of the pictures that may refute a point: depth is wrong at outlines
_CANDIDATES = 64  # triangles nearest to a point, to one of which it is bound
_JUDGES = 24  # pictures in which they are compared
_OTHER_COLOR = 0.15  # mean difference of channels from which a pixel shows something else
_CLEARLY = 0.85  # part of the nearest triangle's error that another must keep to
_COLOR_SIGMA = 0.7  # pixels by which pictures are blurred before colours are compared
_ROUNDS = 2  # of finding how far hair and clothes turn with the head
_FEWEST_ADDED = 40
_UNIT = 1e-3  # metres, standard deviation before points are thinned
_COVERAGE = 0.6  # standard deviation over the spacing
_OPACITY = 0.9  # to start with
_SPACINGS = np.geomspace(0.0007, 0.006, 24)  # metres, tried from the finest
_ON_SKIN = frozenset({"beard", "eyebrows", "make-up", "skin", "mouth", "nose", "eyes", "face"})
"""Slots of what moves with the face; all else follows the skull, or the shoulders."""
_HAIR = frozenset({"hair", "beard", "eyebrows"})
_SOLID = frozenset({"hat", "glasses", "headphones", "earrings"})
"""Slots of things, which come piece by piece; all else comes everywhere at once."""
_SHAPES = frozenset({"mouth", "nose", "face"})
_HAIR_START = 0.35  # size at weight 0, as the built-in beards have it


@dataclass(frozen=True, eq=False)
class SeenFrame:
    """A picture of the look, and what is known of its geometry."""

    frame: TrainingFrame
    depth: Float32Array | None
    """(H, W) metres along the camera's z, 0 where nothing is seen; None: not known."""
    alpha: Float32Array | None = None
    """(H, W) in [0, 1], how far a pixel is the person's and the look's; None: not known, taken as 1."""
    normals: Float32Array | None = None
    """(H, W, 3) unit, camera frame, towards the camera, 0 where nothing is seen; None: not known, all towards the camera."""
    thing: BoolArray | None = None
    """(H, W) pixels that show what the look adds, by their class; None: not known, told by depth alone."""


def teacher_from_frames(
    avatar: Avatar,
    name: str,
    label: str,
    slot: str,
    seen: Sequence[SeenFrame],
    unprojected: Sequence[SeenFrame],
) -> TeacherAttribute:
    """A teacher that says where learning starts; its pictures must say the rest.

    avatar: without attributes; seen: pictures from different sides, which tell what changes and what the look hides;
    unprojected: a dozen of them, from which Gaussians are made. Raises ValueError for none.
    """
    if not seen:
        raise ValueError("no pictures to start from")

    def solid(one: SeenFrame) -> BoolArray:
        none = np.zeros(one.frame.part_mask.shape, np.bool_)
        return none if one.thing is None or slot not in _SOLID else one.thing

    inside, visible, judged, refuted = np.zeros((4, len(avatar)))
    for one in seen:
        view = _View(avatar, one.frame)
        there, hit = view.visible_in(one.frame.part_mask, one.depth)
        visible += there
        inside += hit
        if one.depth is not None:
            judges, against = view.judged_by(one.depth, one.frame.part_mask, solid(one))
            judged += judges
            refuted += against
    # also what the avatar itself hides: hair beneath hair that goes would come to light
    gone = (refuted > 0) & (refuted >= _HIDDEN_IN * judged)
    changed = (inside > 0) & (inside >= _CHANGED_IN * visible)
    ids = np.nonzero(changed | gone)[0].astype(np.int32)
    change = Changes(ids, avatar.colors[ids], np.where(gone[ids], 0, avatar.opacities[ids]))
    points = _thinned(avatar, _unprojected(avatar, slot, unprojected))
    if len(points.surface.triangles):
        others = [one for one in seen if one.depth is not None]
        others = others[:: max(len(others) // _JUDGES, 1)]
        points = replace(points, surface=rebound(avatar, points, unprojected, others))
    added = _added(avatar, slot, points)
    return TeacherAttribute(
        attribute(name, label, slot, added, change), known=False, moves_base=slot in _SHAPES
    )


def _unprojected(avatar: Avatar, slot: str, seen: Sequence[SeenFrame]) -> Points:
    views = [_View(avatar, one.frame) for one in seen]
    if not seen:
        return Points.none()
    points = Points.joined(
        [view.before_it(one, slot) for one, view in zip(seen, views, strict=True)]
    )
    return points.chosen(_consistent(avatar, points, views, seen))


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


class _View:
    """The avatar without the look in a frame's pose: posed, with its depth."""

    def __init__(self, avatar: Avatar, frame: TrainingFrame) -> None:
        avatar = corrected(avatar, frame.expression, frame.gaze)
        self._rig, self._frame = avatar.rig, frame
        self.vertices = pose_vertices(avatar.rig, frame.expression, frame.gaze, frame.pose)
        bound = avatar.surface, avatar.rigid, avatar.opacities, avatar.colors
        self._gaussians = pose_gaussians(self.vertices, avatar.rig, *bound, frame.pose)
        depths = np.repeat(self._gaussians.means[:, 2:], 3, 1)
        drawn = CpuRasterizer(frame.camera.width, frame.camera.height, threads=1).render_float(
            replace(self._gaussians, colors=depths), frame.camera, background=(0.0, 0.0, 0.0)
        )
        self._alpha = drawn[..., 3].copy()
        self._depth = drawn[..., 0] / np.maximum(self._alpha, 1e-3)

    def visible_in(
        self, part: Float32Array, depth: Float32Array | None
    ) -> tuple[BoolArray, BoolArray]:
        """(G,) which of the avatar's Gaussians are seen, without the look or with it, and which of these lie in the part (H, W).

        depth: (H, W) of the picture with the look: where that is farther, as with a cap that presses hair flat, what was inside
        is at the surface.
        """
        means = self._gaussians.means
        columns, rows, on = self.pixels(means)
        surface = self._depth[rows, columns]
        if depth is not None:
            found = depth[rows, columns]
            surface = np.maximum(surface, np.where(found == 0, np.inf, found))
        near = means[:, 2] < surface + _BEHIND
        seen = on & near & (self._gaussians.opacities > 0)
        return seen, seen & (part[rows, columns] > _TOUCHED)

    def pixels(self, means: Float32Array) -> tuple[np.ndarray, np.ndarray, BoolArray]:
        """Columns and rows of the pixels of points (N, 3), within the picture, and which of them are in it."""
        camera = self._frame.camera
        columns, rows = np.floor(camera.project(means)).astype(int).T
        on = (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
        return columns.clip(0, camera.width - 1), rows.clip(0, camera.height - 1), on

    def posed(self, avatar: Avatar, surface: SurfaceBinding, rigid: RigidBinding) -> Float32Array:
        """Where Gaussians bound to the avatar's rig are, (N, 3) camera frame."""
        return self.gaussians_of(avatar, surface, rigid).means

    def gaussians_of(
        self, avatar: Avatar, surface: SurfaceBinding, rigid: RigidBinding
    ) -> Gaussians:
        """Gaussians bound to the avatar's rig, posed, opaque and black."""
        count = len(surface.triangles) + len(rigid.means)
        shown, colors = np.ones(count, np.float32), np.zeros((count, 3), np.float32)
        pose = self._frame.pose
        return pose_gaussians(self.vertices, avatar.rig, surface, rigid, shown, colors, pose)

    def judged_by(
        self, depth: Float32Array, part: Float32Array, solid: BoolArray
    ) -> tuple[BoolArray, BoolArray]:
        """(G,) of which of the avatar's Gaussians a picture tells whether they are there, and which are not.

        depth, part: (H, W) of the picture; solid: (H, W) where it shows a solid thing. What lies at the surface that the picture
        shows is there. What stands before that surface within the part is not, nor what lies in a solid thing's surface. Of
        all else it tells nothing. Of long Gaussians both ends are looked at: hair that stands out from under a hat has its
        mean behind it.
        """
        gaussians = self._gaussians
        longest, every = gaussians.scales.argmax(1), np.arange(len(gaussians.means))
        axes = to_matrix(gaussians.quats)[every, :, longest]
        half = gaussians.scales[every, longest, None] * axes
        there = refuted = np.zeros(len(every), np.bool_)
        for end in (0, -1, 1):
            means = gaussians.means + np.float32(end) * half
            columns, rows, on = self.pixels(means)
            found, z = depth[rows, columns], means[:, 2]
            nearest = np.where(solid[rows, columns], found + _WITHIN, found - _BEFORE)
            within = part[rows, columns] > _TOUCHED
            refuted = refuted | (on & within & ((found == 0) | (z < nearest)))
            if not end:
                there = on & (np.abs(z - found) <= _BEFORE)
        return there | refuted, refuted

    def before_it(self, one: SeenFrame, slot: str) -> Points:
        """What a picture with depth shows elsewhere than where the avatar is."""
        if one.depth is None:
            return Points.none()
        frame, camera = self._frame, self._frame.camera
        # farther: the look hides what is there, as a cap does that presses hair flat
        other = (self._alpha < _PART) | (np.abs(one.depth - self._depth) > _NEARER)
        alpha = np.ones_like(one.depth) if one.alpha is None else one.alpha
        if one.thing is not None:
            other |= one.thing
        wanted = (
            (frame.part_mask > _PART)
            & other
            & (alpha > _SOLID_PIXEL)
            & _smooth(one.depth, camera.fx)
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
        if slot in _HAIR:
            along = np.zeros_like(means)
            along[:, :2] = strand_direction(frame.image, _STRAND_SIGMA)[rows, columns]
            sigma = sigma * (_STRAND, 1 / _STRAND)
        nothing, first = nothing_added(), np.zeros(len(z), np.int32)
        if slot in _ON_SKIN:
            skin = np.nonzero(self._rig.parts == Part.SKIN)[0]
            corners = self.vertices[self._rig.triangles[skin]]
            nearest = KDTree(corners.mean(1)).query(means)[1]
            v0, v1, v2 = corners[nearest].transpose(1, 0, 2)
            of_skin = np.cross(v1 - v0, v2 - v0)
            of_skin /= np.maximum(np.linalg.norm(of_skin, axis=1, keepdims=True), 1e-12)
            surface = bind_surface(
                flat(means, of_skin, sigma, colors, opacity=_OPACITY, along=along),
                skin[nearest],
                self.vertices,
                self._rig.triangles,
                two_sided=np.ones(len(z), np.uint8),
            )
            return Points(surface, nothing.rigid, colors, facing, first)
        means, turns, weights = _at_rest(means, frame.pose, self._rig.neck_pivot, slot)
        normals = np.einsum("nij,ni->nj", turns, normals)
        if along is not None:
            along = np.einsum("nij,ni->nj", turns, along)
        shaped = flat(means, normals, sigma, colors, opacity=_OPACITY, along=along)
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
    avatar: Avatar, points: Points, views: Sequence[_View], seen: Sequence[SeenFrame]
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
        refuted += on & ((found == 0) | (means[:, 2] < found - _BEFORE))
    return np.nonzero(refuted <= _REFUTED * tested)[0]


def rebound(
    avatar: Avatar, points: Points, unprojected: Sequence[SeenFrame], others: Sequence[SeenFrame]
) -> SurfaceBinding:
    """The points bound to those triangles with which they show the same colour in the other pictures.

    The nearest triangle need not be the one that a point moves with: the tips of a beard follow their roots, centimetres away.
    """
    surface, triangles = points.surface, avatar.rig.triangles
    skin = np.nonzero(avatar.rig.parts == Part.SKIN)[0]
    views = [_View(avatar, one.frame) for one in others]
    colors = [_over_grey(one) for one in others]
    rebound = [np.array(array) for array in vars(surface).values()]
    for number, source in enumerate(unprojected):
        at = np.nonzero(points.pictures == number)[0]
        if not len(at):
            continue
        view = _View(avatar, source.frame)
        mine = SurfaceBinding(*(array[at] for array in vars(surface).values()))
        shaped = view.gaussians_of(avatar, mine, points.rigid)
        corners = view.vertices[triangles[skin]]
        count = min(_CANDIDATES, len(skin))
        near = skin[KDTree(corners.mean(1)).query(shaped.means, k=count)[1]]
        # the triangle that it is bound to is the first candidate
        near[:, 1:] = np.where(near[:, 1:] == mine.triangles[:, None], near[:, :1], near[:, 1:])
        near[:, 0] = mine.triangles
        columns, rows, _ = view.pixels(shaped.means)
        wanted = _over_grey(source)[rows, columns][:, None]
        many = Gaussians(*(np.repeat(array, count, 0) for array in vars(shaped).values()))
        tried = bind_surface(
            many,
            near.reshape(-1),
            view.vertices,
            triangles,
            two_sided=np.ones(len(near) * count, np.uint8),
        )
        costs = np.zeros(near.shape, np.float32)
        for one, other, picture in zip(others, views, colors, strict=True):
            assert one.depth is not None
            means = other.posed(avatar, tried, nothing_added().rigid)
            columns, rows, on = other.pixels(means)
            apart = means[:, 2] - one.depth[rows, columns]
            seen = (on & (np.abs(apart) < _BEFORE)).reshape(near.shape)
            off = np.abs(picture[rows, columns].reshape(*near.shape, 3) - wanted).mean(2)
            cost = np.where(seen, np.minimum(off, _OTHER_COLOR), _OTHER_COLOR)
            # pictures that do not show the point as it is bound now tell nothing
            costs += np.where(seen[:, :1], cost, 0)
        best = costs.argmin(1)
        clear = costs[np.arange(len(at)), best] < _CLEARLY * costs[:, 0]
        best = np.where(clear, best, 0)
        chosen = np.arange(len(at)) * count + best
        for array, values in zip(rebound, vars(tried).values(), strict=True):
            array[at] = values[chosen]
    rebound[-1] = surface.two_sided
    return SurfaceBinding(*rebound)


def _over_grey(one: SeenFrame) -> Float32Array:
    """The picture (H, W, 3), whichever backdrop it has, over the same, and a little blurred."""
    frame = one.frame
    image = frame.image
    if one.alpha is not None:
        image = image + (1 - one.alpha[..., None]) * (np.float32(0.5) - np.array(frame.backdrop))
    blurred = cv2.GaussianBlur(np.ascontiguousarray(image, np.float32), (0, 0), _COLOR_SIGMA)
    return np.asarray(blurred, np.float32)


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


def _added(avatar: Avatar, slot: str, points: Points) -> AddedGaussians:
    if not len(points.colors):
        return nothing_added()
    count, hairy, solid = len(points.colors), slot in _HAIR, slot in _SOLID
    region = Region.HAIR if hairy else Region.CLOTHES if slot == "cloth" else Region.ACCESSORY
    heights = places_at_rest(avatar.rig, points.surface, points.rigid)[:, 1].astype(np.float64)
    return AddedGaussians(
        points.surface,
        points.surface.positions.copy(),
        points.rigid,
        points.rigid.means.copy(),
        np.full(count, _OPACITY, np.float32),
        np.clip(points.colors, 0, 1).astype(np.float32),
        np.full(count, int(region), np.uint8),
        # from the top down, as the built-in hats
        piece_by_piece(-heights).astype(np.float32) if solid else np.zeros(count, np.float32),
        _HAIR_START if hairy else 1.0,
        solid,
    )
