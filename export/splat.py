""".splat, the format of the first web viewers (antimatter15/splat): 32 bytes a Gaussian, no header.

Axes: right, down, forward (`state.y_down`), as of the PLY files it is made from. Metres.
"""

from __future__ import annotations

import numpy as np

from export.state import y_down
from perse_live.gaussians import Gaussians

_RECORD = np.dtype(
    [("position", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("rotation", "u1", 4)]
)


def splat_bytes(gaussians: Gaussians) -> bytes:
    """Positions and scales as float32, colours and opacities as bytes, quaternions wxyz as bytes about 128.

    gaussians: head frame. The most visible come first, as viewers draw while they load.
    """
    turned = y_down(gaussians)
    records = np.empty(len(turned), _RECORD)
    records["position"], records["scale"] = turned.means, turned.scales
    records["rgba"] = np.rint(np.concatenate([turned.colors, turned.opacities[:, None]], 1) * 255)
    records["rotation"] = np.clip(np.rint(turned.quats * 128 + 128), 0, 255)
    weight = turned.scales.astype(np.float64).prod(1) * turned.opacities
    return records[np.argsort(-weight, kind="stable")].tobytes()
