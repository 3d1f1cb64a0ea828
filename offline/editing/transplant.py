"""Two heads side by side, point by point: what every part that is taken from a second photo starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from offline.attributes.hair_color import hair_of
from offline.attributes.places import on_part, surface_places
from offline.attributes.tones import skin_likeness, skin_of
from offline.editing.donor import Donor, Progress
from offline.editing.light import LUMA, LightMatch, match_light, plain_skin, skin_under_light, white_of
from offline.editing.topology import Observed, observed, require_head, skin_points
from offline.eyes import eye_openings
from offline.images import erode
from offline.numeric import ramp, unit
from offline.sampling import SurfacePoints
from offline.skin import infer_colors
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.avatar import Avatar
from perse_live.head.rig import EYES, Part
from perse_live.raster import vertex_normals
from perse_live.regions import Region

_SHADED, _MIXED = 0.034, 0.005  # metres from hair: how far its shade reaches, and where pixels mix both
_CHARTS = ("lips", "ears", "eyelids", "brows", "scalp", "beard", "face")


@dataclass(frozen=True, eq=False)
class Transplant:
    """A donor and the avatar that receives, S Gaussians of which lie on the rig."""

    donor: Donor
    avatar: Avatar
    """Without attributes."""
    on: SurfacePoints
    """(S,) the avatar's Gaussians as points of the rig."""
    rest: Float32Array
    """(S, 3) metres on the mean head."""
    charts: dict[str, Float32Array]
    """(S,) each, in [0, 1], by the names of `HeadCharts`."""
    seen: Observed
    """(S,) the donor's photo at these points."""
    light: LightMatch
    progress: Progress

    @property
    def own(self) -> Float32Array:
        """(S, 3) the avatar's colours there."""
        return self.avatar.colors[:len(self.on)]

    @property
    def skin(self) -> BoolArray:
        """(S,) Gaussians of skin, with what grows on it."""
        on_skin = self.avatar.rig.parts[self.on.triangle] == Part.SKIN
        return on_skin & np.isin(self.avatar.regions[:len(self.on)], (Region.SKIN, Region.LIPS, Region.SCALP))


def transplant(donor: Donor, avatar: Avatar, *, progress: Progress) -> Transplant:
    """Compare the two heads (0.3 s). Raises UserError for an avatar of another mesh."""
    require_head(avatar)
    on = skin_points(avatar)
    triangles = avatar.rig.triangles
    rest = donor.geometry.on_template(on)
    charts = {name: on.interpolate(getattr(donor.charts, name), triangles) for name in _CHARTS}
    seen = observed(donor, on)
    plain = plain_skin(charts, rest) & (avatar.regions[:len(on)] == Region.SKIN)
    eyes = erode(eye_openings(donor.portrait.detection.landmarks, donor.look.alpha.shape), 1)
    own_eyes = avatar.colors[on_part(avatar, *EYES)]
    light = match_light(seen, avatar.colors[:len(on)], plain, (white_of(donor.look.image[eyes]), white_of(own_eyes)))
    return Transplant(donor, avatar, on, rest, charts, seen, light, progress)


def bare_skin(both: Transplant, covered: FloatArray) -> Float32Array:
    """The avatar's skin (S, 3) as if nothing covered it: known where `covered` (S,) in [0, 1] is 0, inferred elsewhere."""
    avatar, skin, count = both.avatar, both.skin, len(both.on)
    known = (1 - ramp(covered, 0.0, 0.3)) * (avatar.regions[:count] != Region.SCALP) * (avatar.opacities[:count] > 0.3)
    places = surface_places(avatar, avatar.rig.vertices)
    out = both.own.copy()
    out[skin] = infer_colors(both.own[skin], np.clip(known[skin], 0, 1), places[skin], both.rest[skin], both.charts["lips"][skin],
                             rng=np.random.default_rng(0))
    rows = np.nonzero(skin)[0]
    smooth = out[rows[KDTree(places[rows]).query(places, k=12)[1]]].mean(1)
    plain = ramp(covered, 0.2, 0.6) * skin * (both.charts["brows"] < 0.02)
    out = out + (plain * 0.7)[:, None] * (smooth - out)
    wanted = _skin_in_light(both, (covered < 0.05) & skin)
    dim = ramp((out @ LUMA) / np.maximum(wanted @ LUMA, 0.02), 0.97, 0.85) * ramp(covered, 0.1, 0.4)
    dim = dim * skin * (both.charts["brows"] < 0.02)
    return (out + dim[:, None] * (wanted - out)).astype(np.float32)


def _skin_in_light(both: Transplant, bare: BoolArray) -> FloatArray:
    """Plain skin (S, 3) as the light of the avatar's photo would show it. bare: (S,) where skin can be seen."""
    rig = both.avatar.rig
    normals = unit(both.on.interpolate(vertex_normals(rig.vertices, rig.triangles), rig.triangles))
    plain = bare & plain_skin(both.charts, both.rest)
    return skin_under_light(normals, both.own, plain if plain.sum() > 50 else bare, normals)


def under_hair(both: Transplant) -> FloatArray:
    """(S,) in [0, 1] how far the avatar's skin is hidden, mixed with or shaded by the hair of its head."""
    avatar, count = both.avatar, len(both.on)
    share = hair_of(avatar).share[:count]
    covered = np.maximum(ramp(share, 0.02, 0.3), avatar.regions[:count] == Region.SCALP)
    hairy = (covered > 0.5) & both.skin
    if not hairy.any():
        return covered
    skin, bare = both.skin, (covered < 0.05) & both.skin
    places = surface_places(avatar, avatar.rig.vertices)
    wanted = _skin_in_light(both, bare)
    darker = 1 - (both.own @ LUMA) / np.maximum(wanted @ LUMA, 0.02)
    unlike = 1 - skin_likeness(both.own, skin_of(avatar))
    from_hair = KDTree(places[hairy]).query(places)[0]
    aside = (both.rest[:, 1] > -0.015) | (np.abs(both.rest[:, 0]) > 0.048)
    features = np.maximum.reduce([both.charts["brows"], both.charts["eyelids"], both.charts["lips"]])
    zone = aside * skin * (1 - ramp(features, 0.02, 0.1)) * ramp(from_hair, _SHADED, 0.6 * _SHADED)
    covered = np.maximum(covered, zone * np.maximum(ramp(darker, 0.06, 0.15), unlike * ramp(from_hair, 0.02, 0.012)))
    # where a strand crosses a brow, the other brow tells what is under it
    twin = KDTree(both.rest[skin]).query(both.rest * np.array([-1, 1, 1]))[1]
    shadowed = 1 - (both.own @ LUMA) / np.maximum(both.own[skin][twin] @ LUMA, 0.02)
    crossed = (both.charts["brows"] > 0.02) * ramp(from_hair, 0.010, 0.004) * ramp(shadowed, 0.05, 0.15)
    covered = np.maximum(covered, crossed * skin)
    # beside a covered point the colour is mixed
    rows = np.nonzero(skin)[0]
    near = KDTree(places[rows]).query(places[rows], k=12, distance_upper_bound=_MIXED)[1]
    padded = np.append(covered[rows], 0.0)
    covered[rows] = padded[near].max(1)
    return covered
