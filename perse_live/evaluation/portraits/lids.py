"""Closed lids: visible eyeballs, and colour difference from the surrounding skin."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.avatar import Avatar
from perse_live.evaluation.portraits.steps import (
    Steps,
    binned_steps,
    mean_excess,
    skin_pixels,
)
from perse_live.evaluation.portraits.views import EYE_DISTANCE, View, share_of
from perse_live.head.expressions import index
from perse_live.head.rig import EYES
from perse_live.raster import interpolate
from perse_live.regions import Region

# Shares of a pixel from which what draws it is seen, and draws all of it
_SEEN, _SKIN = (0.1, 0.9)
# Eye distances from an eye's opening between which skin above and below it is compared with the closed lid: below the lashes'
# roots there is nothing but skin, above them the lid's skin
_ABOVE, _BELOW = (0.03, 0.17), (0.06, 0.14)
# Share of an opening that must show skin, and pixels of skin above and below it that are needed
_CLOSED, _FEWEST = (0.5, 30)
_LID = 0.12  # of the farthest move of a blink: where the closed lid begins
_SECTORS = 6  # of the lid's border above the eye, from corner to corner


def open_lids(avatar: Avatar, front: View, blink: View) -> float:
    """How much of the eyeballs is still seen at eyeBlink 1, percent of what the rig shows of them with lids at rest.

    front, blink: the same view with lids at rest and closed. 0 where the rig shows no eyeball.
    """
    area = _openings(avatar, front).sum()
    return float(100 * (share_of(avatar, blink, Region.EYE) > _SEEN).sum() / area) if area else 0.0


def lid_tone(avatar: Avatar, front: View, blink: View) -> float:
    """Delta E between closed lids (where the eyes were open) and the skin above and below the open eyes, mean of both eyes.

    front, blink: as for `open_lids`. The skin is seen in the light of the same place: the mean of the medians above and below an
    opening, 0.03 to 0.17 and 0.06 to 0.14 eye distances from it. On ten closed eyes of the sample clips this is 1.5 to 10.2,
    mean 4.4 (docs/measures.md). An eye that stays open does not count.
    """
    openings = _openings(avatar, front)
    shut = blink.mesh.covered & (share_of(avatar, blink, Region.SKIN) > _SKIN)
    bare = front.mesh.covered & ~openings
    found: list[float] = []
    for one in _each_eye(openings):
        if not one.any():
            continue
        distance = _distance(one)
        middle = np.average(np.arange(len(one)), weights=one.sum(1))
        above = (np.arange(len(one)) < middle)[:, None]
        lid, *around = (
            one & shut,
            *(
                side & bare & (distance > near) & (distance < far)
                for side, (near, far) in ((above, _ABOVE), (~above, _BELOW))
            ),
        )
        if lid.sum() > _CLOSED * one.sum() and min(side.sum() for side in around) >= _FEWEST:
            skin = np.mean([np.median(front.lab[side], 0) for side in around], axis=0)
            found.append(float(np.linalg.norm(np.median(blink.lab[lid], 0) - skin)))
    return float(np.mean(found)) if found else 0.0


def lid_steps(avatar: Avatar, front: View, closing: Sequence[View]) -> float:
    """Steps of colour across the borders of closing lids above the eyes, Delta E; measured as `steps.plane_steps`.

    front: lids at rest; closing: the same view with lids half closed, nearly and fully. A lid begins where a blink moves the skin
    by 0.12 of its farthest move; lashes and brows do not count, nor steps that the open eye has there.
    """
    share = _blink_share(avatar)
    return mean_excess(
        [_border_steps(avatar, one, share) for one in closing], _border_steps(avatar, front, share)
    )


def _border_steps(avatar: Avatar, seen: View, share: Float32Array) -> Steps:
    """Of both eyes, by sector of the lid's border from the right eye's inner corner on. share: (V,) as of `_blink_share`."""
    triangles = avatar.rig.triangles[seen.triangles]
    lid = seen.mesh.covered & (interpolate(share[:, None], triangles, seen.mesh)[..., 0] > _LID)
    skin, steps = skin_pixels(avatar, seen), Steps()
    for eye, one in enumerate(_each_eye(lid)):
        if not one.any():
            continue
        rows, columns = np.nonzero(one)
        y, x = np.mgrid[: one.shape[0], : one.shape[1]]
        above = rows.max() - y  # the lid's lower end, where the lashes are
        sector = np.floor(np.arctan2(above, x - columns.mean()) / np.pi * _SECTORS)
        upper = skin & (above > 0) & (sector >= 0) & (sector < _SECTORS)
        across = np.where(one, _distance(~one), -_distance(one))
        found = binned_steps(seen, upper, across, sector)
        steps |= {eye * _SECTORS + place: step for place, step in found.items()}
    return steps


def _each_eye(mask: BoolArray) -> tuple[BoolArray, BoolArray]:
    half = np.arange(mask.shape[1]) < mask.shape[1] // 2
    return mask & half, mask & ~half


def _distance(mask: BoolArray) -> FloatArray:
    """(H, W) eye distances from a mask, 0 in it."""
    pixels = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(pixels, np.float64) / EYE_DISTANCE


def _blink_share(avatar: Avatar) -> Float32Array:
    """(V,) how far blinks move each vertex, of the farthest move of its eye's."""
    moves = np.linalg.norm(
        avatar.rig.actions[[index("eyeBlinkLeft"), index("eyeBlinkRight")]], axis=2
    )
    return (moves / np.maximum(moves.max(1, keepdims=True), 1e-6)).max(0).astype(np.float32)


def _openings(avatar: Avatar, front: View) -> BoolArray:
    """(H, W) where the rig shows an eyeball."""
    parts = avatar.rig.parts[front.triangles]
    return front.mesh.covered & np.isin(parts[np.maximum(front.mesh.triangle_ids, 0)], EYES)
