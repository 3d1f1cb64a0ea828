"""The photo's background."""

from __future__ import annotations

import cv2
import numpy as np

from offline.images import blur, erode, fill_from
from offline.portrait import SIDE, Portrait
from offline.segment.appearance import Appearance
from perse_live.arrays import UInt8Array

_BACKDROP_SIDE = 96  # pixels; it is shown blurred


def backdrop(portrait: Portrait, look: Appearance) -> UInt8Array:
    """The background, small and blurred, with the person's pixels filled from around. Returns (96, 96, 3)."""
    behind = ~look.visible & portrait.valid
    surely = erode(behind, 4 * portrait.unit)
    known = surely if surely.mean() > 0.02 else behind if behind.any() else portrait.valid
    soft = blur(fill_from(portrait.rgb, known), 0.03 * SIDE)
    small = cv2.resize(soft, (_BACKDROP_SIDE, _BACKDROP_SIDE), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)
