"""The two graphs that an avatar is exported as, seen from outside: what goes in, what comes out, and an avatar's arrays for it.

`attributes` turns the attributes' weights into the avatar's Gaussians at rest; `animate` poses them. Both are described here,
where neither torch nor an engine is needed, because the exporter writes them and the runtime runs them.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from perse_live.animate import BACK_FACING, HeadPose
from perse_live.arrays import Float32Array, FloatArray
from perse_live.attributes import LearnedAttribute
from perse_live.avatar import Avatar
from perse_live.head.landmarks import LANDMARK_COUNT
from perse_live.head.rig import HeadRig
from perse_live.wardrobe import worn

Arrays = dict[str, np.ndarray]

ANIMATE, ATTRIBUTES = "animate", "attributes"
BATCH, SURFACE, RIGID, FOLLOWING = "batch", "surface", "rigid", "following"
"""Names of what may vary in length: frames at once; Gaussians on the surface; rigid ones; vertices that follow landmarks, and
one."""

_ALWAYS_DRAWN = 2.0  # no cosine reaches it


class Tensor(NamedTuple):
    """An input or output of a graph."""

    dtype: str
    shape: tuple[int | str, ...]
    """Lengths; one that varies is named."""


MOTION: dict[str, Tensor] = {
    "expression": Tensor("float32", (BATCH, 52)),
    "gaze": Tensor("float32", (BATCH, 2, 2)),
    "R_cam_head": Tensor("float32", (BATCH, 3, 3)),
    "t_cam_head": Tensor("float32", (BATCH, 3)),
    "R_cam_body": Tensor("float32", (BATCH, 3, 3)),
    "residual": Tensor("float32", (BATCH, LANDMARK_COUNT, 3)),
}
"""What changes from frame to frame; units and axes as in `runtime.stage.Motion` and `perse_live.animate.HeadPose`."""

POSED: dict[str, Tensor] = {
    "means": Tensor("float32", (BATCH, f"{SURFACE} + {RIGID}", 3)),
    "quats": Tensor("float32", (BATCH, f"{SURFACE} + {RIGID}", 4)),
    "scales": Tensor("float32", (BATCH, f"{SURFACE} + {RIGID}", 3)),
    "opacities": Tensor("float32", (BATCH, f"{SURFACE} + {RIGID}")),
    "colors": Tensor("float32", (f"{SURFACE} + {RIGID}", 3)),
}
"""What `animate` gives: Gaussians in the camera frame as `perse_live.gaussians.Gaussians` has them."""


def canonical_inputs(vertices: int) -> dict[str, Tensor]:
    """What `attributes` gives and `animate` takes, for a rig of so many vertices."""
    return {
        "vertices": Tensor("float32", (vertices, 3)),
        "surface_positions": Tensor("float32", (SURFACE, 3)),
        "surface_axes": Tensor("float32", (SURFACE, 4)),
        "surface_opacities": Tensor("float32", (SURFACE,)),
        "surface_colors": Tensor("float32", (SURFACE, 3)),
        "rigid_means": Tensor("float32", (RIGID, 3)),
        "rigid_scales": Tensor("float32", (RIGID, 3)),
        "rigid_opacities": Tensor("float32", (RIGID,)),
        "rigid_colors": Tensor("float32", (RIGID, 3)),
    }


def binding_inputs(vertices: int) -> dict[str, Tensor]:
    """What `animate` takes besides: how the Gaussians are bound, which no weight changes."""
    return {
        "surface_triangles": Tensor("int32", (SURFACE,)),
        "surface_thickness": Tensor("float32", (SURFACE,)),
        "surface_facing_limits": Tensor("float32", (SURFACE,)),
        "rigid_quats": Tensor("float32", (RIGID, 4)),
        "rigid_head_weights": Tensor("float32", (RIGID,)),
        "spread": Tensor("float32", (LANDMARK_COUNT, FOLLOWING)),
        "spread_rows": Tensor("int32", (vertices,)),
    }


HALF_INPUTS = ("spread",)
"""Inputs that graphs in half precision take as float16: a thousand columns by 478 rows, which a product reads every frame."""


def canonical_arrays(avatar: Avatar) -> Arrays:
    """An avatar's Gaussians at rest, as `canonical_inputs` describes them; views where that is possible."""
    count = len(avatar.surface.triangles)
    return {
        "vertices": avatar.rig.vertices,
        "surface_positions": avatar.surface.positions, "surface_axes": avatar.surface.axes,
        "surface_opacities": avatar.opacities[:count], "surface_colors": avatar.colors[:count],
        "rigid_means": avatar.rigid.means, "rigid_scales": avatar.rigid.scales,
        "rigid_opacities": avatar.opacities[count:], "rigid_colors": avatar.colors[count:],
    }


