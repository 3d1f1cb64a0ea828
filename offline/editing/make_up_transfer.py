"""Make-up of a second photo: the difference of lids, lips and cheeks from that face's plain skin, applied to the avatar.

After Guo & Sim, Digital Face Makeup by Example (CVPR 2009): colour and shade of the example relative to its skin are carried
over, the structure of the receiving face stays; here point by point through the rig.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from offline.editing.head_pair import Transplant
from offline.editing.head_warp import spread_over
from offline.editing.light_match import LUMA, natural_hair
from offline.editing.skin_differences import (
    Patch,
    avatar_normals,
    fine_points,
    painted,
    patch,
    plain_points,
)
from offline.looks.changes import Title, recolored
from offline.looks.photo_tones import lab_of, rgb_of
from offline.looks.skin.skin_light import skin_under_light
from offline.numeric import ramp
from perse_live.arrays import FloatArray
from perse_live.attributes import AddedGaussians, Attribute
from perse_live.errors import UserError
from perse_live.srgb import to_linear, to_srgb

_LID_REACH, _WING = 0.011, 0.014  # metres around the lids; beyond the outer corner
_CHEEK_BLUR = 0.007  # metres: blush has no edges
_LINER_STEP = 0.0006  # metres between fine Gaussians along the lashes
_LIPS_TINTED, _LIDS_DARK = 9.0, 0.22  # Lab units; share of brightness: less is a bare face
_SEED = 23


def make_up_from(both: Transplant, title: Title) -> Attribute:
    """Raises UserError where the photo shows a bare face."""
    lids, lips, cheeks = _regions(both)
    there = patch(both, both.on, np.maximum.reduce([lids, lips, cheeks]))
    _require(both, there, lips, lids)
    own_skin = skin_under_light(
        avatar_normals(both, both.on), both.own, plain_points(both), avatar_normals(both, both.on)
    )
    goal = both.own.astype(np.float64)
    goal = _mixed(goal, _cheeks(both, there, own_skin), 0.8 * cheeks)
    goal = _mixed(goal, _shaded(both, there, own_skin), lids)
    goal = _mixed(goal, _lips(both, there, lips), lips)
    everywhere = np.concatenate([goal, np.zeros((len(both.avatar) - len(goal), 3))])
    share = np.maximum.reduce([lids, lips, cheeks])
    return recolored(
        both.avatar,
        title,
        everywhere,
        np.where(share > 0.02, 1.0, 0.0),
        added=_liner(both, there, lids, own_skin),
    )


def _mixed(below: FloatArray, above: FloatArray, share: FloatArray) -> FloatArray:
    return below + share[:, None] * (above - below)


def _regions(both: Transplant) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weights (S,) of the lids with their surroundings, the lips, and the cheeks."""
    x, y, z = both.rest.T
    charts = both.charts
    lid = (charts["eyelids"] > 0.2) & both.skin
    lids = (
        ramp(KDTree(both.rest[lid]).query(both.rest)[0], _LID_REACH, 0.3 * _LID_REACH) * both.skin
    )
    brow = (charts["brows"] > 0.3) & both.skin
    lids = (
        lids
        * ramp(KDTree(both.rest[brow]).query(both.rest)[0], 0.0025, 0.006)
        * (z > -0.03)
        * ramp(np.abs(x), 0.058, 0.052)
    )
    lips = ramp(charts["lips"], 0.25, 0.6) * both.skin
    cheeks = ramp(np.hypot((np.abs(x) - 0.040) / 0.020, (y + 0.036) / 0.020), 1.25, 0.5) * both.skin
    return lids, lips, cheeks * (1 - lids) * (1 - lips)


def _require(both: Transplant, there: Patch, lips: FloatArray, lids: FloatArray) -> None:
    red, lid = (lips > 0.6) & there.known, (lids > 0.6) & there.known
    if red.sum() < 20 and lid.sum() < 20:
        raise UserError(
            f"{both.donor.photo.name}: lips and lids cannot be seen; use a photo from the front"
        )
    tint = (
        lab_of(there.donor[red]).mean(0) - lab_of(there.donor_skin[red]).mean(0)
        if red.any()
        else np.zeros(3)
    )
    dark = (
        1 - (there.donor[lid] @ LUMA) / np.maximum(there.donor_skin[lid] @ LUMA, 0.02)
        if lid.any()
        else np.zeros(1)
    )
    if np.hypot(tint[1], tint[2]) < _LIPS_TINTED and float(np.percentile(dark, 75)) < _LIDS_DARK:
        raise UserError(
            f"{both.donor.photo.name}: no make-up can be seen on that face; use a photo that shows it clearly"
        )


