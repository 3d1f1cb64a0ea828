"""Effects of a hat on base Gaussians: hidden, compressed and shaded ones."""

from __future__ import annotations

import numpy as np

from offline.looks.assembly import (
    Changes,
    attribute,
    changes,
    joined_added,
    piece_by_piece,
    rigid_added,
)
from offline.looks.headwear.hat_form import HatForm
from offline.looks.headwear.pressed_hair import PressedHair, pressed_gaussians, pressed_hair
from offline.looks.measured_head import centers_of
from offline.numeric import ramp
from perse_live.arrays import FloatArray
from perse_live.attributes import Attribute
from perse_live.gaussians import Gaussians
from perse_live.regions import Region


def hat_attribute(
    name: str,
    label: str,
    form: HatForm,
    hat: Gaussians,
    *,
    extra: float,
    brim: FloatArray | None = None,
) -> Attribute:
    """A hat as an attribute, with the hair that emerges under it.

    extra: thickness of the hat, metres; brim: (A, 3) the outer edge of a brim, which casts a wide shadow.
    """
    pressed = pressed_hair(form, extra)
    hair = pressed_gaussians(form, pressed)
    whole = np.concatenate([hat.means, hair.means]).astype(np.float64)
    appear = piece_by_piece(_from_the_crown(form, whole))
    added = rigid_added(hat, appear=appear[: len(hat)], solid=True)
    if len(hair):
        added = joined_added(
            added, rigid_added(hair, appear=appear[len(hat) :], region=Region.HAIR)
        )
    return attribute(name, label, "hat", added, _under_hat(form, pressed, extra, brim))


def _from_the_crown(form: HatForm, points: FloatArray) -> FloatArray:
    """Rank (N,), in metres, of points (N, 3) of a hat in order of appearance: from the top to the edge, then the brim."""
    azimuth, _, _ = form.polar(points)
    right, up, forwards = form.local(points).T
    beyond = np.hypot(right, forwards) - form.reach(azimuth, np.zeros(len(points)))
    return -up + np.clip(beyond - 0.006, 0, None) * (up < 0.03)


def _under_hat(
    form: HatForm, pressed: PressedHair, extra: float, brim: FloatArray | None
) -> Changes:
    avatar = form.shape.avatar
    places = centers_of(avatar)
    right, up, forwards = form.local(places).T
    azimuth, distance = np.arctan2(right, forwards), np.hypot(right, forwards)
    below = np.clip(-up, 0, None)
    hair, scalp = form.shape.hair, avatar.regions == Region.SCALP
    hidden = np.where(
        hair, np.maximum(ramp(up, -0.004, 0.003), pressed.hides(azimuth, below, distance)), 0.0
    )
    hidden = np.where(scalp & (up > 0.003), 1.0, hidden)
    shade = 0.5 * np.exp(-below / 0.006)
    if brim is not None:
        around = np.linspace(-np.pi, np.pi, 145)
        rim = np.interp(azimuth, around, form.reach(around, np.zeros(145))) + extra
        edge = form.local(brim)
        wide = np.interp(
            azimuth,
            np.arctan2(edge[:, 0], edge[:, 2]),
            np.hypot(edge[:, 0], edge[:, 2]),
            left=0,
            right=0,
        )
        beyond = np.clip(wide - rim, 0, None)  # extent of the brim beyond this point
        shade = np.maximum(shade, 0.38 * ramp(beyond, 0.0, 0.04) * ramp(below, 0.055, 0.012))
    # Must not shine through the cloth
    covered = np.isin(avatar.regions, (Region.SKIN, Region.SCALP)) & (up > 0.006)
    shaded = (np.isin(avatar.regions, (Region.SKIN, Region.LASHES)) | hair | scalp) & (up < 0.01)
    return changes(
        avatar,
        shown=1 - hidden,
        brightness=np.where(covered, 0.6, np.where(shaded, 1 - shade, 1.0)),
    )
