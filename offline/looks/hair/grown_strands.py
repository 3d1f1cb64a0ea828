"""Strands of hair: lines that grow out of the skin, lie along it, curl and clump, as chains of thin Gaussians."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from offline.looks.assembly import segments
from offline.looks.measured_head import HeadShape
from offline.numeric import normalized
from offline.sampling import SurfacePoints, poisson_disk
from perse_live.arrays import BoolArray, FloatArray, Int32Array
from perse_live.gaussians import Gaussians

Flow = Callable[[FloatArray], FloatArray]
"""From places (N, 3) on the mean head to directions (N, 3) in which hair lies there."""
_SCALP = 0.5  # of its chart, from which hair grows
_CARRIER_CANDIDATES = 40
_CARRIER_REACH = 0.008  # metres: how far a carrier may be for what a better angle gains


@dataclass(frozen=True)
class StrandStyle:
    """How hair grows."""

    steps: int
    """Segments of a strand."""
    stand_off: float
    """[0, 1] how steeply it leaves the skin."""
    gravity: float
    """How much its end turns down."""
    clump: float
    """[0, 1] how far ends of neighbours come together."""
    clump_size: int
    """Strands in a clump, about."""
    curl: float
    """Metres: how far a strand winds about its line."""
    turns: float
    """Windings over its length."""
    clearance: float
    """Metres between skin and a strand's end."""


class SkinFoot(NamedTuple):
    """The skin nearest to N places."""

    heights: FloatArray
    """(N,) metres above it, negative inside."""
    normals: FloatArray
    """(N, 3) unit."""
    scalp: FloatArray
    """(N,) [0, 1] how far it is scalp."""


class SkinField:
    """The skin as a cloud of points, dense enough to ask on which side of it something is."""

    def __init__(self, shape: HeadShape) -> None:
        """Corners, edges' and triangles' middles of the skin of a head."""
        triangles = shape.skin_triangles
        weights = np.array(
            [
                [1, 0, 0],
                [0, 1, 0],
                [0, 0, 1],
                [0.5, 0.5, 0],
                [0, 0.5, 0.5],
                [0.5, 0, 0.5],
                [1 / 3] * 3,
            ]
        )

        def spread(values: FloatArray) -> FloatArray:
            return np.einsum("kc,tcd->tkd", weights, values[triangles]).reshape(-1, values.shape[1])

        points, first = np.unique(spread(shape.vertices).round(6), axis=0, return_index=True)
        self._tree = KDTree(points)
        self._points, self._normals = points, normalized(spread(shape.normals))[first]
        self._template, self._lips, self._scalp = (
            spread(shape.template)[first],
            spread(shape.charts.lips[:, None])[first, 0],
            spread(shape.charts.scalp[:, None])[first, 0],
        )

    def height(self, places: FloatArray) -> FloatArray:
        """Metres above the skin (N,), negative inside. places: (N, 3)."""
        found = self._near(places)
        return ((places - self._points[found]) * self._normals[found]).sum(1)

    def normals(self, places: FloatArray) -> FloatArray:
        """Of the skin nearest to places (N, 3)."""
        return self._normals[self._near(places)]

    def on_template(self, places: FloatArray) -> FloatArray:
        """Where the skin nearest to places (N, 3) is on the mean head."""
        return self._template[self._near(places)]

    def foot(self, places: FloatArray) -> SkinFoot:
        """The skin nearest to places (N, 3)."""
        found = self._near(places)
        normals = self._normals[found]
        heights = ((places - self._points[found]) * normals).sum(1)
        return SkinFoot(heights, normals, self._scalp[found])

    def scalp_points(self) -> FloatArray:
        """(M, 3) metres."""
        return self._points[self._scalp > _SCALP]

    def lips(self, places: FloatArray) -> FloatArray:
        """How red the skin nearest to places (N, 3) is: [0, 1]."""
        return self._lips[self._near(places)]

    def lifted(self, places: FloatArray, clearance: FloatArray) -> FloatArray:
        """Places (N, 3) moved out of the skin until they are `clearance` (N,) metres above it."""
        found = self._near(places)
        height = ((places - self._points[found]) * self._normals[found]).sum(1)
        return places + np.maximum(clearance - height, 0)[:, None] * self._normals[found]

    def _near(self, places: FloatArray) -> NDArray[np.integer]:
        return np.asarray(self._tree.query(places)[1])


def roots_on(
    shape: HeadShape, density: FloatArray, spacing: float, rng: np.random.Generator
) -> SurfacePoints:
    """Evenly spread roots on the rig's skin, thinned out where the density falls off.

    density: (V,) in [0, 1]; spacing: metres where it is 1.
    """
    rows = shape.skin_rows[density[shape.skin_triangles].max(1) > 0.02]
    points = poisson_disk(
        shape.vertices, shape.avatar.rig.triangles[rows], np.full(len(rows), spacing), rng=rng
    )
    keep = rng.random(len(points)) < points.interpolate(density, shape.avatar.rig.triangles[rows])
    return SurfacePoints(
        rows[points.triangle[keep]], points.barycentric[keep], points.spacing[keep]
    )


