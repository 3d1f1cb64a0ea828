"""The two graphs that an avatar is exported as: inputs, outputs, and an avatar's arrays for them.

`attributes` turns the attributes' weights into the avatar's Gaussians at rest; `animate` poses them. Both are described here,
where neither torch nor an engine is needed, because the exporter writes them and the runtime runs them.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from perse_live.animate import BACK_FACING, HeadPose
from perse_live.arrays import Float32Array, FloatArray, Int32Array
from perse_live.attribute_blending import with_attributes
from perse_live.attributes import LearnedAttribute
from perse_live.avatar import Avatar
from perse_live.correctives import MAX_COMPONENTS, MAX_CURVES, MAX_KNOTS, SECONDARY_NAMES, Deltas
from perse_live.corrector import curve_table
from perse_live.head.landmarks import LANDMARK_COUNT
from perse_live.head.rig import HeadRig

Arrays = dict[str, np.ndarray]

ANIMATE, ATTRIBUTES = "animate", "attributes"
BATCH = "batch"
SURFACE = "surface"
RIGID = "rigid"
FOLLOWING = "following"
COMPONENTS = "components"
CORRECTED = "corrected"
"""Names of what may vary in length: frames at once; Gaussians on the surface; rigid ones; vertices that follow landmarks, and
one; components of the correctives; Gaussians that they change, and one. The last two are 2 at least."""
CORRECTIONS = 7
"""Values of a correction: colour, opacity, offset."""

_ALWAYS_DRAWN = 2.0  # no cosine reaches it
_MIN_LENGTH = 2  # tracing takes lengths of 0 and 1 for fixed


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
    "secondary": Tensor("float32", (BATCH, len(SECONDARY_NAMES))),
}
"""Inputs that change every frame; units and axes as in `runtime.stage.Motion` and `perse_live.animate.HeadPose`."""

POSED: dict[str, Tensor] = {
    "means": Tensor("float32", (BATCH, f"{SURFACE} + {RIGID}", 3)),
    "quats": Tensor("float32", (BATCH, f"{SURFACE} + {RIGID}", 4)),
    "scales": Tensor("float32", (BATCH, f"{SURFACE} + {RIGID}", 3)),
    "opacities": Tensor("float32", (BATCH, f"{SURFACE} + {RIGID}")),
    "colors": Tensor("float32", (BATCH, f"{SURFACE} + {RIGID}", 3)),
}
"""Outputs of `animate`: Gaussians in the camera frame as `perse_live.gaussians.Gaussians` has them."""


def canonical_inputs(vertices: int) -> dict[str, Tensor]:
    """Outputs of `attributes`, which are inputs of `animate`; vertices: of the rig."""
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
        "corrections": Tensor("float32", (COMPONENTS, CORRECTED, CORRECTIONS)),
    }


def binding_inputs(vertices: int) -> dict[str, Tensor]:
    """Further inputs of `animate`: the bindings of the Gaussians, which weights do not change."""
    return {
        "surface_triangles": Tensor("int32", (SURFACE,)),
        "surface_thickness": Tensor("float32", (SURFACE,)),
        "surface_facing_limits": Tensor("float32", (SURFACE,)),
        "rigid_quats": Tensor("float32", (RIGID, 4)),
        "rigid_head_weights": Tensor("float32", (RIGID,)),
        "spread": Tensor("float32", (LANDMARK_COUNT, FOLLOWING)),
        "spread_rows": Tensor("int32", (vertices,)),
        "surface_corrected": Tensor("int32", (SURFACE,)),
        "rigid_corrected": Tensor("int32", (RIGID,)),
        "curve_inputs": Tensor("int32", (MAX_CURVES, COMPONENTS)),
        "curve_first": Tensor("float32", (MAX_CURVES, COMPONENTS)),
        "curve_knots": Tensor("float32", (MAX_CURVES, COMPONENTS, MAX_KNOTS)),
        "curve_bends": Tensor("float32", (MAX_CURVES, COMPONENTS, MAX_KNOTS)),
    }


HALF_INPUTS = ("spread",)
"""Inputs that graphs in half precision take as float16: a thousand columns by 478 rows, which a product reads every frame."""


def canonical_arrays(avatar: Avatar) -> Arrays:
    """An avatar's Gaussians at rest, as `canonical_inputs` describes them; views, but for the corrections."""
    count, deltas = len(avatar.surface.triangles), avatar.correctives.deltas
    return {
        "vertices": avatar.rig.vertices,
        "surface_positions": avatar.surface.positions,
        "surface_axes": avatar.surface.axes,
        "surface_opacities": avatar.opacities[:count],
        "surface_colors": avatar.colors[:count],
        "rigid_means": avatar.rigid.means,
        "rigid_scales": avatar.rigid.scales,
        "rigid_opacities": avatar.opacities[count:],
        "rigid_colors": avatar.colors[count:],
        "corrections": correction_table(deltas, corrected_rows(deltas, len(avatar))),
    }


def binding_arrays(avatar: Avatar) -> Arrays:
    """How an avatar's Gaussians are bound, as `binding_inputs` describes it."""
    surface, rigid = avatar.surface, avatar.rigid
    limits = np.where(surface.two_sided > 0, _ALWAYS_DRAWN, BACK_FACING).astype(np.float32)
    return {
        "surface_triangles": surface.triangles,
        "surface_thickness": surface.thickness,
        "surface_facing_limits": limits,
        "rigid_quats": rigid.quats,
        "rigid_head_weights": rigid.head_weights,
        **_spread_arrays(avatar),
        **_corrective_arrays(avatar),
    }


