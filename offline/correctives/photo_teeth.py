"""Teeth from the photo are visible in expressions like the photo's; in others the synthesised rows behind them are.

What a photo shows of teeth ends where its lips did. Under lips that open otherwise, that edge is a ragged one in the middle of
the teeth.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perse_live.arrays import BoolArray
from perse_live.avatar import Avatar
from perse_live.correctives import Component, Curve, join, ramp, sparse
from perse_live.head.expressions import index

_SHOWN_BY = (
    ("mouthSmileLeft", "mouthSmileRight"),
    ("mouthUpperUpLeft", "mouthUpperUpRight"),
)
# Strength of the stronger of two from which the photo's teeth are those of its expression, and the shares of that strength
# between which they appear. Where the photo shows both a smile and a raised lip, either alone opens the mouth otherwise.
_LEAST = 0.25
_COMES, _THERE = 0.3, 0.7


def with_photo_teeth(avatar: Avatar, photographed: BoolArray) -> Avatar:
    """The avatar whose teeth from the photo (G,) come with the action that shows them there.

    Where the photo shows its teeth without a smile, they stay as they are.
    """
    curves: list[Curve] = []
    for actions in _SHOWN_BY:
        own, name = max((float(avatar.source.expression[index(name)]), name) for name in actions)
        if own >= _LEAST:
            curves.append(ramp(name, _COMES * own, _THERE * own))
    if not curves or not photographed.any():
        return avatar
    component = Component("photo-teeth", tuple(curves))
    coming = np.where(photographed, avatar.opacities, 0)[None]
    made = sparse([component], np.zeros((1, len(avatar), 3)), coming)
    hidden = np.where(photographed, 0, avatar.opacities).astype(np.float32)
    return replace(avatar, opacities=hidden, correctives=join(avatar.correctives, made))
