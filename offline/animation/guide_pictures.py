"""Guide maps as the pictures that ControlNets take."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from offline.animation.guide_maps import GuideMaps, SemanticClass
from offline.animation.video_pipeline import GuidePictures
from perse_live.arrays import Float32Array, UInt8Array

_MARGIN = (
    0.05  # metres before and behind the first frame's person that depth pictures still tell apart
)
_FARTHEST = 0.15  # brightness of what is farthest, so that it stands out from the background's 0
_DOT = 3 / 512  # radius of a landmark's dot over the picture's side, as OpenPose draws faces
# MediaPipe's landmarks in the order of iBUG's 68 (300 Faces in the Wild, Sagonas et al. 2013), then both pupils, as OpenPose has
# them: jaw, brows, nose, eyes, lips.
_FACE_POINTS = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
    *(468, 473),
)


@dataclass(frozen=True)
class DepthRange:
    """What depth pictures show, the same for all frames of a film: else depth would flicker."""

    near: float
    """Metres; white."""
    far: float
    """Metres; dark grey."""


def depth_range(maps: GuideMaps) -> DepthRange:
    """By one frame. Raises ValueError where nothing is seen in it."""
    seen = maps.depth[maps.depth > 0]
    if not len(seen):
        raise ValueError("a frame in which nothing is seen")
    near, far = np.percentile(seen, (0.5, 99.5))
    return DepthRange(float(near) - _MARGIN, float(far) + _MARGIN)


def guide_pictures(maps: GuideMaps, depths: DepthRange) -> GuidePictures:
    """The maps of one frame, each (H, W, 3)."""
    return {
        "depth": depth_picture(maps.depth, depths),
        "normals": normals_picture(maps.normals),
        "semantic": SEMANTIC_COLORS[maps.semantic],
        "landmarks": landmarks_picture(maps.landmarks, maps.depth.shape),
    }


def depth_picture(depth: Float32Array, depths: DepthRange) -> UInt8Array:
    """Inverse depth, near is bright, as MiDaS has it; depth: (H, W) metres, 0 where nothing is seen, which is black."""
    near, far = 1 / depths.near, 1 / depths.far
    inverse = 1 / np.maximum(depth, 1e-6)
    share = np.clip((inverse - far) / (near - far), 0, 1)
    shown = np.where(depth > 0, _FARTHEST + (1 - _FARTHEST) * share, 0)
    return np.repeat(np.rint(255 * shown).astype(np.uint8)[..., None], 3, 2)


def normals_picture(normals: Float32Array) -> UInt8Array:
    """255 (n + 1) / 2 with x right, y up, z towards the viewer; normals: (H, W, 3) in OpenCV's camera axes, 0 where nothing is
    seen, which is black.
    """
    towards = normals * np.array([1, -1, -1], np.float32)
    seen = np.abs(normals).sum(2, keepdims=True) > 0
    return np.where(seen, np.rint(127.5 * (towards + 1)), 0).astype(np.uint8)


def landmarks_picture(landmarks: Float32Array, shape: tuple[int, ...]) -> UInt8Array:
    """White dots on black, as OpenPose draws a face; landmarks: (478, 3) with pixels first."""
    picture = np.zeros((shape[0], shape[1], 3), np.uint8)
    radius = max(1, round(_DOT * max(shape[:2])))
    for x, y in np.rint(landmarks[list(_FACE_POINTS), :2] - 0.5).astype(int):
        cv2.circle(picture, (int(x), int(y)), radius, (255, 255, 255), -1)
    return picture


def _palette() -> UInt8Array:
    """(256, 3) a colour for each semantic class: even steps of hue in alternating lightness; the background is black."""
    count = len(SemanticClass)
    steps = np.arange(count)
    hsv = np.stack(
        [179 * steps * 5 % (179 * count) / count, np.full(count, 200), 255 - 90 * (steps % 2)], 1
    )
    colors = np.zeros((256, 3), np.uint8)
    colors[:count] = cv2.cvtColor(hsv.astype(np.uint8)[None], cv2.COLOR_HSV2RGB)[0]
    colors[SemanticClass.BACKGROUND] = 0
    return colors


SEMANTIC_COLORS = _palette()
"""(256, 3) of `SemanticClass` values. ControlNets for segmentation that were trained on other colours must be given others."""
