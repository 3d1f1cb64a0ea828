"""The colours of a generated film held at those of the edited portrait (Reinhard et al., Color Transfer between Images, 2001)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from perse_live.arrays import Float32Array

_LEAST_MASK = 16.0  # pixels of the part below which a frame says nothing of its colours
_MEMORY = 8.0  # frames over which a film's own colours are averaged, so that the match itself does not flicker
_STRETCH = (0.67, 1.5)  # bounds of the change of contrast


@dataclass(frozen=True, eq=False)
class ColorStatistics:
    """Of the pixels of a part, in CIELAB."""

    mean: Float32Array
    """(3,)"""
    deviation: Float32Array
    """(3,)"""


def color_statistics(picture: Float32Array, mask: Float32Array) -> ColorStatistics | None:
    """Of a picture (H, W, 3) sRGB in [0, 1] under a mask (H, W) of weights; None where the mask is all but empty."""
    total = float(mask.sum())
    if total < _LEAST_MASK:
        return None
    lab, weights = _lab(picture), mask[..., None] / total
    mean = (lab * weights).sum((0, 1))
    deviation = np.sqrt((np.square(lab - mean) * weights).sum((0, 1)))
    return ColorStatistics(mean.astype(np.float32), deviation.astype(np.float32))


class ColorMatch:
    """Gives the part of each frame of a film the mean and the contrast that it has in the edited portrait; for one film."""

    def __init__(self, wanted: ColorStatistics | None) -> None:
        """wanted: of the part in the portrait; None leaves frames as they are."""
        self._wanted = wanted
        self._found: ColorStatistics | None = None

    def __call__(self, frame: Float32Array, mask: Float32Array) -> Float32Array:
        """The next frame (H, W, 3) in [0, 1], matched by what is under its mask (H, W)."""
        now = color_statistics(frame, mask)
        if self._wanted is None or (now is None and self._found is None):
            return frame
        found = self._found
        if now is not None:
            share = np.float32(1 if found is None else 1 / _MEMORY)
            old = now if found is None else found
            found = ColorStatistics(
                old.mean + share * (now.mean - old.mean),
                old.deviation + share * (now.deviation - old.deviation),
            )
            self._found = found
        assert found is not None
        stretch = np.clip(self._wanted.deviation / np.maximum(found.deviation, 1e-3), *_STRETCH)
        lab = (_lab(frame) - found.mean) * stretch + self._wanted.mean
        rgb = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB)
        return np.clip(rgb, 0, 1).astype(np.float32)


def _lab(picture: Float32Array) -> Float32Array:
    return np.asarray(
        cv2.cvtColor(np.ascontiguousarray(picture, np.float32), cv2.COLOR_RGB2LAB), np.float32
    )
