"""Segmentation by MediaPipe's Selfie Multiclass (256 x 256), where the user has its file.

The network resizes the picture to a square itself, and its probabilities are resized back; edges are made sharp again by a guided
filter on the picture (He et al. 2010).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import mediapipe as mp
import numpy as np

from offline.segment.contract import CLASSES, Segmenter
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.assets import optional_asset_path
from perse_live.errors import UserError
from perse_live.quiet import quiet_stderr

# Pixels of the guided filter, about two of the network's; of colours in [0, 1]
_REACH, _REGULARISATION = (6, 1e-4)


def segmenter() -> Segmenter | None:
    """The network as a segmenter, or None where the file is not there. Raises UserError when it is not the right file."""
    path = optional_asset_path("selfie_multiclass")
    return None if path is None else lambda image: probabilities(image, path)


def probabilities(image: UInt8Array, model: Path) -> Float32Array:
    """(H, W, 6) probabilities of `CLASSES`. image: (H, W, 3). Raises UserError for a model of another kind."""
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_path=str(model)),
        output_confidence_masks=True,
        output_category_mask=False,
    )
    picture = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image))
    try:
        with quiet_stderr(), vision.ImageSegmenter.create_from_options(options) as opened:
            masks = [
                np.squeeze(mask.numpy_view()).astype(np.float32)
                for mask in opened.segment(picture).confidence_masks
            ]
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"{model}: MediaPipe cannot use this model ({error}); take the official file, or remove it"
        ) from error
    if len(masks) != len(CLASSES):
        raise UserError(
            f"{model}: a model of {len(masks)} classes where {len(CLASSES)} are needed ({', '.join(CLASSES)})"
        )
    guide = cv2.ximgproc.createGuidedFilter(image.astype(np.float32) / 255, _REACH, _REGULARISATION)
    sharp = np.stack(
        [np.clip(np.asarray(guide.filter(mask), np.float32), 0, 1) for mask in masks], -1
    )
    return sharp / np.maximum(sharp.sum(-1, keepdims=True), 1e-6)
