"""The obvious way to pose an avatar, in float64: what the fast one is compared with."""

from __future__ import annotations

import numpy as np

from perse_live.animate import BACK_FACING, HeadPose, RigidBinding, SurfaceBinding
from perse_live.arrays import FloatArray
from perse_live.gaussians import Gaussians
from perse_live.head.rig import HeadRig
from perse_live.rotations import to_matrix, to_quat


def covariances(gaussians: Gaussians) -> FloatArray:
    """(G, 3, 3): all that quaternions and scales mean."""
    axes = to_matrix(gaussians.quats.astype(np.float64)) * gaussians.scales[:, None].astype(
        np.float64
    )
    return axes @ axes.transpose(0, 2, 1)


def part_way(weights: FloatArray, pose: HeadPose) -> FloatArray:
    """Rotations (N, 3, 3) from the head frame to the camera frame of points that follow the head by weights (N,)."""
    relative = to_quat(pose.R_cam_head.astype(np.float64) @ pose.R_cam_body.astype(np.float64).T)
    relative = relative * np.sign(relative[0])
    still = np.array([1.0, 0, 0, 0])
    return to_matrix(still + weights[:, None] * (relative - still)) @ pose.R_cam_body


def posed_points(
    points: FloatArray, weights: FloatArray, rig: HeadRig, pose: HeadPose
) -> FloatArray:
    """Points (N, 3) of the head frame in the camera frame."""
    pivot = pose.R_cam_head @ rig.neck_pivot + pose.t_cam_head
    return (
        np.einsum("nij,nj->ni", part_way(weights, pose), points - rig.neck_pivot.astype(np.float64))
        + pivot
    )


def posed_surface(
    vertices: FloatArray, rig: HeadRig, surface: SurfaceBinding, opacities: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Means (S, 3), covariances (S, 3, 3) and opacities (S,), one Gaussian after the other."""
    means, covs, seen = [], [], []
    for triangle, (b1, b2, lift), (p1, p2, q1, q2), thick, both, opacity in zip(
        surface.triangles,
        surface.positions,
        surface.axes,
        surface.thickness,
        surface.two_sided,
        opacities,
        strict=True,
    ):
        a, b, c = vertices[rig.triangles[triangle]].astype(np.float64)
        e1, e2 = b - a, c - a
        n = np.cross(e1, e2) / np.linalg.norm(np.cross(e1, e2))
        mean = a + b1 * e1 + b2 * e2 + lift * n
        u = p1 * e1 + p2 * e2
        along = u / np.linalg.norm(u)
        across = np.cross(n, along)
        width = abs(across @ (q1 * e1 + q2 * e2))
        covs.append(
            np.outer(u, u) + width**2 * np.outer(across, across) + thick**2 * np.outer(n, n)
        )
        means.append(mean)
        seen.append(0.0 if not both and n @ mean > BACK_FACING * np.linalg.norm(mean) else opacity)
    return np.array(means), np.array(covs), np.array(seen)


def posed_rigid(rig: HeadRig, rigid: RigidBinding, pose: HeadPose) -> tuple[FloatArray, FloatArray]:
    """Means (R, 3) and covariances (R, 3, 3)."""
    turns = part_way(rigid.head_weights.astype(np.float64), pose)
    axes = (
        turns @ to_matrix(rigid.quats.astype(np.float64)) * rigid.scales[:, None].astype(np.float64)
    )
    return posed_points(rigid.means, rigid.head_weights, rig, pose), axes @ axes.transpose(0, 2, 1)
