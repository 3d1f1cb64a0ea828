"""The lids: plain skin that unfolds when an eye closes, and a veil in front of it with lashes, liner and shadow from the photo.

An open eye's upper lid is folded into a few pixels, which show lashes, liner and the fold's shadow. Baked onto the lid's
Gaussians, they would be stretched over the whole closed lid. So the skin gets the colours of a closed lid, inferred from the skin
around the eye, and the photo's pixels lie on sheets that span the eye's opening from edge to edge: when the lids meet, the sheets
shrink, lashes gather in a thin line at the lid's edge, and the fold's shadow disappears.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from offline.gaussian_layer import Layer, empty_layer, frames, join, surface_layer
from offline.images import distance_to, nearest_true, polygon, sample
from offline.lift.pixel_mesh import grid_mesh, scatter
from offline.numeric import facing_of, normalized, ramp
from offline.rig.photo_geometry import PhotoGeometry
from offline.texture.mirror import mirror_vertices
from perse_live.animate import bind_surface
from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array
from perse_live.gaussians import Gaussians
from perse_live.head import landmarks as lm
from perse_live.head.expressions import index
from perse_live.head.landmarks import LandmarkModel
from perse_live.head.rig import HeadRig, Part, vertices_of
from perse_live.regions import Region
from perse_live.rotations import to_quat

# Each eye's landmarks from the outer corner to the inner one, along the upper and along the lower lid: left, right.
_UPPER = ((263, *lm.UPPER_LID_LEFT, 362), (33, *lm.UPPER_LID_RIGHT, 133))
_LOWER = ((263, *lm.LOWER_LID_LEFT, 362), (33, *lm.LOWER_LID_RIGHT, 133))
LID_SEGMENTS = len(_UPPER[0]) - 1
"""Of each kind of sheet of an eye, from the outer corner inwards."""
# Extent of the sheets; beyond the corners the skin carries the colours
_UPPER_LINE, _UPPER_SHADE, _LOWER_LINE, _ON_SKIN = range(4)
_FAN_END = 0.012  # metres below the lower lid's edge where the fans end
# Metres below the lower lid's edge where the upper lashes' sheets end; above the upper one's edge
_SHEET_ENDS = (0.0055, 0.0048)

# Pixels (eye distance 115) from the lids' edges: roots of the lashes; the veil above the upper lid, at the corners, below the
# lower lid, and before the eyeball below the upper lid and above the lower one.
_LINE, _SHADE, _CORNER, _BELOW, _INSIDE_UPPER, _INSIDE_LOWER = 3.0, 9.0, 6.0, 5.0, 3.0, 0.5
_ROOTS_INSIDE = -0.7
_WING = 0.2  # of an eye's width beyond its outer corner where lashes end
_INNER = 0.93  # of an eye's width: where its inner corner begins
# Brightness of the lid's shadow relative to the surface below; largest opacity; default
_SHADOW, _DEEPEST_SHADOW, _USUAL_SHADOW = (0.3, 0.6, 0.25)
_WHITE = 0.75  # of the brightest pixel below the lid, from which a pixel is sclera
_LIFT = 0.0006  # metres in front of the lid
# Difference of sRGB colours at which the veil is transparent, and opaque
_SAME, _OTHER = (0.015, 0.09)
_LIGHT_FREE = 0.3  # freedom of the colours of light pixels in refinement
_OVERLAP = 2.5  # overlap of the veil's Gaussians

# Fractions of the largest displacement in a blink: below, skin keeps the photo's colour; above, it is inferred
_STILL, _MOVES = (0.03, 0.22)
# Pixels (eye distance 115) from an eye's opening within which skin is inferred too, and from which it is not
_EDGE = (3.0, 5.5)
_THINNEST = 2e-5  # metres: least standard deviation of a Gaussian on folded skin
_LONGEST = 2.0  # times that when unfolded: largest standard deviation of a Gaussian on folded skin
# Relative to the skin above and below the eye, in the lid's light; a lid that is 5 % lighter costs psnr_lids 0.3 to 0.7 dB
_LID = np.array([0.97, 0.94, 0.93])
# Remaining darkness of the fold; its position and width, as fractions of the displacement
_CREASE, _CREASE_AT, _CREASE_WIDTH = (0.05, 0.34, 0.10)
# Likewise towards the lashes' roots: 10 to 20 L* darker over a tenth of the eye's width on film
_ROOTS = np.array([0.78, 0.76, 0.76])


def with_lid_sheets(rig: HeadRig, template: FloatArray, model: LandmarkModel) -> HeadRig:
    """The rig with the sheets' triangles appended: 2 eyes x 3 kinds x 8 segments, left eye first; then 2 eyes x 8 of fans.

    template: (V, 3) the mean head's vertices, in the rig's numbering. A fan spans from the upper lid's edge to one point on the
    cheek, so that Gaussians on it stay connected however the edge bends.
    """
    marks = (template[model.vertex_ids] * model.barycentrics[:, :, None]).sum(1)
    skin = np.nonzero(vertices_of(rig, Part.SKIN))[0]
    nearest = partial(_nearest, skin, KDTree(template[skin]))
    over, under = marks[list(_UPPER[0])], marks[list(_LOWER[0])]
    above, below = (over[1:] + over[:-1]) / 2, (under[1:] + under[:-1]) / 2
    down, up = (np.array([0, root, 0]) for root in _SHEET_ENDS)
    top, bottom = nearest(over), nearest(under)
    left = np.concatenate(
        [
            np.stack([edge[:-1], edge[1:], third], 1)
            for edge, third in (
                (top, nearest(below - down)),
                (top, nearest(below)),
                (bottom, nearest(above + up)),
            )
        ]
    )
    fan = np.stack(
        [
            top[:-1],
            top[1:],
            np.full(LID_SEGMENTS, nearest(below.mean(0)[None] - [0, _FAN_END, 0])[0]),
        ],
        1,
    )
    mirrored = mirror_vertices(template)
    rows = np.concatenate([left, mirrored[left], fan, mirrored[fan]])
    outward = _face_normals(template, rows)[:, 2] > 0
    sheets = np.where(outward[:, None], rows, rows[:, [1, 0, 2]]).astype(np.int32)
    return replace(
        rig,
        triangles=np.concatenate([rig.triangles, sheets]),
        parts=np.concatenate([rig.parts, np.full(len(sheets), int(Part.LID_SHEET), np.uint8)]),
    )


def lash_fans(rig: HeadRig) -> Int32Array:
    """Rows of the rig's triangles that are the upper lids' fans, (2, LID_SEGMENTS): left eye first, from the outer corners."""
    first = len(rig.triangles) - 2 * LID_SEGMENTS
    return np.arange(first, len(rig.triangles), dtype=np.int32).reshape(2, LID_SEGMENTS)


def _nearest(ids: NDArray[np.integer], tree: KDTree, places: FloatArray) -> Int32Array:
    return ids[np.asarray(tree.query(places)[1])].astype(np.int32)


@dataclass(frozen=True, eq=False)
class LidPoints:
    """Properties of N points of the skin with respect to the lids."""

    rest: FloatArray
    """(N, 3) on the mean head."""
    moved: FloatArray
    """(N,) displacement in a blink, relative to that of the upper lids' edges."""
    from_eye: FloatArray
    """(N,) pixels (eye distance 115) in the photo from the eyes' openings."""
    brows: FloatArray
    """(N,) in [0, 1]."""

    @property
    def inferred(self) -> FloatArray:
        """Weight (N,) in [0, 1] of inferred colours against the photo's."""
        return np.maximum(ramp(self.moved, _STILL, _MOVES), 1 - ramp(self.from_eye, *_EDGE))

    @property
    def free(self) -> FloatArray:
        """Freedom (N,) in [0, 1] in refinement: 0 for folded skin, many points of which share a pixel."""
        return (1 - self.inferred) * (1 - ramp(self.moved, 0.0, 2 * _STILL))


