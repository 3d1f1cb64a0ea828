"""Drift: colour difference between the half of the face that the photo hardly shows and the half that it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perse_live.arrays import FloatArray, Int64Array
from perse_live.avatar import Avatar
from perse_live.evaluation.portraits.views import View, eye_distance, lab_of, rest_places, share_of
from perse_live.head.rig import surface_triangles
from perse_live.raster import interpolate, vertex_normals
from perse_live.regions import Region
from perse_live.srgb import to_linear, to_srgb

_CELL = 0.15  # eye distances, side of the cells in which colours are averaged
_FEWEST = 30  # pixels that both cells of a pair need in all views together
_SKIN, _OPAQUE = 0.9, 0.9
_RIDGE = 1e-2  # of the light's fit, against pixels of pairs of which the photo shows both cells, per pixel of all pairs
_ROOM = 1 << 10  # cells along an axis that a key has room for
_DARKEST = 1e-3  # linear light that darker colours count as


def drift(avatar: Avatar, views: Sequence[View], photo: View) -> float:
    """The colour difference between the far and the near half that light does not explain, Delta E, root mean square.

    The skin is averaged in cells of 0.15 eye distances (at rest, over all views), and each cell compared with its mirror image.
    A pair counts by how much less of one cell the photo shows than of the other: 0 for a face seen from the front, 1 where one
    half is invented. Light is smooth: it may make one half brighter or warmer, in the logarithm of linear colour, by an odd
    function of the normal of second order (n_x, n_x n_y, n_x n_z: the part of the spherical harmonics that differs between the
    halves, Ramamoorthi and Hanrahan 2001). It is fitted by least squares to the pairs of which the photo shows both cells. What
    is compared is one cell with the other under its light.
    """
    cells, seen = _cells(avatar, views), _cells(avatar, [photo])
    largest = np.max([_cells(avatar, [one]).counts_of(cells.keys) for one in views], 0)
    shown = np.minimum(seen.counts_of(cells.keys) / np.maximum(largest, 1), 1.0)
    right = np.flatnonzero(cells.keys % 2 == 1)  # x > 0
    left = np.minimum(np.searchsorted(cells.keys, cells.keys[right] - 1), len(cells.keys) - 1)
    paired = (cells.keys[left] == cells.keys[right] - 1) & (
        np.minimum(cells.counts[left], cells.counts[right]) >= _FEWEST
    )
    left, right = left[paired], right[paired]
    if not len(right):
        return 0.0
    weights = np.minimum(cells.counts[left], cells.counts[right]).astype(np.float64)
    unequal = weights * np.abs(shown[left] - shown[right])
    normal = cells.normals[right] + cells.normals[left] * (-1.0, 1.0, 1.0)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    odd = np.stack([normal[:, 0], normal[:, 0] * normal[:, 1], normal[:, 0] * normal[:, 2]], 1)
    known = (weights * np.minimum(shown[left], shown[right]))[:, None]
    equations = odd.T @ (odd * known) + np.eye(3) * _RIDGE * weights.sum()
    logarithm = np.log(np.maximum(cells.linear, _DARKEST))
    light = odd @ np.linalg.solve(equations, odd.T @ (known * (logarithm[right] - logarithm[left])))
    expected = to_srgb(cells.linear[left] * np.exp(light))
    apart = np.linalg.norm(lab_of(to_srgb(cells.linear[right])) - lab_of(expected), axis=1)
    return float(np.sqrt((unequal * apart**2).sum() / weights.sum()))


@dataclass(frozen=True, eq=False)
class _Cells:
    """Means of the skin in cells of the head; a cell's key is odd for x > 0, and its mirror image's key is smaller by 1."""

    keys: Int64Array
    """(C,) growing."""
    counts: Int64Array
    """(C,) pixels."""
    linear: FloatArray
    """(C, 3) linear light."""
    normals: FloatArray
    """(C, 3) at rest, head frame, not of unit length."""

    def counts_of(self, keys: Int64Array) -> Int64Array:
        """(N,) pixels of the cells with these keys, 0 where there is none."""
        if not len(self.keys):
            return np.zeros(len(keys), np.int64)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.counts[at], 0)


def _cells(avatar: Avatar, views: Sequence[View]) -> _Cells:
    keys, values = list[Int64Array](), list[FloatArray]()
    normals = vertex_normals(avatar.rig.vertices, surface_triangles(avatar.rig))
    for one in views:
        skin = (
            one.mesh.covered & (one.alpha > _OPAQUE) & (share_of(avatar, one, Region.SKIN) > _SKIN)
        )
        places = rest_places(avatar, one)[skin] / (_CELL * eye_distance(avatar))
        across, up, ahead = (
            np.floor([np.abs(places[:, 0]), places[:, 1], places[:, 2]]).astype(np.int64)
            + _ROOM // 2
        )
        keys.append(((across * _ROOM + up) * _ROOM + ahead) * 2 + (places[:, 0] > 0))
        turned = interpolate(normals, avatar.rig.triangles[one.triangles], one.mesh)[skin]
        values.append(np.concatenate([to_linear(one.color[skin].astype(np.float64)), turned], 1))
    found, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    everything = np.concatenate(values)
    counts = np.bincount(inverse, minlength=len(found))
    sums = np.stack([np.bincount(inverse, everything[:, k], len(found)) for k in range(6)], 1)
    means = sums / np.maximum(counts, 1)[:, None]
    return _Cells(found, counts, means[:, :3], means[:, 3:])
