"""Raised brows: what the photo shows of the fold above an open eye fades, since the skin there is stretched smooth.

It lies on sheets before the lids (`offline.lift.lids`), which brows that rise stretch too: the fold would be a dotted dark line,
and lit skin beside it a light fleck, high above the eye.
"""

from __future__ import annotations

import numpy as np

from offline.looks.face.rest_positions import landmarks_on, places_at_rest
from offline.numeric import ramp
from perse_live.arrays import Float64Array
from perse_live.avatar import Avatar
from perse_live.head import landmarks as lm
from perse_live.regions import Region

# Upper lid from the outer corner inwards: left, right
_EDGES = ((263, *lm.UPPER_LID_LEFT, 362), (33, *lm.UPPER_LID_RIGHT, 133))
_LASHES_END = (
    0.0015,
    0.004,
)  # metres above the lid's edge up to which the sheets show lashes, and from which they do not
_FADES = 0.9  # of the opacity, with the brows all the way up


def fading_folds(avatar: Avatar) -> Float64Array:
    """Changes of opacities (G,) with the brows all the way up."""
    marks, places = landmarks_on(avatar, avatar.rig.vertices), places_at_rest(avatar)
    share = np.zeros(len(avatar))
    for edge, left in zip(_EDGES, (True, False), strict=True):
        line = marks[list(edge)]
        line = line[np.argsort(line[:, 0])]
        above = places[:, 1] - np.interp(places[:, 0], line[:, 0], line[:, 1])
        veil = (avatar.regions == Region.LASHES) & ((places[:, 0] > 0) == left)
        share = np.where(veil, ramp(above, *_LASHES_END), share)
    return -_FADES * share * avatar.opacities
