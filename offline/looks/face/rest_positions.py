"""Positions of an avatar's Gaussians on the face at rest, and distances to polylines of landmarks."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.avatar import Avatar
from perse_live.head.expressions import expression
from perse_live.head.rig import HeadRig, Part, expressed


def surface_places(avatar: Avatar, vertices: FloatArray) -> Float32Array:
    """Positions (S, 3) of the surface Gaussians for rig vertices (V, 3), without their height above the surface; metres."""
    surface = avatar.surface
    v0, v1, v2 = (vertices[avatar.rig.triangles[surface.triangles, corner]] for corner in range(3))
    places = v0 + surface.positions[:, 0:1] * (v1 - v0) + surface.positions[:, 1:2] * (v2 - v0)
    return places.astype(np.float32)


def places_at_rest(avatar: Avatar) -> Float32Array:
    """Positions of all Gaussians at rest, (G, 3) metres, head frame."""
    return np.concatenate([surface_places(avatar, avatar.rig.vertices), avatar.rigid.means])


def on_part(avatar: Avatar, *parts: Part) -> BoolArray:
    """(G,) mask of Gaussians bound to triangles of the given parts."""
    return np.concatenate(
        [
            np.isin(avatar.rig.parts[avatar.surface.triangles], parts),
            np.zeros(len(avatar.rigid.means), np.bool_),
        ]
    )


def eyes_closed(rig: HeadRig) -> Float32Array:
    """The rig's vertices (V, 3) with both eyes closed, where the upper lids are spread out."""
    return expressed(rig, expression(eyeBlinkLeft=1.0, eyeBlinkRight=1.0))


def landmarks_on(avatar: Avatar, vertices: FloatArray) -> Float32Array:
    """MediaPipe's landmarks (478, 3) for rig vertices (V, 3)."""
    corners = vertices[avatar.landmarks.vertex_ids]
    return (corners * avatar.landmarks.barycentrics[:, :, None]).sum(1).astype(np.float32)


def along_line(points: FloatArray, line: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Nearest point of a polyline: distance (N,), and relative arc length (N,) in [0, 1].

    points: (N, D); line: (K, D).
    """
    steps = np.diff(line, axis=0)
    lengths = np.maximum(np.linalg.norm(steps, axis=1), 1e-9)
    start = np.r_[0, np.cumsum(lengths)]
    best, place = np.full(len(points), np.inf), np.zeros(len(points))
    for k, step in enumerate(steps):
        share = np.clip((points - line[k]) @ step / lengths[k] ** 2, 0, 1)
        distance = np.linalg.norm(points - line[k] - share[:, None] * step, axis=1)
        nearer = distance < best
        best = np.where(nearer, distance, best)
        place = np.where(nearer, (start[k] + share * lengths[k]) / start[-1], place)
    return best, place


def height_over(line: FloatArray, points: FloatArray) -> FloatArray:
    """Height (N,) of points (N, 2+) over a polyline (K, 2+) at their x; beyond its ends, over the nearer end."""
    order = np.argsort(line[:, 0])
    return points[:, 1] - np.interp(points[:, 0], line[order, 0], line[order, 1])


def depth_inside(points: FloatArray, polygon: FloatArray) -> FloatArray:
    """Signed distance (N,) of points (N, 2) to a closed polygon (K, 2); positive inside."""
    distance, _ = along_line(points, np.concatenate([polygon, polygon[:1]]))
    x, y = points[:, 0], points[:, 1]
    inside = np.zeros(len(points), np.bool_)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        crosses = (y0 > y) != (y1 > y)
        inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0 if y1 != y0 else 1e-12) + x0)
    return np.where(inside, distance, -distance)
