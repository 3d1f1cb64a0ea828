"""From an expression and a head pose to posed Gaussians: blendshapes, neck blend, triangle frames.

Two steps, each with a fast kernel: `pose_vertices` moves the rig, `pose_gaussians` moves what is bound to it. Both give the
camera frame, ready for splatting. Where one avatar is posed frame after frame, `perse_live.animator` is quicker.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from perse_live.arrays import Float32Array, FloatArray, Int32Array, UInt8Array
from perse_live.gaussians import Gaussians
from perse_live.head.rig import HeadRig, expressed
from perse_live.jit import inline_kernel, kernel
from perse_live.rotations import to_matrix, to_quat
from perse_live.team import team_of

_SHARE = 8192  # Gaussians per unit of work of a thread
BACK_FACING = 0.25
"""Cosine between a Gaussian's normal and the line of sight beyond which it is taken to face away and is not drawn."""


@dataclass(frozen=True)
class SurfaceBinding:
    """S Gaussians bound to triangles of the rig.

    With corners v0, v1, v2, edges e1 = v1 - v0, e2 = v2 - v0 and unit normal n, a Gaussian sits at v0 + b1 e1 + b2 e2 + lift n.
    Its two in-plane standard-deviation vectors are linear in the edges too, so that it stretches with the skin (the idea of
    triangle-bound splats: SplattingAvatar, CVPR 2024; GaussianAvatars, CVPR 2024; the stretch of both axes is ours).
    """

    triangles: Int32Array
    """(S,) row of the rig's triangle list."""
    positions: Float32Array
    """(S, 3) b1, b2 and lift (metres); b1, b2 may lie outside the triangle."""
    axes: Float32Array
    """(S, 4) p1, p2, q1, q2: the axes are p1 e1 + p2 e2 and q1 e1 + q2 e2, one standard deviation long."""
    thickness: Float32Array
    """(S,) standard deviation along the normal, metres."""
    two_sided: UInt8Array
    """(S,) 1 where the Gaussian is drawn from behind as well."""


@dataclass(frozen=True)
class RigidBinding:
    """R Gaussians that follow the skull, the neck or the shoulders without deforming: hair, ears' rims, clothes."""

    means: Float32Array
    """(R, 3) metres, head frame at the photo's pose."""
    quats: Float32Array
    """(R, 4) wxyz, unit length."""
    scales: Float32Array
    """(R, 3) metres."""
    head_weights: Float32Array
    """(R,) 1: turns with the head; 0: stays with the shoulders."""


@dataclass(frozen=True)
class HeadPose:
    """Pose of the head and rotation of the shoulders, in the camera frame."""

    R_cam_head: Float32Array
    """(3, 3) rotation from the head frame to the camera frame."""
    t_cam_head: Float32Array
    """(3,) metres: the head frame's origin in the camera frame."""
    R_cam_body: Float32Array
    """(3, 3) rotation of the shoulders (head weight 0) to the camera frame; equal to `R_cam_head` in the photo."""


def pose_vertices(
    rig: HeadRig,
    expression: FloatArray,  # (52,)
    gaze: FloatArray,  # (2, 2) radians, yaw and pitch of the subject's left and right eye
    pose: HeadPose,
    *,
    offsets: Float32Array | None = None,  # (V, 3) metres, head frame
) -> Float32Array:
    """The rig's vertices under an expression, a gaze and a pose.

    `offsets` is added before posing (the landmark residual). Vertices of the neck turn about its pivot by a fraction of the
    rotation between shoulders and head (`HeadRig.head_weights`). Returns (V, 3) metres, camera frame.
    """
    vertices = expressed(rig, expression, gaze=gaze)
    if offsets is not None:
        vertices = vertices + offsets
    out = np.empty_like(vertices)
    pose_points(vertices, rig.head_weights, *neck_frame(pose, rig.neck_pivot), out)
    return out


