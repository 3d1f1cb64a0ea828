"""Lids: whether they hide the eyeballs once they are closed, and have the colour of the skin around them."""

from __future__ import annotations

import cv2
import numpy as np

from perse_live.arrays import BoolArray
from perse_live.avatar import Avatar
from perse_live.evaluation.portraits.views import EYE_DISTANCE, View, share_of
from perse_live.head.rig import EYES
from perse_live.regions import Region

_SEEN = 0.1  # share of a pixel from which what draws it is seen
_SKIN, _OPAQUE = 0.9, 0.9
# Eye distances from the eyes' openings: the skin around the lids, without lashes
_NEAR, _FAR = (0.12, 0.26)
# Share of an opening that must show skin, and pixels of skin around it that are needed
_CLOSED, _FEWEST = (0.5, 30)


def open_lids(avatar: Avatar, front: View, blink: View) -> float:
    """How much of the eyeballs is still seen at eyeBlink 1, percent of what the rig shows of them with lids at rest.

    front, blink: the same view with lids at rest and closed. 0 where the rig shows no eyeball.
    """
    area = _openings(avatar, front).sum()
    return float(100 * (share_of(avatar, blink, Region.EYE) > _SEEN).sum() / area) if area else 0.0


def lid_tone(avatar: Avatar, front: View, blink: View) -> float:
    """The colour difference, Delta E, between closed lids (where the eyes were open) and the skin around them, mean of both eyes.

    front, blink: as for `open_lids`. The skin around lies 0.12 to 0.26 eye distances from an opening; means are of medians,
    so that neither lashes nor the end of a brow count. An eye that stays open does not count.
    """
    openings = _openings(avatar, front)
    skin = (
        blink.mesh.covered
        & (blink.alpha > _OPAQUE)
        & (share_of(avatar, blink, Region.SKIN) > _SKIN)
    )
    found: list[float] = []
    half = np.arange(openings.shape[1]) < openings.shape[1] // 2
    for one in (openings & half, openings & ~half):
        distance = (
            np.asarray(cv2.distanceTransform((~one).astype(np.uint8), cv2.DIST_L2, 5))
            / EYE_DISTANCE
        )
        lid, around = one & skin, (distance > _NEAR) & (distance < _FAR) & skin
        if lid.sum() > _CLOSED * one.sum() and around.sum() >= _FEWEST:
            found.append(
                float(
                    np.linalg.norm(np.median(blink.lab[lid], 0) - np.median(blink.lab[around], 0))
                )
            )
    return float(np.mean(found)) if found else 0.0


def _openings(avatar: Avatar, front: View) -> BoolArray:
    """(H, W) where the rig shows an eyeball."""
    parts = avatar.rig.parts[front.triangles]
    return front.mesh.covered & np.isin(parts[np.maximum(front.mesh.triangle_ids, 0)], EYES)
