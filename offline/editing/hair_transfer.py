"""The hair of a second photo on the avatar's head, in place of the avatar's hair."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from offline.editing.donor import donor_avatar
from offline.editing.head_pair import Transplant
from offline.editing.head_warp import head_warp, spread_over
from offline.editing.light_match import natural_hair
from offline.looks.assembly import Changes, attribute, rigid_added
from offline.looks.changes import Title
from offline.looks.measured_head import centers_of
from offline.looks.photo_tones import plausible_hair
from offline.looks.skin.under_hair import bare_skin, skin_points, under_hair
from offline.numeric import ramp
from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.errors import UserError
from perse_live.gaussians import Gaussians
from perse_live.regions import Region

_HAIR = (Region.HAIR, Region.HAIR_BACK)
_LEAST = 600
"""Fewest Gaussians of a head with hair; a shaved one has fewer."""
_SAME_PLACE = 0.008  # metres on the mean head
_ROOT_HEIGHT, _ROOT_SHARE = -0.03, 0.35  # hair below this height grows from above it
# Metres: height below which hair lies on shoulders, and how near to them
_SHOULDERS, _LYING = (-0.15, 0.02)
_SEED = 3


def hair_from(both: Transplant, title: Title) -> Attribute:
    """Raises UserError where the photo shows no hair."""
    donor = donor_avatar(both.donor, progress=both.progress)
    is_hair = np.isin(donor.regions, _HAIR)
    if is_hair.sum() < _LEAST:
        raise UserError(
            f"{both.donor.photo.name}: no hair is found on that head; use a photo that shows the hair"
        )
    count = len(donor.surface.triangles)
    hair = is_hair[count:]
    own = Gaussians(
        donor.rigid.means[hair],
        donor.rigid.quats[hair],
        donor.rigid.scales[hair],
        donor.opacities[count:][hair],
        donor.colors[count:][hair],
    )
    carried = head_warp(both.donor, both.avatar).gaussians(own)
    colors = natural_hair(both.light.things(plausible_hair(carried.colors)))
    carried = Gaussians(
        carried.means, carried.quats, carried.scales, carried.opacities, colors.astype(np.float32)
    )
    rng = np.random.default_rng(_SEED)
    added = rigid_added(
        carried,
        start=_roots(both.avatar, carried.means),
        appear=rng.uniform(0, 0.3, len(carried.means)),
        least_size=0.5,
        region=Region.HAIR,
    )
    added.rigid.head_weights[:] = donor.rigid.head_weights[hair]
    added.regions[:] = donor.regions[count:][hair]
    return attribute(title.name, title.label, title.slot, added, _without_own_hair(both, donor))


def _roots(avatar: Avatar, means: Float32Array) -> FloatArray:
    """Roots (N, 3) of hair Gaussians (N, 3): the nearest skin, for long hair higher up."""
    skin = avatar.regions[: len(avatar.surface.triangles)]
    corners = avatar.rig.vertices[avatar.rig.triangles[avatar.surface.triangles]].mean(1)
    head = corners[np.isin(skin, (Region.SKIN, Region.SCALP)) & (corners[:, 1] > -0.06)]
    raised = means.astype(np.float64).copy()
    low = raised[:, 1] < _ROOT_HEIGHT
    raised[low, 1] = _ROOT_HEIGHT + _ROOT_SHARE * (raised[low, 1] - _ROOT_HEIGHT)
    return head[np.asarray(KDTree(head).query(raised)[1])]


def _without_own_hair(both: Transplant, donor: Avatar) -> Changes:
    """Hide the avatar's hair; colour the skin below as on the donor's head: scalp under hair, bare elsewhere."""
    avatar, count = both.avatar, len(both.on)
    floating = np.isin(avatar.regions, _HAIR)
    regions = donor.regions[: len(donor.surface.triangles)]
    on_head = np.isin(regions, (Region.SKIN, Region.SCALP))
    points = skin_points(donor).select(on_head)
    rest = points.interpolate(both.donor.geometry.template, donor.rig.triangles)
    distance, near = KDTree(rest).query(both.rest, k=4)
    hairy = (regions[on_head][near] == Region.SCALP).mean(1) * ramp(
        distance[:, 0], 2 * _SAME_PLACE, _SAME_PLACE
    )
    under = natural_hair(both.light.things(donor.colors[: len(regions)][on_head][near].mean(1)))
    covered = under_hair(both)
    goal = hairy[:, None] * under + (1 - hairy[:, None]) * bare_skin(both, covered)
    changed = both.skin & ((covered > 0.02) | (hairy > 0.02))
    colors, opacities = avatar.colors.astype(np.float64), avatar.opacities.copy()
    colors[:count][changed] = goal[changed]
    opacities[floating] = 0
    lying, shoulders = _on_shoulders(avatar, floating)
    colors[lying], opacities[lying] = shoulders, avatar.opacities[lying]
    ids = np.nonzero(floating | np.concatenate([changed, np.zeros(len(avatar) - count, np.bool_)]))[
        0
    ].astype(np.int32)
    return Changes(ids, np.clip(colors[ids], 0, 1).astype(np.float32), opacities[ids])


def _on_shoulders(avatar: Avatar, floating: BoolArray) -> tuple[Int32Array, FloatArray]:
    """Indices (N,) of hair on the avatar's shoulders, and colours (N, 3) of what is below it, which takes its place."""
    places = centers_of(avatar)
    low = floating & (places[:, 1] < _SHOULDERS) & (avatar.opacities > 0.3)
    ground = (avatar.regions == Region.CLOTHES) & (places[:, 1] < _SHOULDERS + 0.02)
    ground |= (avatar.regions == Region.SKIN) & (places[:, 1] < _SHOULDERS)
    if not low.any() or ground.sum() < 50:
        return np.zeros(0, np.int32), np.zeros((0, 3))
    ids = np.nonzero(low)[0]
    near = KDTree(places[ground]).query(places[ids], k=1)[0] < _LYING
    ids = ids[near].astype(np.int32)
    return ids, spread_over(places, avatar.colors.astype(np.float64), ground, places[ids])