def binding_arrays(avatar: Avatar) -> Arrays:
    """How an avatar's Gaussians are bound, as `binding_inputs` describes it."""
    surface, rigid = avatar.surface, avatar.rigid
    limits = np.where(surface.two_sided > 0, _ALWAYS_DRAWN, BACK_FACING).astype(np.float32)
    return {"surface_triangles": surface.triangles, "surface_thickness": surface.thickness, "surface_facing_limits": limits,
            "rigid_quats": rigid.quats, "rigid_head_weights": rigid.head_weights, **_spread_arrays(avatar)}


def _spread_arrays(avatar: Avatar) -> Arrays:
    """The landmarks' spread with one more column of zeros, and the column that each vertex follows: that one, where it follows
    none.
    """
    ids, spread = avatar.landmarks.spread_ids, avatar.landmarks.spread
    columns = np.zeros((LANDMARK_COUNT, len(ids) + 1), np.float32)
    columns[:, :-1] = spread.T
    rows = np.full(len(avatar.rig.vertices), len(ids), np.int32)
    rows[ids] = np.arange(len(ids), dtype=np.int32)
    return {"spread": columns, "spread_rows": rows}


def motion_arrays(expression: FloatArray, gaze: FloatArray, pose: HeadPose, residual: Float32Array | None) -> Arrays:
    """One frame's motion as a batch of one; residual None: no landmark deviates."""
    none = np.zeros((LANDMARK_COUNT, 3), np.float32)
    parts = (expression, gaze, pose.R_cam_head, pose.t_cam_head, pose.R_cam_body, none if residual is None else residual)
    return {name: np.ascontiguousarray(part, np.float32)[None] for name, part in zip(MOTION, parts, strict=True)}


def rig_hash(rig: HeadRig) -> str:
    """SHA-256 over what `animate` has built in: everything of the rig but its vertices at rest."""
    digest = hashlib.sha256()
    for array in (rig.actions, rig.triangles, rig.parts, rig.head_weights, rig.eye_centers, rig.neck_pivot):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def look_hash(avatar: Avatar) -> str:
    """SHA-256 over what `attributes` has built in: the avatar's Gaussians and vertices at rest, and its attributes."""
    digest = hashlib.sha256()
    for array in (*canonical_arrays(avatar).values(), *vars(avatar.surface).values(), *vars(avatar.rigid).values()):
        digest.update(np.ascontiguousarray(array).tobytes())
    for one in avatar.attributes:
        digest.update(f"{one.name}\n{one.slot}\n".encode())
        adapter = (one.adapter,) if isinstance(one, LearnedAttribute) else ()
        for part in (one, one.added, one.added.surface, one.added.rigid, *adapter):
            for name, value in sorted(vars(part).items()):
                if isinstance(value, np.ndarray):
                    digest.update(np.ascontiguousarray(value).tobytes())
                elif isinstance(value, (bool, float)):
                    digest.update(f"{name}={value!r}\n".encode())
    if avatar.decoder is not None:
        for array in vars(avatar.decoder).values():
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def all_worn(avatar: Avatar) -> Avatar:
    """The avatar with every Gaussian that any attribute adds, in the order in which `attributes` gives them."""
    return worn(avatar, avatar.attributes, {one.name: 1.0 for one in avatar.attributes})