def pose_gaussians(
    vertices: Float32Array,  # (V, 3) camera frame, as posed by `pose_vertices`
    rig: HeadRig,
    surface: SurfaceBinding,
    rigid: RigidBinding,
    opacities: Float32Array,  # (S + R,)
    colors: Float32Array,  # (S + R, 3)
    pose: HeadPose,
    *,
    threads: int = 1,
) -> Gaussians:
    """Gaussians in the camera frame: first the S bound to the surface, then the R rigid ones.

    Surface Gaussians that face away get opacity 0. `colors` is passed on, not copied.
    """
    count = len(opacities)
    out = PosedArrays(
        np.empty((count, 3), np.float32),
        np.empty((count, 4), np.float32),
        np.empty((count, 3), np.float32),
        opacities.copy(),
    )
    pose_into(out, vertices, rig, surface, rigid, neck_frame(pose, rig.neck_pivot), threads=threads)
    return Gaussians(*out, colors)


class PosedArrays(NamedTuple):
    """Output buffers of `pose_into`."""

    means: Float32Array
    """(G, 3)"""
    quats: Float32Array
    """(G, 4)"""
    scales: Float32Array
    """(G, 3)"""
    opacities: Float32Array
    """(G,) in: opacities; out: 0 for surface Gaussians that face away."""


class NeckFrame(NamedTuple):
    """A head pose in the form that the kernels use: body rotation, and relative rotation of the head about the neck's pivot."""

    body: Float32Array
    """(3, 3) R_cam_body."""
    relative: Float32Array
    """(4,) wxyz, w >= 0: rotation from the body to the head."""
    pivot: Float32Array
    """(3,) head frame."""
    posed_pivot: Float32Array
    """(3,) camera frame."""


def neck_frame(pose: HeadPose, pivot: FloatArray) -> NeckFrame:
    """A head pose about a neck's pivot, (3,) metres, head frame."""
    body = pose.R_cam_body.astype(np.float64)
    relative = to_quat(pose.R_cam_head.astype(np.float64) @ body.T)
    relative = np.where(relative[0] < 0, -relative, relative)
    posed_pivot = pose.R_cam_head.astype(np.float64) @ pivot + pose.t_cam_head
    return NeckFrame(
        *(np.ascontiguousarray(part, np.float32) for part in (body, relative, pivot, posed_pivot))
    )


