"""Continuation of shoulders and clothes below a photo's lower edge, where that lies within the portrait's frame.

The rig's shoulders, put there instead, would have another outline than those in the photo, with a step along the edge.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from offline.portrait import Portrait
from offline.priors import BESIDE_EDGE

# Pixels (eye distance 115) from the chin to the photo's edge from which it shows the shoulders
_SHOULDERS = 60.0
# Standard deviation of the blur across, per pixel below the edge: stripes of single columns would show
_SPREAD = 0.06


def with_continued_bottom(portrait: Portrait) -> Portrait:
    """The portrait with the columns of its last rows continued to the frame's lower edge, ever softer.

    Unchanged where the photo reaches that edge, or ends too close below the chin to show shoulders.
    """
    height = len(portrait.valid)
    ends = height - np.argmax(portrait.valid[::-1], 0)  # (W,) first row below the photo
    # columns of a tilted photo that end higher up end at its side
    columns = portrait.valid.any(0) & (ends > portrait.chin_row)
    beyond = int((height - ends[columns]).max(initial=0))
    shown = np.median(ends[columns]) - portrait.chin_row if columns.any() else 0.0
    if beyond == 0 or shown < _SHOULDERS * portrait.unit:
        return portrait
    across = np.nonzero(columns)[0]
    last = np.mean(
        [portrait.rgb[ends[across] - 1 - k, across] for k in range(*BESIDE_EDGE)], axis=0
    ).astype(np.float32)
    rgb, valid = portrait.rgb.copy(), portrait.valid.copy()
    for below in range(beyond):
        soft = cv2.GaussianBlur(
            last[None], (0, 0), 0.5 + _SPREAD * below, borderType=cv2.BORDER_REPLICATE
        )[0]
        row = ends[across] + below
        inside = row < height
        rgb[row[inside], across[inside]] = np.rint(soft[inside]).astype(np.uint8)
        valid[row[inside], across[inside]] = True
    return replace(
        portrait, rgb=rgb, valid=valid, made_up=portrait.made_up | (valid & ~portrait.valid)
    )
