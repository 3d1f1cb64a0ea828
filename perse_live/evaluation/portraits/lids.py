"""Lids: whether they hide the eyeballs once they are closed."""

from __future__ import annotations

import numpy as np

from perse_live.avatar import Avatar
from perse_live.evaluation.portraits.views import View, share_of
from perse_live.head.rig import EYES
from perse_live.regions import Region


def open_lids(avatar: Avatar, front: View, blink: View) -> float:
    """How much of the eyeballs is still seen at eyeBlink 1, percent of what the rig shows of them with lids at rest.

    front, blink: the same view with lids at rest and closed. 0 where the rig shows no eyeball.
    """
    parts = avatar.rig.parts[front.triangles]
    area = (front.mesh.covered & np.isin(parts[np.maximum(front.mesh.triangle_ids, 0)], EYES)).sum()
    return float(100 * share_of(avatar, blink, Region.EYE).sum() / area) if area else 0.0
