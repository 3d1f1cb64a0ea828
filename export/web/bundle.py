"""Writing an avatar, in one look, as a folder that a web page animates.

`avatar.json` says what is in `avatar.bin`: typed arrays one after another, little-endian, each at a multiple of 4 bytes. The
arithmetic that turns them into Gaussians is in `avatar.js`, which is the format's reference. Actions are whole numbers with a
scale each, and only for the vertices that they move; 16 bits hold the largest to a thousandth of a millimetre. Correctives are
there for the Gaussians that they change, shades (colour and opacity) and offsets each for themselves; most have no offset.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from perse_live.attribute_blending import with_attributes
from perse_live.avatar import Avatar, with_resting_lids
from perse_live.correctives import Deltas
from perse_live.correctives_file import component_entries
from perse_live.errors import UserError
from perse_live.files import atomic_folder, write_bytes
from perse_live.head.expressions import EXPRESSION_NAMES
from perse_live.head.rig import EYES, gaze_from_expression, vertices_of

SUFFIX = ".web"
FORMAT, FORMAT_VERSION = "perse-live web avatar", 2
_MANIFEST, _ARRAYS = "avatar.json", "avatar.bin"
_VIEWER = ("index.html", "avatar.js", "splats.js", "viewer.js")
_VIEWER_FOLDER = Path(__file__).parent / "viewer"
FILES = (_MANIFEST, _ARRAYS, *_VIEWER)
"""Names in the folder."""
_STEPS = 32767


def write_bundle(
    avatar: Avatar, folder: Path, name: str, *, attributes: Mapping[str, float]
) -> Path:
    """Write NAME.web into a folder, replacing an earlier one when it is complete. Returns its path.

    attributes: weights by name. Raises UserError where it cannot be written, or something else is in its place.
    """
    target = folder / f"{name}{SUFFIX}"
    if target.exists() and not (target / _MANIFEST).is_file():
        raise UserError(
            f"{target}: is there, and not of this kind: move it away, or choose another -o"
        )
    manifest, content = bundle_of(avatar, attributes=attributes)
    with atomic_folder(target) as staging:
        write_bytes(staging / _MANIFEST, manifest)
        write_bytes(staging / _ARRAYS, content)
        for file in _VIEWER:
            write_bytes(staging / file, (_VIEWER_FOLDER / file).read_bytes())
    return target


def viewer_scripts() -> dict[str, bytes]:
    """The modules that read, pose and draw a bundle, by file name; for pages other than the bundle's own."""
    return {name: (_VIEWER_FOLDER / name).read_bytes() for name in ("avatar.js", "splats.js")}


def bundle_of(avatar: Avatar, *, attributes: Mapping[str, float]) -> tuple[bytes, bytes]:
    """Manifest and arrays."""
    look = with_attributes(avatar, avatar.attributes, attributes)
    rig, surface, rigid, source = look.rig, look.surface, look.rigid, look.source
    moved = np.abs(rig.actions).max(2) > 0
    largest = np.maximum(np.abs(rig.actions).max((1, 2)), 1e-9)
    steps = np.rint(rig.actions / largest[:, None, None] * _STEPS)[moved]
    shown = np.concatenate([look.colors, look.opacities[:, None]], 1)
    arrays = {
        "vertices": rig.vertices,
        "headWeights": rig.head_weights,
        "triangles": rig.triangles.astype(np.uint32),
        "leftEyeball": np.nonzero(vertices_of(rig, EYES[0]))[0].astype(np.uint32),
        "rightEyeball": np.nonzero(vertices_of(rig, EYES[1]))[0].astype(np.uint32),
        "actionStarts": np.concatenate([[0], np.cumsum(moved.sum(1))]).astype(np.uint32),
        "actionVertices": np.nonzero(moved)[1].astype(np.uint32),
        "actionSteps": steps.astype(np.int16),
        "surfaceTriangles": surface.triangles.astype(np.uint32),
        "surfacePositions": surface.positions,
        "surfaceAxes": surface.axes,
        "surfaceThickness": surface.thickness,
        "surfaceTwoSided": surface.two_sided,
        "rigidMeans": rigid.means,
        "rigidQuats": rigid.quats,
        "rigidScales": rigid.scales,
        "rigidHeadWeights": rigid.head_weights,
        "rgba": np.rint(shown * 255).astype(np.uint8),
        **_corrective_arrays(look.correctives.deltas),
    }
    described: dict[str, object] = {}
    content = bytearray()
    for name, array in arrays.items():
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        described[name] = {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "offset": len(content),
        }
        content += little.tobytes()
        content += b"\0" * (-len(content) % 4)
    units = np.eye(len(EXPRESSION_NAMES), dtype=np.float32)
    manifest = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "bytes": len(content),
        "arrays": described,
        "units": "metres",
        "axes": "head: x to the picture's right, y up, z out of the face; camera: x right, y down, z forward",
        "expressions": list(EXPRESSION_NAMES),
        "actionScales": (largest / _STEPS).tolist(),
        "restExpression": with_resting_lids(avatar, np.zeros(len(units), np.float32)).tolist(),
        "gazeByExpression": np.stack([gaze_from_expression(one) for one in units], 2).tolist(),
        "eyeCenters": rig.eye_centers.tolist(),
        "neckPivot": rig.neck_pivot.tolist(),
        "correctives": component_entries(look.correctives.components),
        "camera": vars(source.camera),
        "R_cam_head": source.R_cam_head.tolist(),
        "t_cam_head": source.t_cam_head.tolist(),
    }
    return json.dumps(manifest, indent=1).encode(), bytes(content)


def _corrective_arrays(deltas: Deltas) -> dict[str, np.ndarray]:
    """Entries, one component after another: those with a change of colour or opacity, and those with an offset."""
    owner = np.repeat(np.arange(len(deltas.starts) - 1), np.diff(deltas.starts))
    shades = np.rint(np.concatenate([deltas.colors, deltas.opacities[:, None]], 1) * _STEPS).astype(
        np.int16
    )
    arrays: dict[str, np.ndarray] = {}
    for name, values in (("shade", shades), ("shift", deltas.offsets)):
        there = (values != 0).any(1)
        counts = np.bincount(owner[there], minlength=len(deltas.starts) - 1)
        arrays |= {
            f"{name}Starts": np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32),
            f"{name}Ids": deltas.ids[there].astype(np.uint32),
            f"{name}sAdded": values[there],
        }
    return arrays
