"""`animate` in torch: from Gaussians at rest and a motion to posed ones, as `perse_live.animator.Animator` does it.

Vectors are (B, 3, N), quaternions wxyz (B, 4, N): every step is one operation over long rows, which is what graph runtimes are
good at, and few steps make few kernels. Products of small matrices are written as sums, not as matrix products: TensorRT for
RTX has none in single precision for Turing GPUs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from export.graphs.constants import Formula
from perse_live.head.rig import EYES, HeadRig, vertices_of

_TINY = 1e-12
_LEAST = 2e-5  # metres, as in `perse_live.animate`


class Animate(Formula):
    """One rig's posing; inputs and outputs as `perse_live.graphs` names them."""

    def __init__(self, rig: HeadRig) -> None:
        super().__init__()
        self.constant("actions", rig.actions.transpose(0, 2, 1).reshape(len(rig.actions), -1))  # (52, 3 V)
        # all first corners, then all second, then all third
        self.constant("corners", rig.triangles.T.reshape(-1).astype(np.int64))
        self.constant("head_weights", rig.head_weights)
        self.constant("left_eyeball", vertices_of(rig, EYES[0]))
        self.constant("right_eyeball", vertices_of(rig, EYES[1]))
        self.constant("eye_centers", rig.eye_centers[:, :, None])
        self.constant("pivot", rig.neck_pivot[:, None])
        self.constant("next", np.array([1, 2, 0]))
        self.constant("after", np.array([2, 0, 1]))
        self.constant("product_order", np.array([[1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]))
        self.constant("product_signs", np.array([[-1, 1, -1, 1], [-1, 1, 1, -1], [-1, -1, 1, 1]], np.float32)[:, :, None])
        self.constant("square_signs", np.array([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]], np.float32)[:, :, None])
        self.constant("above", np.array([7, 2, 3]))  # entries of a matrix row by row, and those across its diagonal
        self.constant("below", np.array([5, 6, 1]))
        self.constant("candidates", np.array([[0, 4, 5, 6], [4, 1, 9, 8], [5, 9, 2, 7], [6, 8, 7, 3]]))

    def forward(self, expression: Tensor, gaze: Tensor, R_cam_head: Tensor, t_cam_head: Tensor, R_cam_body: Tensor,
                residual: Tensor, vertices: Tensor, surface_positions: Tensor, surface_axes: Tensor, surface_opacities: Tensor,
                surface_colors: Tensor, rigid_means: Tensor, rigid_scales: Tensor, rigid_opacities: Tensor, rigid_colors: Tensor,
                surface_triangles: Tensor, surface_thickness: Tensor, surface_facing_limits: Tensor, rigid_quats: Tensor,
                rigid_head_weights: Tensor, spread: Tensor, spread_rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Means, quats, scales, opacities, colors."""
        batch = expression.shape[0]
        place = vertices.T + (expression @ self.actions).reshape(batch, 3, -1)
        turns = _gaze_rotations(gaze)
        place = torch.where(self.left_eyeball, _turned(turns[:, 0], place - self.eye_centers[0]) + self.eye_centers[0], place)
        place = torch.where(self.right_eyeball, _turned(turns[:, 1], place - self.eye_centers[1]) + self.eye_centers[1], place)
        place = place + (residual.transpose(1, 2) @ spread).index_select(2, spread_rows)

        relative = self._relative_turn(R_cam_head, R_cam_body)
        posed_pivot = _turned(R_cam_head, self.pivot[None]) + t_cam_head[:, :, None]
        from_neck = _turned(R_cam_body, place - self.pivot)
        posed = self._rotated(_share_of(relative, self.head_weights), from_neck) + posed_pivot
        means, quats, scales, shown = self._on_surface(posed, surface_positions.T, surface_axes.T, surface_triangles,
                                                       surface_thickness, surface_facing_limits)

        turn = self._times(_share_of(relative, rigid_head_weights), self._quat_of(R_cam_body.reshape(batch, 9, 1)))
        free_means = self._rotated(turn, (rigid_means.T - self.pivot)[None]) + posed_pivot
        free_quats = self._times(turn, rigid_quats.T[None])
        every = torch.ones_like(free_means)
        return (torch.cat([means, free_means], 2).transpose(1, 2), torch.cat([quats, free_quats], 2).transpose(1, 2),
                torch.cat([scales, rigid_scales.T * every], 2).transpose(1, 2),
                torch.cat([surface_opacities * shown, rigid_opacities * every[:, 0]], 1),
                torch.cat([surface_colors, rigid_colors], 0))

    def _on_surface(self, vertices: Tensor, positions: Tensor, axes: Tensor, triangles: Tensor, thickness: Tensor,
                    facing_limits: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Means, quats and scales of what rides on triangles, and 1 where it is shown, 0 where it faces away."""
        v0, v1, v2 = vertices.index_select(2, self.corners).chunk(3, 2)
        e1, e2 = v1 - v0, v2 - v0
        normal = self._cross(e1, e2)
        normal = normal / (_dot(normal, normal) + _TINY * _TINY).sqrt()
        frames = torch.cat([v0, e1, e2, normal], 1).transpose(1, 2)
        v0, e1, e2, normal = frames.index_select(1, triangles).transpose(1, 2).chunk(4, 1)
        means = v0 + positions[0] * e1 + positions[1] * e2 + positions[2] * normal
        first, second = axes[0] * e1 + axes[1] * e2, axes[2] * e1 + axes[3] * e2
        size = (_dot(first, first) + _TINY).sqrt()
        first = first / size
        across = self._cross(normal, first)
        quats = self._quat_of(torch.stack([first, across, normal], 2).flatten(1, 2))
        lengths = torch.cat([size, _dot(across, second).abs()], 1).clamp(min=_LEAST)
        scales = torch.cat([lengths, thickness * torch.ones_like(size)], 1)
        away = (_dot(normal, means) > facing_limits * _dot(means, means).sqrt())[:, 0]
        return means, quats, scales, torch.where(away, torch.zeros_like(size[:, 0]), torch.ones_like(size[:, 0]))

    def _relative_turn(self, R_cam_head: Tensor, R_cam_body: Tensor) -> Tensor:
        """From the body's rotation to the head's, w >= 0; (B, 4, 1)."""
        turn = self._quat_of(_turned(R_cam_head, R_cam_body.transpose(1, 2)).flatten(1, 2)[:, :, None])
        return torch.where(turn[:, :1] < 0, -turn, turn)

    def _quat_of(self, matrices: Tensor) -> Tensor:
        """Unit quaternions of rotation matrices (B, 9, N), by the largest of four candidates (Shepperd 1978)."""
        signs = self.square_signs
        squares = 1 + signs[0] * matrices[:, :1] + signs[1] * matrices[:, 4:5] + signs[2] * matrices[:, 8:]
        above, below = matrices.index_select(1, self.above), matrices.index_select(1, self.below)
        parts = torch.cat([squares, above - below, above + below], 1)
        of_w, of_x, of_y, of_z = (parts.index_select(1, self.candidates[k]) for k in range(4))
        ww, xx, yy, zz = of_w[:, :1], of_x[:, 1:2], of_y[:, 2:3], of_z[:, 3:]
        by_y_or_z = torch.where(yy >= zz, of_y, of_z)
        by_xyz = torch.where(xx >= torch.maximum(yy, zz), of_x, by_y_or_z)
        chosen = torch.where(ww >= torch.maximum(torch.maximum(xx, yy), zz), of_w, by_xyz)
        return chosen / _dot(chosen, chosen).sqrt()

    def _times(self, first: Tensor, second: Tensor) -> Tensor:
        """Hamilton products of (B, 4, N): the rotation `second`, then `first`."""
        out = first[:, :1] * second
        for k in range(3):
            out = out + first[:, k + 1:k + 2] * (self.product_signs[k] * second.index_select(1, self.product_order[k]))
        return out

    def _rotated(self, turns: Tensor, vectors: Tensor) -> Tensor:
        """Vectors (B, 3, N) turned by unit quaternions (B, 4, N)."""
        axis = turns[:, 1:]
        once = 2 * self._cross(axis, vectors)
        return vectors + turns[:, :1] * once + self._cross(axis, once)

    def _cross(self, a: Tensor, b: Tensor) -> Tensor:
        return (a.index_select(1, self.next) * b.index_select(1, self.after)
                - a.index_select(1, self.after) * b.index_select(1, self.next))


def _gaze_rotations(gaze: Tensor) -> Tensor:
    """As `perse_live.head.rig.gaze_rotation`; (B, 2, 3, 3)."""
    cosine, sine = gaze.cos(), gaze.sin()
    cy, cp, sy, sp = cosine[..., 0], cosine[..., 1], sine[..., 0], sine[..., 1]
    entries = [cy, -sy * sp, sy * cp, torch.zeros_like(cy), cp, sp, -sy, -cy * sp, cy * cp]
    return torch.stack(entries, 2).unflatten(2, (3, 3))


def _share_of(turn: Tensor, weights: Tensor) -> Tensor:
    """Shares (N,) of a rotation (B, 4, 1), by normalised interpolation from the identity; (B, 4, N)."""
    parts = torch.cat([1 + weights * (turn[:, :1] - 1), weights * turn[:, 1:]], 1)
    return parts / _dot(parts, parts).sqrt()


def _turned(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Vectors (B, 3, N) turned by matrices (B, 3, 3)."""
    return (matrices[:, :, :, None] * vectors[:, None]).sum(2)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(1, keepdim=True)
