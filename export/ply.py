"""PLY in the layout of the 3D Gaussian Splatting trainer (Kerbl et al. 2023): what nearly every splat program reads.

Axes: right, down, forward (`state.y_down`), as the trainer's. Metres; everything as float32.
"""

from __future__ import annotations

import numpy as np

from export.harmonics import sh_from_rgb
from export.state import y_down
from perse_live.arrays import Float32Array
from perse_live.files import CREATOR
from perse_live.gaussians import Gaussians

_PROPERTIES = (
    "x",
    "y",
    "z",
    "nx",
    "ny",
    "nz",
    "f_dc_0",
    "f_dc_1",
    "f_dc_2",
    "opacity",
    "scale_0",
    "scale_1",
    "scale_2",
    "rot_0",
    "rot_1",
    "rot_2",
    "rot_3",
)
_OPAQUE = 1e-6  # how near an opacity may come to 0 and 1, where its logit is infinite


def ply_bytes(gaussians: Gaussians) -> bytes:
    """A binary PLY: positions, unused normals, SH of degree 0, logits of opacity, logarithms of scale, quaternions wxyz.

    gaussians: head frame.
    """
    turned = y_down(gaussians)
    table = np.concatenate(
        [
            turned.means,
            np.zeros_like(turned.means),
            sh_from_rgb(turned.colors),
            _logit(turned.opacities)[:, None],
            np.log(turned.scales),
            turned.quats,
        ],
        1,
    )
    header = "\n".join(
        [
            "ply",
            "format binary_little_endian 1.0",
            f"comment {CREATOR}",
            f"element vertex {len(table)}",
            *(f"property float {name}" for name in _PROPERTIES),
            "end_header\n",
        ]
    )
    return header.encode("ascii") + table.astype("<f4").tobytes()


def _logit(opacities: Float32Array) -> Float32Array:
    inside = np.clip(opacities.astype(np.float64), _OPAQUE, 1 - _OPAQUE)
    return np.log(inside / (1 - inside)).astype(np.float32)