def grow(
    field: SkinField,
    roots: FloatArray,
    lengths: FloatArray,
    flow: Flow,
    style: StrandStyle,
    rng: np.random.Generator,
) -> FloatArray:
    """Strands from roots (N, 3) on the skin with lengths (N,), metres. Returns (N, steps + 1, 3)."""
    count = len(roots)
    lines = np.empty((count, style.steps + 1, 3))
    lines[:, 0] = roots
    step = (lengths / style.steps)[:, None]
    stray = 0.17 * rng.standard_normal((count, 3))
    for k in range(style.steps):
        here = lines[:, k]
        normal = field.normals(here)
        along = flow(field.on_template(here)) + stray
        along = normalized(along - (along * normal).sum(1, keepdims=True) * normal)
        share = k / style.steps
        steep = style.stand_off * (1 - 0.8 * share)
        turned = (1 - steep) * along + steep * normal
        turned[:, 1] -= style.gravity * share
        place = here + step * normalized(turned)
        lines[:, k + 1] = field.lifted(
            place, np.full(count, style.clearance * (k + 1) / style.steps)
        )
    if style.clump > 0 and count > 2 * style.clump_size:
        leaders = rng.choice(count, count // style.clump_size, replace=False)
        own = leaders[np.asarray(KDTree(roots[leaders]).query(roots)[1])]
        pull = style.clump * (np.arange(style.steps + 1) / style.steps) ** 1.5
        lines += pull[None, :, None] * (lines[own] - lines) * rng.uniform(0.5, 1, (count, 1, 1))
    if style.curl > 0:
        lines = _curled(lines, style, rng)
    flat = lines[:, 1:].reshape(-1, 3)
    lines[:, 1:] = field.lifted(flat, np.full(len(flat), 0.3 * style.clearance)).reshape(
        count, style.steps, 3
    )
    return lines


def _curled(lines: FloatArray, style: StrandStyle, rng: np.random.Generator) -> FloatArray:
    share = np.linspace(0, 1, style.steps + 1)
    direction = normalized(lines[:, -1] - lines[:, 0])
    across = normalized(np.cross(direction, rng.standard_normal(direction.shape)))
    other = np.cross(direction, across)
    angle = 2 * np.pi * style.turns * share * rng.uniform(0.7, 1.3, (len(lines), 1)) + rng.uniform(
        0, 2 * np.pi, (len(lines), 1)
    )
    wave = np.cos(angle)[..., None] * across[:, None] + np.sin(angle)[..., None] * other[:, None]
    return lines + style.curl * np.minimum(2 * share, 1)[None, :, None] * wave


def clear_of(
    lines: FloatArray, forbidden: BoolArray, *, least: float
) -> tuple[FloatArray, BoolArray]:
    """Strands shortened so that they end before the first forbidden point.

    lines: (N, K, 3); forbidden: (N, K). Returns the strands of all and (N,) those of which at least a share `least` is left.
    """
    steps = lines.shape[1] - 1
    first = np.where(forbidden.any(1), forbidden.argmax(1) - 1, steps)
    share = np.maximum(first, 0) / steps
    at = share[:, None] * np.arange(steps + 1)[None]
    below = np.minimum(at.astype(np.int64), steps - 1)
    part = (at - below)[..., None]
    rows = np.arange(len(lines))[:, None]
    return lines[rows, below] * (1 - part) + lines[rows, below + 1] * part, share >= least


def carriers(shape: HeadShape, lines: FloatArray, allowed: BoolArray) -> Int32Array:
    """The triangle of the rig on which each strand rides.

    A bound Gaussian can only point along its triangle or straight out of it, so of the triangles around the root the one is
    taken along whose plane the strand runs. lines: (N, K, 3); allowed: (V,) vertices of which a triangle may have its corners.
    """
    rows = shape.skin_rows[allowed[shape.skin_triangles].all(1)]
    corners = shape.vertices[shape.avatar.rig.triangles[rows]].astype(np.float64)
    normals = normalized(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    middles = corners.mean(1)
    distance, near = KDTree(middles).query(lines[:, 0], k=min(_CARRIER_CANDIDATES, len(rows)))
    direction = np.diff(lines, axis=1)
    share = (direction**2).sum(-1).sum(1)
    out = np.einsum("nkc,njc->nkj", direction, normals[near])
    cost = (distance / _CARRIER_REACH) ** 2 + 4 * (out**2).sum(1) / np.maximum(share, 1e-12)[
        :, None
    ]
    best = cost.argmin(1)
    return rows[np.take_along_axis(np.asarray(near), best[:, None], 1)[:, 0]].astype(np.int32)


def strand_gaussians(
    lines: FloatArray, radius: float, roots: FloatArray, tips: FloatArray, *, opacity: float
) -> Gaussians:
    """Chains of Gaussians along strands (N, K + 1, 3), strand after strand.

    radius: metres at the root; tips are half as thick; roots, tips: (N, 3) colours at both ends.
    """
    count, steps = len(lines), lines.shape[1] - 1
    share = (np.arange(steps) + 0.5) / steps
    colors = roots[:, None] * (1 - share)[None, :, None] + tips[:, None] * share[None, :, None]
    thick = np.tile(radius * (1 - 0.5 * share), count)
    fade = np.tile(opacity * (1 - 0.35 * share**2), count)
    return segments(
        lines[:, :-1].reshape(-1, 3),
        lines[:, 1:].reshape(-1, 3),
        thick,
        colors.reshape(-1, 3),
        opacity=fade,
    )
