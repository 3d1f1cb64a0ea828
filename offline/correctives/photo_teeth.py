"""The photo's own teeth show in expressions like the photo's; in others the painted rows behind them do.

What a photo shows of teeth ends where its lips did. Under lips that open otherwise, that edge is a ragged one in the middle of
the teeth.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perse_live.arrays import BoolArray
from perse_live.avatar import Avatar
from perse_live.correctives import Component, join, ramp, sparse
from perse_live.head.expressions import index

_SHOWN_BY = ("mouthSmileLeft", "mouthSmileRight", "mouthUpperUpLeft", "mouthUpperUpRight")
_LEAST = 0.25  # strength of the strongest of these from which the photo's teeth are those of its expression
_COMES, _THERE = 0.35, 0.75  # of that strength, between which they appear


def with_photo_teeth(avatar: Avatar, photographed: BoolArray) -> Avatar:
    """The avatar whose teeth from the photo (G,) come with the action that shows them there.

    Where the photo shows its teeth without a smile, they stay as they are.
    """
    strengths = avatar.source.expression[[index(name) for name in _SHOWN_BY]]
    strongest = int(strengths.argmax())
    if strengths[strongest] < _LEAST or not photographed.any():
        return avatar
    own = float(strengths[strongest])
    component = Component("photo-teeth", (ramp(_SHOWN_BY[strongest], _COMES * own, _THERE * own),))
    coming = np.where(photographed, avatar.opacities, 0)[None]
    made = sparse([component], np.zeros((1, len(avatar), 3)), coming)
    hidden = np.where(photographed, 0, avatar.opacities).astype(np.float32)
    return replace(avatar, opacities=hidden, correctives=join(avatar.correctives, made))