def _shaded(both: Transplant, there: Patch, own_skin: FloatArray) -> FloatArray:
    """The avatar's skin (N, 3) with the donor's local change of lightness and tint."""
    relative = (to_linear(there.donor) + 2e-3) / (to_linear(there.donor_skin) + 2e-3)
    level = (relative @ LUMA)[:, None]
    sheer = to_srgb(to_linear(own_skin) * np.clip(level + 0.6 * (relative - level), 0.0, 1.6))
    # opaque make-up keeps its colour, whatever the skin: liner, lashes, dark shadow
    dark = ramp(1 - (there.donor @ LUMA) / np.maximum(there.donor_skin @ LUMA, 0.02), 0.25, 0.6)[
        :, None
    ]
    return (1 - dark) * sheer + dark * natural_hair(both.light.things(there.donor))


def _cheeks(both: Transplant, there: Patch, own_skin: FloatArray) -> FloatArray:
    """The avatar's colours with the donor's blush, as a change of hue only: a cheek's lightness is its shading."""
    tint = (lab_of(there.donor) - lab_of(there.donor_skin))[:, 1:]
    near = KDTree(both.rest)
    distance, neighbours = near.query(both.rest, k=40)
    weight = np.exp(-0.5 * (distance / _CHEEK_BLUR) ** 2)
    smooth = (tint[neighbours] * weight[..., None]).sum(1) / weight.sum(1, keepdims=True)
    lab = lab_of(both.own)
    base = lab_of(own_skin)
    lab[:, 1:] = 0.5 * lab[:, 1:] + 0.5 * base[:, 1:] + np.clip(smooth, -12, 18)
    return rgb_of(lab)


def _lips(both: Transplant, there: Patch, lips: FloatArray) -> FloatArray:
    """The avatar's lips, with folds and highlights, in the donor's colour: mean and deviation in Lab (Reinhard et al. 2001)."""
    mine, theirs = lips > 0.6, (lips > 0.6) & there.known
    if theirs.sum() < 20:
        return both.own.astype(np.float64)
    own, donor = lab_of(both.own), lab_of(there.donor)
    skin_shift = lab_of(both.light.own_skin[None])[0] - lab_of(both.light.donor_skin[None])[0]
    mean, wanted = own[mine].mean(0), donor[theirs].mean(0) + np.array([0.6, 0.3, 0.3]) * skin_shift
    spread = np.clip(donor[theirs].std(0) / np.maximum(own[mine].std(0), 1.0), 0.7, 1.3)
    return rgb_of((own - mean) * spread + wanted)


def _liner(
    both: Transplant, there: Patch, lids: FloatArray, own_skin: FloatArray
) -> AddedGaussians:
    """The photo's lines along the lashes and beyond the outer corners, on finer Gaussians than those of the avatar's lids."""
    charts, template = both.donor.charts, both.donor.geometry.template
    edge = (charts.eyelids > 0.2) & (template[:, 2] > -0.02)
    near = ramp(KDTree(template[edge]).query(template)[0], _WING, 0.5 * _WING) * (
        1 - ramp(charts.brows, 0.05, 0.3)
    )
    points = fine_points(
        both,
        near * (np.abs(template[:, 0]) < 0.07) * (template[:, 2] > -0.05),
        _LINER_STEP,
        seed=_SEED,
    )
    region = points.interpolate(near.astype(np.float32), both.avatar.rig.triangles)
    fine = patch(both, points, np.maximum(region, 0.03))
    skin = spread_over(both.rest, there.donor_skin, both.skin, fine.rest, count=6)
    own = spread_over(both.rest, own_skin, both.skin, fine.rest, count=6)
    fine = Patch(fine.on, fine.rest, fine.donor, skin, fine.known)
    dark = 1 - (fine.donor @ LUMA) / np.maximum(skin @ LUMA, 0.02)
    amount = ramp(dark, 0.35, 0.6) * region
    drawn = amount > 0.1
    colors = _shaded(both, fine, own)
    return painted(
        both,
        points.select(drawn),
        _LINER_STEP,
        colors[drawn],
        amount[drawn],
        np.full(int(drawn.sum()), 0.2),
    )
