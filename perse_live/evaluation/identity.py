"""Whether two pictures show the same person, by a face-embedding model that the user supplies.

None is shipped and none is ever fetched: such models' licences and training data are the user's to judge. It is used for
measuring only, never for building or driving an avatar.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from perse_live.arrays import Float32Array, UInt8Array
from perse_live.assets import FOLDER_VARIABLE
from perse_live.detect import Detection
from perse_live.errors import UserError
from perse_live.evaluation.motion_metrics import similarity
from perse_live.extras import missing_extra

MODEL_NAME = "face_identity.onnx"
"""Looked for in the folder that PERSE_LIVE_ASSETS names."""

_TEMPLATE_SIDE = 112
_TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
_EYES, _NOSE, _MOUTH = ((33, 133), (362, 263)), 4, (61, 291)  # landmarks


class IdentityModel:
    """Embeds faces; the cosine of two embeddings measures the similarity of the persons."""

    def __init__(self, path: Path) -> None:
        """Load a model in ONNX.

        It takes one face (1, 3, H, W) or (1, H, W, 3), float RGB in [-1, 1], H = W, aligned to the five points of ArcFace (as
        InsightFace's models do), and its first output is the embedding. Raises UserError where the file is no such model.
        """
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            raise missing_extra("the identity model", "onnx", error) from error
        if not path.is_file():
            raise UserError(f"cannot read the identity model {path}: there is no such file")
        try:
            session: Any = onnxruntime.InferenceSession(
                str(path), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no common base
            raise UserError(
                f"{path} is not a model that ONNX Runtime can run: give a face-embedding model in ONNX"
            ) from error
        self.name = path.name
        self._session, given = session, session.get_inputs()[0]
        shape = [side if isinstance(side, int) else 0 for side in given.shape]
        self._input = str(given.name)
        self._channels_last = len(shape) == 4 and shape[3] == 3
        if len(shape) != 4 or 3 not in (shape[1], shape[3]) or given.type != "tensor(float)":
            raise UserError(
                f"{path} takes {given.type} of shape {given.shape}, not one float picture (1, 3, H, W): give a"
                " face-embedding model"
            )
        self._side = shape[1 if self._channels_last else 2] or _TEMPLATE_SIDE

    def embed(self, picture: UInt8Array, face: Detection) -> Float32Array:
        """The face's embedding, (D,), of length 1. picture: (H, W, 3) RGB."""
        crop = self.aligned(picture, face).astype(np.float32) / np.float32(127.5) - 1
        batch = (
            crop[None]
            if self._channels_last
            else np.ascontiguousarray(crop.transpose(2, 0, 1))[None]
        )
        vector = np.asarray(self._session.run(None, {self._input: batch})[0], np.float32).reshape(
            -1
        )
        return vector / max(float(np.linalg.norm(vector)), 1e-9)

    def aligned(self, picture: UInt8Array, face: Detection) -> UInt8Array:
        """The face moved onto ArcFace's five points. Returns (side, side, 3) RGB."""
        points = face.landmarks[:, :2].astype(np.float64)
        five = np.stack(
            [
                *(points[list(corners)].mean(0) for corners in _EYES),
                points[_NOSE],
                points[_MOUTH[0]],
                points[_MOUTH[1]],
            ]
        )
        matrix, shift = similarity(five, _TEMPLATE * (self._side / _TEMPLATE_SIDE))
        moved = cv2.warpAffine(
            picture,
            np.column_stack([matrix, shift]),
            (self._side, self._side),
            flags=cv2.INTER_AREA,
        )
        return np.asarray(moved, np.uint8)


def find_identity_model(path: Path | None) -> IdentityModel | None:
    """The model that the user names, else the one in the user's folder of model files, else None."""
    if path is not None:
        return IdentityModel(path)
    folder = os.environ.get(FOLDER_VARIABLE, "")
    supplied = Path(folder) / MODEL_NAME
    return IdentityModel(supplied) if folder and supplied.is_file() else None
