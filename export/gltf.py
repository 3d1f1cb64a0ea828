"""Binary glTF 2.0 with KHR_gaussian_splatting (Khronos, ratified): one primitive of points, one accessor an attribute.

Axes: x to the left of the model, y up, z to its front, which is glTF's convention and the head frame as it is. Metres.
"""

from __future__ import annotations

import json
import struct

import numpy as np

from export.harmonics import sh_from_rgb
from perse_live.files import CREATOR
from perse_live.gaussians import Gaussians
from perse_live.srgb import to_linear

_EXTENSION = "KHR_gaussian_splatting"
_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_COMPONENTS = {"float32": 5126, "uint16": 5123}
_TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
_POINTS, _ARRAY_BUFFER = 0, 34962


def glb_bytes(gaussians: Gaussians) -> bytes:
    """Positions, unit quaternions xyzw, linear scales, opacities in [0, 1] and SH of degree 0, all float32.

    gaussians: head frame. COLOR_0 (linear light and opacity, 16 bits) is there for programs that draw a cloud of points instead.
    """
    arrays = {
        "POSITION": gaussians.means.astype("<f4"),
        f"{_EXTENSION}:ROTATION": gaussians.quats[:, [1, 2, 3, 0]].astype("<f4"),
        f"{_EXTENSION}:SCALE": gaussians.scales.astype("<f4"),
        f"{_EXTENSION}:OPACITY": gaussians.opacities[:, None].astype("<f4"),
        f"{_EXTENSION}:SH_DEGREE_0_COEF_0": sh_from_rgb(gaussians.colors).astype("<f4"),
        "COLOR_0": np.rint(
            np.concatenate([to_linear(gaussians.colors), gaussians.opacities[:, None]], 1) * 65535
        ).astype("<u2"),
    }
    views: list[dict[str, object]] = []
    accessors: list[dict[str, object]] = []
    start = 0
    for number, array in enumerate(arrays.values()):
        views.append(
            {"buffer": 0, "byteOffset": start, "byteLength": array.nbytes, "target": _ARRAY_BUFFER}
        )
        accessor: dict[str, object] = {
            "bufferView": number,
            "componentType": _COMPONENTS[array.dtype.name],
            "count": len(array),
            "type": _TYPES[array.shape[1]],
        }
        accessors.append(accessor)
        start += array.nbytes
    accessors[0] |= {"min": gaussians.means.min(0).tolist(), "max": gaussians.means.max(0).tolist()}
    accessors[-1]["normalized"] = True
    extension = {
        "kernel": "ellipse",
        "colorSpace": "srgb_rec709_display",
        "projection": "perspective",
        "sortingMethod": "cameraDistance",
    }
    primitive = {
        "attributes": {name: number for number, name in enumerate(arrays)},
        "mode": _POINTS,
        "extensions": {_EXTENSION: extension},
    }
    document = {
        "asset": {"version": "2.0", "generator": CREATOR},
        "extensionsUsed": [_EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "avatar"}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": start}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    # Every array's length is a multiple of 4
    content = b"".join(array.tobytes() for array in arrays.values())
    chunks = (
        struct.pack("<II", len(text), _JSON)
        + text
        + struct.pack("<II", len(content), _BIN)
        + content
    )
    return struct.pack("<III", _MAGIC, 2, 12 + len(chunks)) + chunks
