"""Points of a look on the face that a data set tracks in 3D: what they move with is known from where they were in frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import KDTree

from offline.dataset.layout import DatasetFrame
from offline.dataset.tracks import PointTracks, in_head_frame
from offline.images import strand_direction
from offline.looks.assembly import flat
from offline.training.posed_avatar import PosedAvatar, SeenFrame
from offline.training.unprojection import (
    HAIR_SLOTS,
    START_OPACITY,
    STRAND,
    STRAND_SIGMA,
    Points,
)
from perse_live.animate import bind_surface, pose_gaussians, pose_vertices
from perse_live.arrays import FloatArray, Int32Array
from perse_live.attributes import nothing_added
from perse_live.avatar import Avatar, corrected
from perse_live.head.rig import Part

_CANDIDATES = 64  # triangles nearest to a point at rest, to one of which it is bound
_NEIGHBOURS = 3  # as 3D Gaussian Splatting (Kerbl et al. 2023) takes initial scales from
_COVERAGE = 0.4  # standard deviation over the mean distance of neighbours
_PICTURES = 16  # from which the directions of strands are taken
_AT_SURFACE = 0.003  # metres from the surface that a picture shows, within which a point is seen
_SIZES = (0.0003, 0.003)  # metres, least and largest standard deviation


def tracked_points(
    avatar: Avatar,
    slot: str,
    tracks: PointTracks,
    frames: Sequence[DatasetFrame],
    seen: Sequence[SeenFrame],
) -> Points:
    """The points of a look on the face, each bound to the triangle of the rig with which it comes nearest to its track.

    frames: those of `PointTracks.timesteps`; their pictures are not looked at. seen: pictures that tell how strands lie.
    """
    rig, count = avatar.rig, len(tracks.positions)
    colors = (tracks.colors / np.float32(255)).astype(np.float32)
    apart = KDTree(tracks.positions).query(tracks.positions, k=min(_NEIGHBOURS + 1, count))[0]
    sizes = np.clip(_COVERAGE * apart.reshape(count, -1).sum(1) / _NEIGHBOURS, *_SIZES)
    triangles = _triangles(avatar, tracks, frames)

    def bound(along: FloatArray | None) -> Points:
        sigma = sizes if along is None else sizes[:, None] * (STRAND, 1 / STRAND)
        shaped = flat(
            tracks.positions, tracks.normals, sigma, colors, opacity=START_OPACITY, along=along
        )
        both = np.ones(count, np.uint8)
        surface = bind_surface(shaped, triangles, rig.vertices, rig.triangles, two_sided=both)
        ones, zeros = np.ones(count, np.float32), np.zeros(count, np.int32)
        return Points(surface, nothing_added().rigid, colors, ones, zeros)

    points = bound(None)
    return bound(_strand_directions(avatar, points, seen)) if slot in HAIR_SLOTS else points


def _strand_directions(avatar: Avatar, points: Points, seen: Sequence[SeenFrame]) -> FloatArray:
    """(N, 3) unit, head frame: the main direction of fine lines in the pictures that show a point, across their lines of sight.

    Of points that no picture shows any direction.
    """
    sums = np.zeros((len(points.colors), 3, 3))
    for one in seen[:: max(len(seen) // _PICTURES, 1)]:
        if one.depth is None:
            continue
        view = PosedAvatar(avatar, one.frame)
        means = view.posed(avatar, points.surface, points.rigid)
        columns, rows, on = view.pixels(means)
        shown = on & (np.abs(means[:, 2] - one.depth[rows, columns]) < _AT_SURFACE)
        lines = np.zeros((shown.sum(), 3))
        flow = strand_direction(one.frame.image, STRAND_SIGMA)
        lines[:, :2] = flow[rows[shown], columns[shown]]
        lines = lines @ one.frame.pose.R_cam_head
        sums[shown] += lines[:, :, None] * lines[:, None]
    return np.linalg.eigh(sums)[1][:, :, -1]


def _triangles(avatar: Avatar, tracks: PointTracks, frames: Sequence[DatasetFrame]) -> Int32Array:
    """(N,) the triangle that each point moves with: not always the nearest, as the tips of a beard move with their roots."""
    rig, count = avatar.rig, len(tracks.positions)
    skin = np.nonzero(rig.parts == Part.SKIN)[0]
    tried = min(_CANDIDATES, len(skin))
    centres = KDTree(rig.vertices[rig.triangles[skin]].mean(1))
    near = skin[centres.query(tracks.positions, k=tried)[1]].reshape(count, tried)
    places, normals, colors = (
        np.repeat(array, tried, 0)
        for array in (tracks.positions, tracks.normals, tracks.colors.astype(np.float32))
    )
    shaped = flat(places, normals, _SIZES[0], colors, opacity=1.0)
    both = np.ones(len(places), np.uint8)
    bound = bind_surface(shaped, near.reshape(-1), rig.vertices, rig.triangles, two_sided=both)
    costs = np.zeros((count, tried))
    none = nothing_added().rigid
    for frame, track in zip(frames, tracks.tracks, strict=True):
        pose = in_head_frame(frame.pose)
        moved = corrected(avatar, frame.expression, frame.gaze).rig
        vertices = pose_vertices(moved, frame.expression, frame.gaze, pose)
        posed = pose_gaussians(vertices, moved, bound, none, shaped.opacities, colors, pose)
        costs += ((posed.means.reshape(count, tried, 3) - track[:, None]) ** 2).sum(2)
    return near[np.arange(count), costs.argmin(1)].astype(np.int32)