def blink_moves(rig: HeadRig) -> Float32Array:
    """Displacement of each vertex in a blink, (V,), relative to the largest."""
    moves = np.linalg.norm(rig.actions[[index("eyeBlinkLeft"), index("eyeBlinkRight")]], axis=2)
    return (
        (moves / np.maximum(np.percentile(moves, 99.9, axis=1, keepdims=True), 1e-6))
        .max(0)
        .clip(0, 1)
        .astype(np.float32)
    )


def closed_lid_shade(moved: FloatArray) -> FloatArray:
    """Factors (N, 3) from the colours of the skin around an eye to those of its closed lid.

    moved: (N,) relative displacement in a blink, as `blink_moves`. The lid is a little darker and redder than the skin around it,
    once more towards the lashes' roots, and keeps a trace of the fold of the open eye.
    """
    crease = _CREASE * np.exp(-0.5 * ((moved - _CREASE_AT) / _CREASE_WIDTH) ** 2)
    lid = 1 - ramp(moved, 0.05, 0.8)[:, None] * (1 - _LID)
    return lid * (1 - ramp(moved, 0.72, 1.0)[:, None] * (1 - _ROOTS)) * (1 - crease)[:, None]


def shaped_for(
    layer: Layer, which: BoolArray, unfolded: FloatArray, geometry: PhotoGeometry
) -> Layer:
    """The layer with Gaussians `which` (N,) round in the pose that unfolds their skin, and compressed as it is in the photo.

    unfolded: (V, 3) the rig's vertices with lids and mouth spread out, camera frame. Round in the photo's pose, Gaussians of
    folded skin would be stretched to streaks, with gaps between them.
    """
    g, triangles = layer.gaussians, geometry.rig.triangles[layer.triangles[which]]
    rows, both_sides = layer.triangles[which], np.zeros(int(which.sum()), np.uint8)
    normals = _face_normals(unfolded, triangles)
    round_ones = Gaussians(
        g.means[which],
        to_quat(frames(normals)).astype(np.float32),
        g.scales[which],
        g.opacities[which],
        g.colors[which],
    )
    bound = bind_surface(round_ones, rows, unfolded, geometry.rig.triangles, two_sided=both_sides)
    corners = geometry.vertices[triangles].astype(np.float64)
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], 2)
    # The image of a circle is an ellipse, whose axes are the singular vectors: folded triangles are sheared as well as narrowed
    axes, lengths, _ = np.linalg.svd(
        edges @ bound.axes.reshape(-1, 2, 2).transpose(0, 2, 1), full_matrices=False
    )
    quats, scales = g.quats.copy(), g.scales.copy()
    quats[which] = to_quat(frames(_face_normals(geometry.vertices, triangles), axes[:, :, 0]))
    # a triangle that is a sliver in the unfolded pose would else stretch its Gaussian to a needle
    scales[which, :2] = np.clip(
        lengths, _THINNEST, _LONGEST * g.scales[which, :2].max(1, keepdims=True)
    )
    return replace(layer, gaussians=replace(g, quats=quats, scales=scales))


