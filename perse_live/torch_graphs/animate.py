"""`animate` in torch: from Gaussians at rest and a motion to posed ones, as `perse_live.animator.Animator` does it.

Vectors and quaternions are tuples of components, each (B, N). So every step is one operation over long rows, which compilers
fuse into few kernels; where components are rows of one tensor and picked by gathers, TensorRT for RTX computes what leads to
them again for each, and an engine has 118 MB instead of 37. Products of small matrices are written out, as it has none in single
precision for Turing GPUs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from perse_live.engines.graphs import CORRECTIONS
from perse_live.head.rig import EYES, HeadRig, vertices_of
from perse_live.torch_graphs.formula import Formula

Vector = tuple[Tensor, Tensor, Tensor]
Quaternion = tuple[Tensor, Tensor, Tensor, Tensor]

_TINY = 1e-12
_LEAST = 2e-5  # metres, as in `perse_live.animate`


class Animate(Formula):
    """One rig's posing; inputs and outputs as `perse_live.engines.graphs` names them."""

    def __init__(self, rig: HeadRig) -> None:
        super().__init__()
        # (52, 3 V)
        self.constant("actions", rig.actions.transpose(0, 2, 1).reshape(len(rig.actions), -1))
        for number, ids in enumerate(rig.triangles.T):
            self.constant(f"corner{number}", ids.astype(np.int64))
        self.constant("head_weights", rig.head_weights)
        for number, part in enumerate(EYES):
            self.constant(f"eyeball{number}", vertices_of(rig, part))
        self._eye_centers = [[float(x) for x in center] for center in rig.eye_centers]
        self._pivot = [float(x) for x in rig.neck_pivot]

    def forward(
        self,
        expression: Tensor,
        gaze: Tensor,
        R_cam_head: Tensor,
        t_cam_head: Tensor,
        R_cam_body: Tensor,
        residual: Tensor,
        secondary: Tensor,
        vertices: Tensor,
        surface_positions: Tensor,
        surface_axes: Tensor,
        surface_opacities: Tensor,
        surface_colors: Tensor,
        rigid_means: Tensor,
        rigid_scales: Tensor,
        rigid_opacities: Tensor,
        rigid_colors: Tensor,
        corrections: Tensor,
        surface_triangles: Tensor,
        surface_thickness: Tensor,
        surface_facing_limits: Tensor,
        rigid_quats: Tensor,
        rigid_head_weights: Tensor,
        spread: Tensor,
        spread_rows: Tensor,
        surface_corrected: Tensor,
        rigid_corrected: Tensor,
        curve_inputs: Tensor,
        curve_first: Tensor,
        curve_knots: Tensor,
        curve_bends: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Means, quats, scales, opacities, colors."""
        batch = expression.shape[0]
        features = _features(
            expression, gaze, secondary, curve_inputs, curve_first, curve_knots, curve_bends
        )
        changes = (features @ corrections.flatten(1)).unflatten(1, (-1, CORRECTIONS))
        bound = [one[:, :, 0] for one in changes.index_select(1, surface_corrected).split(1, 2)]
        free = [one[:, :, 0] for one in changes.index_select(1, rigid_corrected).split(1, 2)]
        moved = (expression @ self.actions).reshape(batch, 3, -1)
        rest, deviations = _columns(vertices), residual.transpose(1, 2) @ spread
        place = self._looking(_add((moved[:, 0], moved[:, 1], moved[:, 2]), rest), gaze)
        followed = deviations.index_select(2, spread_rows)
        place = _add(place, (followed[:, 0], followed[:, 1], followed[:, 2]))

        head, body = _entries(R_cam_head), _entries(R_cam_body)
        relative = _relative_turn(head, body)
        pivot = self._pivot
        posed_pivot = _add(
            _matrix_times(head, pivot),
            (t_cam_head[:, 0, None], t_cam_head[:, 1, None], t_cam_head[:, 2, None]),
        )
        from_neck = _matrix_times(body, _minus(place, pivot))
        posed = _add(_rotate(_share_of(relative, self.head_weights), from_neck), posed_pivot)
        means, quats, scales, shown = self._on_surface(
            posed,
            _add((bound[4], bound[5], bound[6]), _columns(surface_positions)),
            surface_axes,
            surface_triangles,
            surface_thickness,
            surface_facing_limits,
        )

        turn = _times(_share_of(relative, rigid_head_weights), _quat_of(body))
        x, y, z = _add(
            _rotate(turn, _minus(_add((free[4], free[5], free[6]), _columns(rigid_means)), pivot)),
            posed_pivot,
        )
        w, p, q, r = rigid_quats.split(1, 1)
        free_quats = torch.stack(_times(turn, (w.T, p.T, q.T, r.T)), 2)
        every = torch.ones_like(x)
        return (
            torch.cat([means, torch.stack([x, y, z], 2)], 1),
            torch.cat([quats, free_quats], 1),
            torch.cat([scales, rigid_scales * every[:, :, None]], 1),
            torch.cat(
                [
                    (surface_opacities + bound[3]).clamp(0, 1) * shown,
                    (rigid_opacities + free[3]).clamp(0, 1),
                ],
                1,
            ),
            torch.cat(
                [
                    surface_colors + torch.stack(bound[:3], 2),
                    rigid_colors + torch.stack(free[:3], 2),
                ],
                1,
            ).clamp(0, 1),
        )

    def _looking(self, place: Vector, gaze: Tensor) -> Vector:
        """Each eyeball turned about its centre."""
        for number, center in enumerate(self._eye_centers):
            yaw, pitch = gaze[:, number, 0, None], gaze[:, number, 1, None]
            cy, sy, cp, sp = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin()
            x, y, z = _minus(place, center)
            turned = _add(
                (
                    cy * x - sy * sp * y + sy * cp * z,
                    cp * y + sp * z,
                    -sy * x - cy * sp * y + cy * cp * z,
                ),
                center,
            )
            ball = getattr(self, f"eyeball{number}")
            place = (
                torch.where(ball, turned[0], place[0]),
                torch.where(ball, turned[1], place[1]),
                torch.where(ball, turned[2], place[2]),
            )
        return place

    def _on_surface(
        self,
        vertices: Vector,
        positions: Vector,
        axes: Tensor,
        triangles: Tensor,
        thickness: Tensor,
        facing_limits: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Means, quats and scales of what rides on triangles, and 1 where it is shown, 0 where it faces away."""
        points = torch.stack(vertices, 2)  # rows to gather are quicker than columns
        corners = [
            points.index_select(1, getattr(self, f"corner{number}")).split(1, 2)
            for number in range(3)
        ]
        v0, v1, v2 = ((x[:, :, 0], y[:, :, 0], z[:, :, 0]) for x, y, z in corners)
        e1, e2 = _minus(v1, v0), _minus(v2, v0)
        normal = _cross(e1, e2)
        normal = _scaled(normal, 1 / (_dot(normal, normal) + _TINY * _TINY).sqrt())
        frames = torch.stack([*v0, *e1, *e2, *normal], 2).index_select(1, triangles)
        rows = [one[:, :, 0] for one in frames.split(1, 2)]
        v0, e1, e2, normal = ((rows[k], rows[k + 1], rows[k + 2]) for k in (0, 3, 6, 9))
        b1, b2, lift = positions
        p1, p2, q1, q2 = (one.T for one in axes.split(1, 1))
        means = _add(v0, _add(_scaled(normal, lift), _add(_scaled(e1, b1), _scaled(e2, b2))))
        first, second = (
            _add(_scaled(e1, p1), _scaled(e2, p2)),
            _add(_scaled(e1, q1), _scaled(e2, q2)),
        )
        size = (_dot(first, first) + _TINY).sqrt()
        first = _scaled(first, 1 / size)
        across = _cross(normal, first)
        quats = _quat_of(
            (
                first[0],
                across[0],
                normal[0],
                first[1],
                across[1],
                normal[1],
                first[2],
                across[2],
                normal[2],
            )
        )
        scales = [
            size.clamp(min=_LEAST),
            _dot(across, second).abs().clamp(min=_LEAST),
            thickness * torch.ones_like(size),
        ]
        away = _dot(normal, means) > facing_limits * _dot(means, means).sqrt()
        shown = torch.where(away, torch.zeros_like(size), torch.ones_like(size))
        return torch.stack(means, 2), torch.stack(quats, 2), torch.stack(scales, 2), shown


Components = tuple[Tensor, Tensor, Tensor] | list[float]


def _features(
    expression: Tensor,
    gaze: Tensor,
    secondary: Tensor,
    inputs: Tensor,
    first: Tensor,
    knots: Tensor,
    bends: Tensor,
) -> Tensor:
    """The correctives' features (B, C), each the product of its curves; see `perse_live.corrector.CurveTable`."""
    values = torch.cat(
        [expression, gaze.flatten(1), secondary, torch.ones_like(expression[:, :1])], 1
    )
    product = torch.ones_like(expression[:, :1])
    for chosen, value, at, bend in zip(
        inputs.unbind(0), first.unbind(0), knots.unbind(0), bends.unbind(0), strict=True
    ):
        product = product * (
            value + (bend * (values.index_select(1, chosen)[:, :, None] - at).clamp(min=0)).sum(2)
        )
    return product


def _relative_turn(head: tuple[Tensor, ...], body: tuple[Tensor, ...]) -> Quaternion:
    """From the body's rotation to the head's, w >= 0; each (B, 1)."""
    rows, columns = ([matrix[3 * k : 3 * k + 3] for k in range(3)] for matrix in (head, body))
    turn = tuple(a * p + b * q + c * r for a, b, c in rows for p, q, r in columns)
    w, x, y, z = _quat_of(turn)
    sign = torch.where(w < 0, -torch.ones_like(w), torch.ones_like(w))
    return w * sign, x * sign, y * sign, z * sign


def _share_of(turn: Quaternion, weights: Tensor) -> Quaternion:
    """A share (N,) of a rotation (B, 1), by normalised interpolation from the identity."""
    w, x, y, z = (
        1 + weights * (turn[0] - 1),
        weights * turn[1],
        weights * turn[2],
        weights * turn[3],
    )
    scale = 1 / (w * w + x * x + y * y + z * z).sqrt()
    return w * scale, x * scale, y * scale, z * scale


def _quat_of(matrix: tuple[Tensor, ...]) -> Quaternion:
    """Unit quaternions of rotation matrices, given as nine entries row by row, by the largest candidate (Shepperd 1978)."""
    r00, r01, r02, r10, r11, r12, r20, r21, r22 = matrix
    ww, xx, yy, zz = (
        1 + r00 + r11 + r22,
        1 + r00 - r11 - r22,
        1 - r00 + r11 - r22,
        1 - r00 - r11 + r22,
    )
    a, b, c, p, q, r = r21 - r12, r02 - r20, r10 - r01, r10 + r01, r02 + r20, r21 + r12
    by_w, by_x, by_y = (
        ww >= torch.maximum(torch.maximum(xx, yy), zz),
        xx >= torch.maximum(yy, zz),
        yy >= zz,
    )
    candidates = ((ww, a, b, c), (a, xx, p, q), (b, p, yy, r), (c, q, r, zz))

    def chosen(part: int) -> Tensor:
        of_w, of_x, of_y, of_z = (one[part] for one in candidates)
        return torch.where(by_w, of_w, torch.where(by_x, of_x, torch.where(by_y, of_y, of_z)))

    w, x, y, z = (chosen(part) for part in range(4))
    scale = 1 / (w * w + x * x + y * y + z * z).sqrt()
    return w * scale, x * scale, y * scale, z * scale


def _times(first: Quaternion, second: Quaternion) -> Quaternion:
    """Hamilton product: the rotation `second`, then `first`."""
    w, x, y, z = first
    a, b, c, d = second
    return (
        w * a - x * b - y * c - z * d,
        w * b + x * a + y * d - z * c,
        w * c - x * d + y * a + z * b,
        w * d + x * c - y * b + z * a,
    )


def _rotate(turn: Quaternion, vector: Vector) -> Vector:
    w, axis = turn[0], (turn[1], turn[2], turn[3])
    once = _cross(axis, vector)
    once = _add(once, once)
    return _add(vector, _add(_scaled(once, w), _cross(axis, once)))


def _matrix_times(entries: tuple[Tensor, ...], vector: Components) -> Vector:
    """entries: each (B, 1); vector: each (N,) or (B, N), or a number. Returns each (B, N)."""
    x, y, z = vector
    r = entries
    return (
        r[0] * x + r[1] * y + r[2] * z,
        r[3] * x + r[4] * y + r[5] * z,
        r[6] * x + r[7] * y + r[8] * z,
    )


def _entries(matrix: Tensor) -> tuple[Tensor, ...]:
    """The nine entries of (B, 3, 3), row by row, each (B, 1)."""
    return tuple(matrix.flatten(1).split(1, 1))


def _columns(rows: Tensor) -> Vector:
    """(N, 3) by column, each (1, N)."""
    x, y, z = rows.split(1, 1)
    return x.T, y.T, z.T


def _add(a: Vector, b: Components) -> Vector:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _minus(a: Vector, b: Components) -> Vector:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def _scaled(a: Vector, by: Tensor) -> Vector:
    return a[0] * by, a[1] * by, a[2] * by


def _dot(a: Vector, b: Vector) -> Tensor:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
