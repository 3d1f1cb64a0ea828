"""Separation of make-up and hair from skin: a face's plain skin under the photo's light, and differences from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from offline.editing.head_pair import Transplant
from offline.editing.head_warp import Observed, observed, spread_over
from offline.editing.light_match import LUMA, natural_hair
from offline.looks.changes import spots
from offline.looks.skin.skin_light import plain_skin, skin_under_light
from offline.numeric import normalized
from offline.sampling import SurfacePoints, poisson_disk
from perse_live.arrays import BoolArray, FloatArray
from perse_live.attributes import AddedGaussians
from perse_live.head.rig import Part, surface_triangles
from perse_live.raster import vertex_normals
from perse_live.srgb import to_linear, to_srgb

_TRUSTED = 0.5  # confidence from which a pixel counts
_TINT = 0.3  # fraction of the hue of skin between hairs that is transferred
_MIRROR_REACH = 0.006  # metres on the mean head


@dataclass(frozen=True, eq=False)
class Patch:
    """N points of the skin with the colours of both faces."""

    on: SurfacePoints
    rest: FloatArray
    """(N, 3) on the mean head."""
    donor: FloatArray
    """(N, 3) sRGB: the donor's photo, mirrored or extrapolated where the point is not visible."""
    donor_skin: FloatArray
    """(N, 3) the donor's plain skin under the photo's light."""
    known: BoolArray
    """(N,) whether the point is visible in the photo."""


def donor_normals(both: Transplant, on: SurfacePoints) -> FloatArray:
    """(N, 3) unit normals of the donor's skin, camera frame."""
    return both.donor.geometry.on_rig(on)[1]


def plain_points(both: Transplant) -> BoolArray:
    """(S,) the avatar's Gaussians at which the donor's photo shows plain skin."""
    plain = plain_skin(both.charts, both.rest) & (both.seen.confidence > _TRUSTED) & both.skin
    if plain.sum() < 80:
        plain = (both.seen.confidence > 0.2) & both.skin & (both.charts["face"] > 0.5)
    luma = both.seen.colors @ LUMA
    middle = float(np.median(luma[plain]))
    return plain & (np.abs(luma - middle) < 0.22)


def patch(both: Transplant, on: SurfacePoints, region: FloatArray) -> Patch:
    """Both faces at points of the skin. region: (N,) where the part may be; nothing is transferred outside of it."""
    rest = both.donor.geometry.on_template(on)
    seen = observed(both.donor, on)
    plain = plain_points(both)
    skin = skin_under_light(
        donor_normals(both, both.on), both.seen.colors, plain, donor_normals(both, on)
    )
    return Patch(on, rest, _completed(seen, rest, skin, region), skin, seen.confidence > _TRUSTED)


def _completed(
    seen: Observed, rest: FloatArray, skin: FloatArray, region: FloatArray
) -> FloatArray:
    """Colours (N, 3), completed where the point is not visible: relative to skin as at the mirror point, or nearby."""
    relative = (to_linear(seen.colors) + 1e-3) / (to_linear(skin) + 1e-3)
    known = (seen.confidence > _TRUSTED) & (region > 0.02)
    if known.sum() < 30:
        return seen.colors.astype(np.float64)
    missing = ~known
    distance, nearest = KDTree(rest[known]).query(rest * np.array([-1, 1, 1]))
    mirror, mirrored = np.asarray(nearest), missing & (np.asarray(distance) < _MIRROR_REACH)
    relative[mirrored] = relative[known][mirror[mirrored]]
    rest_missing = missing & ~mirrored
    if rest_missing.any():
        relative[rest_missing] = spread_over(rest, relative, known | mirrored, rest[rest_missing])
    out = to_srgb(relative * (to_linear(skin) + 1e-3) - 1e-3)
    return np.where(known[:, None], seen.colors, out)


def carried(
    both: Transplant, there: Patch, own_skin: FloatArray, hair: FloatArray, dark: FloatArray
) -> FloatArray:
    """The donor's look (N, 3) on the avatar's skin.

    own_skin: (N, 3) the avatar's, bare; hair: (3,) the donor's; dark: (N,) share of hair at each point: skin between hairs
    keeps its lightness relative to plain skin, hairs keep their colour under the other light.
    """
    relative = (to_linear(there.donor) + 1e-3) / (to_linear(there.donor_skin) + 1e-3)
    level = (relative @ LUMA)[:, None]
    tinted = level + _TINT * (relative - level)  # the two lights tint shadows differently
    between = to_srgb(to_linear(own_skin) * np.clip(tinted, 0.0, 1.15))
    # half-dark pixels mix skin and hair: their share of hair gets the hair's colour
    sure = (dark**2)[:, None]
    hairs = natural_hair(
        both.light.things(sure * np.minimum(there.donor, there.donor_skin) + (1 - sure) * hair)
    )
    return dark[:, None] * hairs + (1 - dark[:, None]) * between


def fine_points(both: Transplant, region: FloatArray, step: float, *, seed: int) -> SurfacePoints:
    """Points denser than the avatar's Gaussians, `step` metres apart, on skin where `region` (V,) is above 0."""
    rig = both.avatar.rig
    inside = region[rig.triangles].max(1) > 0.02
    spacing = np.where((rig.parts == Part.SKIN) & inside, step, 0.0)
    return poisson_disk(rig.vertices, rig.triangles, spacing, rng=np.random.default_rng(seed))


def painted(
    both: Transplant,
    points: SurfacePoints,
    step: float,
    colors: FloatArray,
    opacities: FloatArray,
    appear: FloatArray,
) -> AddedGaussians:
    """Fine Gaussians on the avatar's skin."""
    return spots(
        both.avatar,
        both.avatar.rig.vertices,
        points,
        np.full(len(points), 0.62 * step),
        np.clip(colors, 0, 1),
        np.clip(opacities, 0, 0.95),
        appear,
    )


def avatar_normals(both: Transplant, on: SurfacePoints) -> FloatArray:
    """(N, 3) unit normals of the avatar's skin at rest, head frame."""
    rig = both.avatar.rig
    return normalized(
        on.interpolate(vertex_normals(rig.vertices, surface_triangles(rig)), rig.triangles)
    )