def _face_normals(vertices: FloatArray, triangles: Int32Array) -> FloatArray:
    a, b, c = (vertices[triangles[:, k]].astype(np.float64) for k in range(3))
    return normalized(np.cross(b - a, c - a))


def lid_veil(
    geometry: PhotoGeometry,
    image: Float32Array,
    beneath: Float32Array,
    landmarks: FloatArray,
    scale: float,
    rng: np.random.Generator,
) -> Layer:
    """Lashes, liner, folds and shadows along the lids' edges, as Gaussians on the sheets.

    image: (H, W, 3) the photo; beneath: (H, W, 3) rendering of skin and eyeballs alone in its view; landmarks: (478, 2+)
    pixels; scale: pixels, eye distance / 115. Opacities grow with the difference of the two.
    """
    return join(
        empty_layer(),
        *(_eye_veil(geometry, image, beneath, landmarks, eye, scale, rng) for eye in range(2)),
    )


def _eye_veil(
    geometry: PhotoGeometry,
    image: Float32Array,
    beneath: Float32Array,
    landmarks: FloatArray,
    eye: int,
    scale: float,
    rng: np.random.Generator,
) -> Layer:
    shape = image.shape[:2]
    upper, lower = (landmarks[list(edge[eye]), :2] for edge in (_UPPER, _LOWER))
    opening = polygon(np.concatenate([upper, lower[::-1]]), shape)
    lid = geometry.part_map(Part.SKIN) & (distance_to(opening) < (_SHADE + 4) * scale)
    wide = distance_to(opening) < _SHADE * scale
    wide &= (distance_to(~opening) < _INSIDE_UPPER * scale) & geometry.seen.covered
    still = (
        lid
        & (blink_moves(geometry.rig)[geometry.triangles].max(1) < 2 * _STILL)[
            geometry.seen.triangle_ids
        ]
    )
    if not wide.any() or not still.any():
        return empty_layer()
    _, rows, columns = nearest_true(lid)
    depth = (
        np.minimum(geometry.seen.depth[rows, columns], np.where(wide, geometry.seen.depth, np.inf))
        - _LIFT
    )
    points = scatter(
        grid_mesh(geometry.camera, depth.astype(np.float32), wide, step=1),
        1.0 / geometry.pixels_per_metre,
        rng=rng,
    )
    outside = sample(distance_to(opening), points.pixels) > 0.5
    place = _Place.of(points.pixels, upper, lower, outside, scale)
    difference = np.abs(sample(image, points.pixels) - sample(beneath, points.pixels)).mean(1)
    wanted = 0.95 * ramp(difference, _SAME, _OTHER) * place.share
    first = len(geometry.rig.triangles) - 2 * (3 + 1) * LID_SEGMENTS
    sheets = first + (eye * 3 + place.kind) * LID_SEGMENTS + place.segment
    _, rows, columns = nearest_true(still)
    x, y = points.pixels.astype(int).T
    skin = geometry.triangle_rows[geometry.seen.triangle_ids[rows[y, x], columns[y, x]]]
    triangles = np.where(place.kind == _ON_SKIN, skin, sheets).astype(np.int32)
    normals = _face_normals(geometry.vertices, geometry.rig.triangles[triangles])
    # next to an eye that is turned away there are hair and shadow in the photo
    wanted = wanted * ramp(facing_of(points.means, normals), 0.3, 0.55)
    seen, below = sample(image, points.pixels), sample(beneath, points.pixels)
    colors = np.clip(below + (seen - below) / np.maximum(wanted, 0.4)[:, None], 0, 1)
    # Light between lashes and beside folds is skin: brighter, it would stand as white specks on a lid that moves
    light = seen.mean(1) > below.mean(1)
    colors = np.where(light[:, None], seen, colors)
    wanted = np.where(place.inside, _lid_shadow(seen, below, place.inside) * place.share, wanted)
    colors = np.where(place.inside[:, None], _SHADOW * below, colors)
    opacity = 1 - (1 - wanted) ** (1 / _OVERLAP)
    edge = geometry.vertices[geometry.rig.triangles[triangles]]
    # Else the line on a closed lid is a string of beads
    along = np.where(place.kind == _UPPER_LINE, 0.9, 0.75)
    sigma = points.spacing[:, None] * np.stack([along, np.full(len(along), 0.75)], 1)
    # Refinement would bake the iris into the veil, where it would stay when the eye turns
    free = outside.astype(np.float32)
    color_free = np.where(light, _LIGHT_FREE * free, free)
    layer = surface_layer(
        points.means,
        normals,
        sigma,
        colors,
        Region.LASHES,
        along=edge[:, 1] - edge[:, 0],
        opacity=opacity,
        triangles=triangles,
        freedom=free,
        color_freedom=color_free,
        least_opacity=0.01,
    )
    return layer.select(wanted > 0.06)