def corrected_rows(deltas: Deltas, gaussians: int) -> Int32Array:
    """The row (G,) of each Gaussian in the table of corrections: those that correctives change in their order, then, one behind
    them, that of all others.
    """
    changed = np.unique(deltas.ids)
    rows = np.full(gaussians, len(changed), np.int32)
    rows[changed] = np.arange(len(changed), dtype=np.int32)
    return rows


def correction_table(deltas: Deltas, rows: Int32Array) -> Float32Array:
    """What each component adds, as `canonical_inputs` describes it; rows: from `corrected_rows`."""
    components = len(deltas.starts) - 1
    table = np.zeros(
        (
            max(components, _MIN_LENGTH),
            max(int(rows.max(initial=0)) + 1, _MIN_LENGTH),
            CORRECTIONS,
        ),
        np.float32,
    )
    where = np.repeat(np.arange(components), np.diff(deltas.starts)), rows[deltas.ids]
    np.add.at(
        table, where, np.concatenate([deltas.colors, deltas.opacities[:, None], deltas.offsets], 1)
    )
    return table


def _corrective_arrays(avatar: Avatar) -> Arrays:
    """Each Gaussian's row in the table of corrections, and the curves of the components' features; missing ones are 0."""
    count, table = len(avatar.surface.triangles), curve_table(avatar.correctives.components)
    rows = corrected_rows(avatar.correctives.deltas, len(avatar))
    missing = max(_MIN_LENGTH - len(avatar.correctives), 0)
    curves = {
        f"curve_{name}": np.ascontiguousarray(
            np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)]).swapaxes(
                0, 1
            )
        )
        for name, array in vars(table).items()
    }
    return {"surface_corrected": rows[:count], "rigid_corrected": rows[count:], **curves}


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


def motion_arrays(
    expression: FloatArray,
    gaze: FloatArray,
    pose: HeadPose,
    residual: Float32Array | None,
    secondary: FloatArray | None,
) -> Arrays:
    """One frame's motion as a batch of one; residual None: zeros; secondary None: zeros."""
    none = np.zeros((LANDMARK_COUNT, 3), np.float32)
    parts = (
        expression,
        gaze,
        pose.R_cam_head,
        pose.t_cam_head,
        pose.R_cam_body,
        none if residual is None else residual,
        np.zeros(len(SECONDARY_NAMES), np.float32) if secondary is None else secondary,
    )
    return {
        name: np.ascontiguousarray(part, np.float32)[None]
        for name, part in zip(MOTION, parts, strict=True)
    }


def rig_hash(rig: HeadRig) -> str:
    """SHA-256 over the constants of `animate`: the rig without its vertices at rest."""
    digest = hashlib.sha256()
    for array in (
        rig.actions,
        rig.triangles,
        rig.parts,
        rig.head_weights,
        rig.eye_centers,
        rig.neck_pivot,
    ):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def look_hash(avatar: Avatar) -> str:
    """SHA-256 over the constants of `attributes`: the avatar's Gaussians and vertices at rest, and its attributes."""
    digest = hashlib.sha256()
    for array in (
        *canonical_arrays(avatar).values(),
        *vars(avatar.surface).values(),
        *vars(avatar.rigid).values(),
        avatar.correctives.deltas.ids,
    ):
        digest.update(np.ascontiguousarray(array).tobytes())
    for one in avatar.attributes:
        digest.update(f"{one.name}\n{one.slot}\n".encode())
        adapter = (one.adapter,) if isinstance(one, LearnedAttribute) else ()
        correctives = () if one.correctives is None else (one.correctives, one.correctives.deltas)
        for part in (one, one.added, one.added.surface, one.added.rigid, *adapter, *correctives):
            for name, value in sorted(vars(part).items()):
                if isinstance(value, np.ndarray):
                    digest.update(np.ascontiguousarray(value).tobytes())
                elif isinstance(value, (bool, float)):
                    digest.update(f"{name}={value!r}\n".encode())
    if avatar.decoder is not None:
        for array in vars(avatar.decoder).values():
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def with_all_attributes(avatar: Avatar) -> Avatar:
    """The avatar with every Gaussian that any attribute adds, in the order in which `attributes` gives them."""
    return with_attributes(avatar, avatar.attributes, {one.name: 1.0 for one in avatar.attributes})


def limits_of(avatar: Avatar) -> dict[str, tuple[int, int, int]]:
    """Minimum, usual and maximum lengths of the variable dimensions of `animate`.

    One frame, as memory is reserved for the most; Gaussians with all attributes; vertices that follow landmarks; components,
    and Gaussians that they change.
    """
    full, following = with_all_attributes(avatar), len(avatar.landmarks.spread_ids) + 1
    surface, rigid = max(len(full.surface.triangles), 1), max(len(full.rigid.means), 1)
    components, corrected, _ = canonical_arrays(full)["corrections"].shape
    return {
        BATCH: (1, 1, 1),
        SURFACE: (1, surface, surface),
        RIGID: (1, rigid, rigid),
        FOLLOWING: (1, following, len(avatar.rig.vertices) + 1),
        COMPONENTS: (_MIN_LENGTH, components, MAX_COMPONENTS),
        CORRECTED: (_MIN_LENGTH, corrected, corrected),
    }