def pose_into(
    out: PosedArrays,
    vertices: Float32Array,
    rig: HeadRig,
    surface: SurfaceBinding,
    rigid: RigidBinding,
    frame: NeckFrame,
    *,
    threads: int,
) -> None:
    """`pose_gaussians` into existing buffers."""
    bound, free = len(surface.triangles), len(rigid.means)
    shares = itertools.count()
    cut = -(-bound // _SHARE)
    last = cut + -(-free // _SHARE)

    def work(_: int) -> None:
        while (share := next(shares)) < last:
            if share < cut:
                _pose_surface(
                    share * _SHARE,
                    min((share + 1) * _SHARE, bound),
                    vertices,
                    rig.triangles,
                    surface.triangles,
                    surface.positions,
                    surface.axes,
                    surface.thickness,
                    surface.two_sided,
                    *out,
                )
            else:
                first = (share - cut) * _SHARE
                _pose_rigid(
                    first,
                    min(first + _SHARE, free),
                    bound,
                    rigid.means,
                    rigid.quats,
                    rigid.scales,
                    rigid.head_weights,
                    *frame,
                    out.means,
                    out.quats,
                    out.scales,
                )

    team_of(threads).run(work)


def bind_surface(
    gaussians: Gaussians,  # means on or near the surface; first two axes in it, the third along its normal
    triangles: Int32Array,  # (S,) rows of `rig_triangles`
    vertices: FloatArray,  # (V, 3) in the frame of the Gaussians
    rig_triangles: Int32Array,  # (T, 3)
    *,
    two_sided: UInt8Array,  # (S,)
) -> SurfaceBinding:
    """Express Gaussians in the frames of their triangles: the inverse of the posing step."""
    corners = vertices[rig_triangles[triangles]].astype(np.float64)
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normal = np.cross(e1, e2)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)

    def in_edges(vectors: FloatArray) -> FloatArray:
        g11, g12, g22 = (e1 * e1).sum(1), (e1 * e2).sum(1), (e2 * e2).sum(1)
        r1, r2 = (vectors * e1).sum(1), (vectors * e2).sum(1)
        determinant = np.maximum(g11 * g22 - g12 * g12, 1e-18)
        return np.stack(
            [(g22 * r1 - g12 * r2) / determinant, (g11 * r2 - g12 * r1) / determinant], 1
        )

    offset = gaussians.means - corners[:, 0]
    frames = to_matrix(gaussians.quats.astype(np.float64))
    axes = np.concatenate(
        [in_edges(frames[:, :, k] * gaussians.scales[:, k : k + 1]) for k in (0, 1)], 1
    )
    positions = np.concatenate([in_edges(offset), (offset * normal).sum(1, keepdims=True)], 1)
    return SurfaceBinding(
        triangles.astype(np.int32),
        positions.astype(np.float32),
        axes.astype(np.float32),
        gaussians.scales[:, 2].astype(np.float32),
        two_sided.astype(np.uint8),
    )


@inline_kernel
def _turn(weight: float, relative: Float32Array) -> tuple[float, float, float, float]:
    """A fraction of a rotation: normalised linear interpolation from the identity."""
    w = np.float32(1.0) + weight * (relative[0] - np.float32(1.0))
    x, y, z = weight * relative[1], weight * relative[2], weight * relative[3]
    scale = np.float32(1.0) / np.sqrt(w * w + x * x + y * y + z * z)
    return w * scale, x * scale, y * scale, z * scale


@inline_kernel
def _rotate(
    w: float, x: float, y: float, z: float, a: float, b: float, c: float
) -> tuple[float, float, float]:
    two = np.float32(2.0)
    p, q, r = two * (y * c - z * b), two * (z * a - x * c), two * (x * b - y * a)
    return a + w * p + y * r - z * q, b + w * q + z * p - x * r, c + w * r + x * q - y * p


@kernel
def pose_points(
    points: Float32Array,
    weights: Float32Array,
    body: Float32Array,
    relative: Float32Array,
    pivot: Float32Array,
    posed_pivot: Float32Array,
    out: Float32Array,
) -> None:
    """Points (N, 3) with head weights (N,) into the camera frame; the arrays between as in `NeckFrame`."""
    for i in range(len(points)):
        x, y, z = points[i, 0] - pivot[0], points[i, 1] - pivot[1], points[i, 2] - pivot[2]
        a = body[0, 0] * x + body[0, 1] * y + body[0, 2] * z
        b = body[1, 0] * x + body[1, 1] * y + body[1, 2] * z
        c = body[2, 0] * x + body[2, 1] * y + body[2, 2] * z
        qw, qx, qy, qz = _turn(weights[i], relative)
        a, b, c = _rotate(qw, qx, qy, qz, a, b, c)
        out[i, 0], out[i, 1], out[i, 2] = a + posed_pivot[0], b + posed_pivot[1], c + posed_pivot[2]


@kernel
def _pose_rigid(
    first: int,
    last: int,
    offset: int,
    rest_means: Float32Array,
    rest_quats: Float32Array,
    rest_scales: Float32Array,
    weights: Float32Array,
    body: Float32Array,
    relative: Float32Array,
    pivot: Float32Array,
    posed_pivot: Float32Array,
    means: Float32Array,
    quats: Float32Array,
    scales: Float32Array,
) -> None:
    bw, bx, by, bz = _quat_of(
        body[0, 0],
        body[0, 1],
        body[0, 2],
        body[1, 0],
        body[1, 1],
        body[1, 2],
        body[2, 0],
        body[2, 1],
        body[2, 2],
    )
    for i in range(first, last):
        x, y, z = (
            rest_means[i, 0] - pivot[0],
            rest_means[i, 1] - pivot[1],
            rest_means[i, 2] - pivot[2],
        )
        tw, tx, ty, tz = _turn(weights[i], relative)
        w = tw * bw - tx * bx - ty * by - tz * bz
        p = tw * bx + tx * bw + ty * bz - tz * by
        q = tw * by - tx * bz + ty * bw + tz * bx
        r = tw * bz + tx * by - ty * bx + tz * bw
        x, y, z = _rotate(w, p, q, r, x, y, z)
        k = offset + i
        means[k, 0], means[k, 1], means[k, 2] = (
            x + posed_pivot[0],
            y + posed_pivot[1],
            z + posed_pivot[2],
        )
        a, b, c, d = rest_quats[i, 0], rest_quats[i, 1], rest_quats[i, 2], rest_quats[i, 3]
        quats[k, 0] = w * a - p * b - q * c - r * d
        quats[k, 1] = w * b + p * a + q * d - r * c
        quats[k, 2] = w * c - p * d + q * a + r * b
        quats[k, 3] = w * d + p * c - q * b + r * a
        scales[k, 0], scales[k, 1], scales[k, 2] = (
            rest_scales[i, 0],
            rest_scales[i, 1],
            rest_scales[i, 2],
        )


@inline_kernel
def _quat_of(
    r00: float,
    r01: float,
    r02: float,
    r10: float,
    r11: float,
    r12: float,
    r20: float,
    r21: float,
    r22: float,
) -> tuple[float, float, float, float]:
    """Quaternion of a rotation matrix, not normalised (the splatter does that), by the largest candidate."""
    one = np.float32(1.0)
    ww, xx, yy, zz = (
        one + r00 + r11 + r22,
        one + r00 - r11 - r22,
        one - r00 + r11 - r22,
        one - r00 - r11 + r22,
    )
    if ww >= xx and ww >= yy and ww >= zz:
        w, x, y, z = ww, r21 - r12, r02 - r20, r10 - r01
    elif xx >= yy and xx >= zz:
        w, x, y, z = r21 - r12, xx, r10 + r01, r02 + r20
    elif yy >= zz:
        w, x, y, z = r02 - r20, r10 + r01, yy, r21 + r12
    else:
        w, x, y, z = r10 - r01, r02 + r20, r21 + r12, zz
    scale = one / np.sqrt(w * w + x * x + y * y + z * z)
    return w * scale, x * scale, y * scale, z * scale


@kernel
def _pose_surface(
    first: int,
    last: int,
    vertices: Float32Array,
    rig_triangles: Int32Array,
    triangles: Int32Array,
    positions: Float32Array,
    axes: Float32Array,
    thickness: Float32Array,
    two_sided: UInt8Array,
    means: Float32Array,
    quats: Float32Array,
    scales: Float32Array,
    opacities: Float32Array,
) -> None:
    tiny = np.float32(1e-12)
    one = np.float32(1.0)
    # Metres; minimum scale, so that the inverse covariance of a degenerate splat stays finite
    least = np.float32(2e-5)
    for i in range(first, last):
        t = triangles[i]
        v0, v1, v2 = rig_triangles[t, 0], rig_triangles[t, 1], rig_triangles[t, 2]
        x0, y0, z0 = vertices[v0, 0], vertices[v0, 1], vertices[v0, 2]
        ax, ay, az = vertices[v1, 0] - x0, vertices[v1, 1] - y0, vertices[v1, 2] - z0
        bx, by, bz = vertices[v2, 0] - x0, vertices[v2, 1] - y0, vertices[v2, 2] - z0
        nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        length = one / np.sqrt(nx * nx + ny * ny + nz * nz + tiny * tiny)
        nx, ny, nz = nx * length, ny * length, nz * length
        b1, b2, lift = positions[i, 0], positions[i, 1], positions[i, 2]
        mx, my, mz = (
            x0 + b1 * ax + b2 * bx + lift * nx,
            y0 + b1 * ay + b2 * by + lift * ny,
            z0 + b1 * az + b2 * bz + lift * nz,
        )
        means[i, 0], means[i, 1], means[i, 2] = mx, my, mz
        p1, p2, q1, q2 = axes[i, 0], axes[i, 1], axes[i, 2], axes[i, 3]
        ux, uy, uz = p1 * ax + p2 * bx, p1 * ay + p2 * by, p1 * az + p2 * bz
        wx, wy, wz = q1 * ax + q2 * bx, q1 * ay + q2 * by, q1 * az + q2 * bz
        s0 = np.sqrt(ux * ux + uy * uy + uz * uz + tiny)
        inverse = one / s0
        ux, uy, uz = ux * inverse, uy * inverse, uz * inverse
        # second axis: n x u; the shear of the pair is dropped (QR decomposition without its off-diagonal)
        vx, vy, vz = ny * uz - nz * uy, nz * ux - nx * uz, nx * uy - ny * ux
        s1 = abs(vx * wx + vy * wy + vz * wz)
        quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3] = _quat_of(
            ux, vx, nx, uy, vy, ny, uz, vz, nz
        )
        scales[i, 0], scales[i, 1], scales[i, 2] = max(s0, least), max(s1, least), thickness[i]
        if two_sided[i] == 0 and nx * mx + ny * my + nz * mz > np.float32(BACK_FACING) * np.sqrt(
            mx * mx + my * my + mz * mz
        ):
            opacities[i] = np.float32(0.0)