def _lid_shadow(seen: FloatArray, below: FloatArray, inside: BoolArray) -> FloatArray:
    """Opacity (N,) of the upper lid's shadow on the eyeball, estimated from the sclera.

    Other dark pixels there, such as the iris' upper edge, would stay in front of the eye when it turns.
    seen: (N, 3) the photo; below: (N, 3) the eyeball alone; inside: (N,) where it is seen.
    """
    light = below.mean(1)
    shadow = np.clip(
        (1 - seen.mean(1) / np.maximum(light, 1e-3)) / (1 - _SHADOW), 0, _DEEPEST_SHADOW
    )
    white = inside & (light > _WHITE * np.percentile(light[inside], 90)) if inside.any() else inside
    usual = (
        min(float(np.median(shadow[white])), _USUAL_SHADOW) if white.sum() > 8 else _USUAL_SHADOW
    )
    return np.where(white, np.minimum(shadow, 2 * usual), usual)


@dataclass(frozen=True, eq=False)
class _Place:
    """Coordinates of N pixels relative to an eye."""

    kind: Int32Array  # (N,) of the sheet that carries them
    segment: Int32Array  # (N,) of the lid, from the outer corner
    inside: BoolArray  # (N,) of the opening, below the upper lid
    share: FloatArray  # (N,) weight in the veil, fading out with the distance

    @staticmethod
    def of(
        pixels: FloatArray, upper: FloatArray, lower: FloatArray, outside: BoolArray, scale: float
    ) -> _Place:
        """pixels: (N, 2); upper, lower: (9, 2) the lids' edges from the outer corner; outside: (N,) of the eye's opening."""
        axis = upper[-1] - upper[0]
        along = (pixels - upper[0]) @ axis / (axis @ axis)
        at = [(edge - upper[0]) @ axis / (axis @ axis) for edge in (upper, lower)]
        up = np.array([axis[1], -axis[0]]) / np.linalg.norm(axis)
        up = up * np.sign((upper[4] - lower[4]) @ up)
        height = (pixels - upper[0]) @ up / scale
        top, bottom = (
            np.interp(along, np.maximum.accumulate(where), (edge - upper[0]) @ up / scale)
            for where, edge in zip(at, (upper, lower), strict=True)
        )
        above, below = height - top, bottom - height
        is_upper = np.where(outside, above > -0.5 * np.maximum(top - bottom, 0), above > below)
        off = np.where(is_upper, above, below)
        # Of the corners
        beyond = np.maximum(np.maximum(-along, along - 1), 0) * np.linalg.norm(axis) / scale
        reach = np.where(
            is_upper, _CORNER + (_SHADE - _CORNER) * ramp(top - bottom, 0.0, 6.0), _BELOW
        )
        beyond = np.where(along < -_WING, np.inf, beyond)
        share = 1 - ramp(np.hypot(np.maximum(off, 0), beyond) / reach, 0.6, 1.0)
        share = share * (
            1 - ramp(-off / np.where(is_upper, _INSIDE_UPPER, _INSIDE_LOWER), 0.4, 1.0)
        )
        segment = np.where(
            is_upper,
            *(
                np.clip(
                    np.searchsorted(np.maximum.accumulate(where), along) - 1, 0, LID_SEGMENTS - 1
                )
                for where in at
            ),
        )
        root = (off < _LINE) & (off > _ROOTS_INSIDE)
        kind = np.where(~is_upper, _LOWER_LINE, np.where(root, _UPPER_LINE, _UPPER_SHADE))
        kind = np.where(along < _INNER, kind, _ON_SKIN)
        # a lid's first and last segments rotate as it closes; their pixels are bound to the next ones
        return _Place(
            kind.astype(np.int32),
            np.clip(segment, 1, LID_SEGMENTS - 2).astype(np.int32),
            ~outside & is_upper,
            share,
        )
