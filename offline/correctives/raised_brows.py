"""Raised brows: what the photo shows of the fold above an open eye fades, since the skin there is stretched smooth.

It lies on sheets before the lids (`offline.lift.lids`), which brows that rise stretch too: the fold would be a dotted dark line,
and lit skin beside it a light fleck, high above the eye.
"""

from __future__ import annotations

import numpy as np

from offline.looks.face.rest_positions import height_over, landmarks_on, places_at_rest
from offline.numeric import ramp
from perse_live.arrays import Float64Array
from perse_live.avatar import Avatar
from perse_live.head import landmarks as lm
from perse_live.regions import Region

_LASHES_END = (
    0.0015,
    0.004,
)  # metres above the lid's edge up to which the sheets show lashes, and from which they do not
_FADES = 0.9  # of the opacity, with the brows all the way up


def fading_folds(avatar: Avatar) -> Float64Array:
    """Changes of opacities (G,) with the brows all the way up."""
    marks, places = landmarks_on(avatar, avatar.rig.vertices), places_at_rest(avatar)
    share = np.zeros(len(avatar))
    for edge, left in zip(lm.UPPER_LID_EDGES, (True, False), strict=True):
        above = height_over(marks[list(edge)], places)
        veil = (avatar.regions == Region.LASHES) & ((places[:, 0] > 0) == left)
        share = np.where(veil, ramp(above, *_LASHES_END), share)
    return -_FADES * share * avatar.opacities
