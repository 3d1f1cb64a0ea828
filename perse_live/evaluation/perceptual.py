"""LPIPS between two pictures (Zhang et al., CVPR 2018), where the user has AlexNet's weights; torchmetrics brings LPIPS'
linear weights.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.assets import FOLDER_VARIABLE
from perse_live.errors import UserError
from perse_live.extras import missing_extra

WEIGHTS_NAME = "alexnet-owt-7be5be79.pth"
"""As torchvision names the file; looked for in the folder that PERSE_LIVE_ASSETS names, never fetched."""

# AlexNet's convolutions as torchvision numbers them: (number, input, output, kernel, stride, padding, pooled before)
_LAYERS = (
    (0, 3, 64, 11, 4, 2, False),
    (3, 64, 192, 5, 1, 2, True),
    (6, 192, 384, 3, 1, 1, True),
    (8, 384, 256, 3, 1, 1, False),
    (10, 256, 256, 3, 1, 1, False),
)
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of inputs in [-1, 1]: ImageNet's
_LEAST = 1e-8  # of a feature vector's squared length


def find_alexnet_weights() -> Path | None:
    """The user's file, or None."""
    folder = os.environ.get(FOLDER_VARIABLE, "")
    path = Path(folder) / WEIGHTS_NAME
    return path if folder and path.is_file() else None


class PerceptualDistance:
    """LPIPS with AlexNet, version 0.1: 0 for equal pictures."""

    def __init__(self, weights: Path) -> None:
        """weights: of AlexNet. Raises UserError where torch or torchmetrics is missing, or the file holds other weights."""
        try:
            self._torch: Any = importlib.import_module("torch")
            lpips: Any = importlib.import_module("torchmetrics.functional.image.lpips")
        except ModuleNotFoundError as error:
            raise missing_extra("measuring LPIPS", "measure", error) from error
        heads = Path(lpips.__file__).parent / "lpips_models" / "alex.pth"
        try:
            found, mixed = (
                self._torch.load(path, map_location="cpu", weights_only=True)
                for path in (weights, heads)
            )
            self._kernels = [
                (
                    found[f"features.{layer[0]}.weight"].float(),
                    found[f"features.{layer[0]}.bias"].float(),
                )
                for layer in _LAYERS
            ]
            self._heads = [mixed[f"lin{k}.model.1.weight"].float() for k in range(len(_LAYERS))]
        except Exception as error:  # what torch raises on files of other kinds has no common base
            raise UserError(
                f"{weights} does not hold AlexNet's weights: give torchvision's {WEIGHTS_NAME}"
            ) from error
        for (kernel, _), (_, given, out, side, *_rest) in zip(self._kernels, _LAYERS, strict=True):
            if tuple(kernel.shape) != (out, given, side, side):
                raise UserError(
                    f"{weights} does not hold AlexNet's weights: give torchvision's {WEIGHTS_NAME}"
                )

    def __call__(self, one: UInt8Array, other: UInt8Array) -> float:
        """LPIPS of two pictures (H, W, 3); at least 64 pixels a side."""
        with self._torch.no_grad():
            first, second = self._features(one), self._features(other)
            return float(
                sum(
                    ((a - b).square() * head).sum(1).mean()
                    for a, b, head in zip(first, second, self._heads, strict=True)
                )
            )

    def _features(self, picture: UInt8Array) -> list[Any]:
        """Unit feature vectors of each layer, (1, C, h, w)."""
        torch: Any = self._torch
        values = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32) / np.float32(
            127.5
        )
        x = torch.from_numpy(values - 1)
        x = (x - torch.tensor(_SHIFT).reshape(1, 3, 1, 1)) / torch.tensor(_SCALE).reshape(
            1, 3, 1, 1
        )
        found: list[Any] = []
        for (kernel, bias), (*_, stride, padding, pooled) in zip(
            self._kernels, _LAYERS, strict=True
        ):
            if pooled:
                x = torch.nn.functional.max_pool2d(x, 3, 2)
            x = torch.relu(torch.nn.functional.conv2d(x, kernel, bias, stride, padding))
            found.append(x / (x.square().sum(1, keepdim=True) + _LEAST).sqrt())
        return found
