"""The avatar's skin under its hair: which of it is covered, and its inferred bare colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from offline.looks.face.rest_positions import surface_places
from offline.looks.hair.hair_color import hair_of
from offline.looks.photo_tones import LUMA, lab_of, skin_likeness, skin_of
from offline.looks.skin.skin_light import plain_skin, skin_under_light
from offline.numeric import facing_of, normalized, ramp
from offline.rig.anatomy import HeadCharts
from offline.sampling import SurfacePoints
from offline.texture.completion import complete_colors
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.avatar import Avatar
from perse_live.head.rig import Part, surface_triangles
from perse_live.raster import vertex_normals
from perse_live.regions import Region

_CHARTS = ("lips", "ears", "eyelids", "brows", "scalp", "beard", "face")
_SPREADS = 60  # iterations of diffusion, over about a centimetre
_BROW = 0.12  # threshold of the brow chart, from which hair may belong to a brow
# Metres from hair: extent of its shadow, and of pixels that mix hair and skin
_SHADED, _MIXED = (0.034, 0.005)


@dataclass(frozen=True, eq=False)
class OwnHead:
    """An avatar with its S Gaussians on the rig as points of the mesh."""

    avatar: Avatar
    """Without attributes."""
    on: SurfacePoints
    """The S Gaussians on the rig, as points of the mesh."""
    rest: Float32Array
    """(S, 3) metres on the mean head."""
    charts: dict[str, Float32Array]
    """(S,) each, in [0, 1], by the names of `HeadCharts`."""

    @property
    def own(self) -> Float32Array:
        """(S, 3) their colours."""
        return self.avatar.colors[: len(self.on)]

    @property
    def skin(self) -> BoolArray:
        """(S,) mask of skin, with brows and beard."""
        on_skin = self.avatar.rig.parts[self.on.triangle] == Part.SKIN
        return on_skin & np.isin(
            self.avatar.regions[: len(self.on)], (Region.SKIN, Region.LIPS, Region.SCALP)
        )


def own_head(avatar: Avatar, template: FloatArray, charts: HeadCharts) -> OwnHead:
    """template: (V, 3) the mean head's vertices."""
    on, triangles = skin_points(avatar), avatar.rig.triangles
    return OwnHead(
        avatar,
        on,
        on.interpolate(template, triangles),
        {name: on.interpolate(getattr(charts, name), triangles) for name in _CHARTS},
    )


def skin_points(avatar: Avatar) -> SurfacePoints:
    """The avatar's Gaussians on the rig as points of the mesh, (S,)."""
    surface = avatar.surface
    b1, b2 = surface.positions[:, 0], surface.positions[:, 1]
    return SurfacePoints(
        surface.triangles, np.stack([1 - b1 - b2, b1, b2], 1), np.zeros(len(b1), np.float32)
    )


def bare_skin(head: OwnHead, covered: FloatArray) -> Float32Array:
    """Colours (S, 3) of the bare skin: known where `covered` (S,) in [0, 1] is 0, inferred elsewhere."""
    avatar, skin, count = head.avatar, head.skin, len(head.on)
    known = (
        (1 - ramp(covered, 0.0, 0.3))
        * (avatar.regions[:count] != Region.SCALP)
        * (avatar.opacities[:count] > 0.3)
    )
    places = surface_places(avatar, avatar.rig.vertices)
    out = head.own.copy()
    normals = head.on.interpolate(
        vertex_normals(avatar.rig.vertices, surface_triangles(avatar.rig)), avatar.rig.triangles
    )
    parts = np.stack([head.charts["lips"], head.charts["brows"]], 1)
    out[skin] = complete_colors(
        head.own[skin],
        np.clip(known[skin], 0, 1),
        places[skin],
        head.rest[skin],
        normalized(normals[skin]),
        parts[skin],
        rng=np.random.default_rng(0),
    )
    rows = np.nonzero(skin)[0]
    smooth = out[rows[KDTree(places[rows]).query(places, k=12)[1]]].mean(1)
    off_brows = 1 - ramp(head.charts["brows"], _BROW, 2 * _BROW)
    plain = ramp(covered, 0.2, 0.6) * skin * off_brows
    out = out + (plain * 0.7)[:, None] * (smooth - out)
    wanted = _skin_in_light(head, (covered < 0.05) & skin)
    dim = ramp((out @ LUMA) / np.maximum(wanted @ LUMA, 0.02), 0.97, 0.85) * ramp(covered, 0.1, 0.4)
    dim = dim * skin * off_brows
    out = out + dim[:, None] * (wanted - out)
    plain_rows = rows[head.charts["brows"][rows] < _BROW]
    return _without_edges(out, ramp(covered, 0.1, 0.4) * off_brows, plain_rows, places).astype(
        np.float32
    )


def _without_edges(
    colors: FloatArray, guessed: FloatArray, rows: NDArray[np.integer], places: FloatArray
) -> FloatArray:
    """Colours (S, 3) with the inferred ones (S,) diffused into their neighbours; rows: of plain skin."""
    near = rows[KDTree(places[rows]).query(places[rows], k=12)[1]]
    share = guessed[rows, None]
    out = colors.astype(np.float64)
    for _ in range(_SPREADS):
        out[rows] += share * (out[near].mean(1) - out[rows])
    return out


def _skin_in_light(head: OwnHead, bare: BoolArray) -> FloatArray:
    """Plain skin (S, 3) under the light of the avatar's photo. bare: (S,) where skin is visible."""
    rig = head.avatar.rig
    normals = normalized(
        head.on.interpolate(vertex_normals(rig.vertices, surface_triangles(rig)), rig.triangles)
    )
    plain = bare & plain_skin(head.charts, head.rest)
    return skin_under_light(normals, head.own, plain if plain.sum() > 50 else bare, normals)


def _facing_photo(head: OwnHead) -> FloatArray:
    """(S,) cosine between the skin's normals and the direction to the photo's camera."""
    rig, source = head.avatar.rig, head.avatar.source
    normals = normalized(
        head.on.interpolate(vertex_normals(rig.vertices, surface_triangles(rig)), rig.triangles)
    )
    places = surface_places(head.avatar, rig.vertices)
    turn = source.R_cam_head.astype(np.float64)
    return facing_of(places @ turn.T + source.t_cam_head, normals @ turn.T)


def under_hair(head: OwnHead) -> FloatArray:
    """(S,) in [0, 1]: how much the avatar's skin is hidden by, mixed with or shaded by the hair of its head."""
    avatar, count = head.avatar, len(head.on)
    share = hair_of(avatar).share[:count]
    covered = np.maximum(ramp(share, 0.02, 0.3), avatar.regions[:count] == Region.SCALP)
    hairy = (covered > 0.5) & head.skin
    if not hairy.any():
        return covered
    skin, bare = head.skin, (covered < 0.05) & head.skin
    places = surface_places(avatar, avatar.rig.vertices)
    wanted = _skin_in_light(head, bare)
    darker = 1 - (head.own @ LUMA) / np.maximum(wanted @ LUMA, 0.02)
    unlike = 1 - skin_likeness(head.own, skin_of(avatar))
    from_hair = KDTree(places[hairy]).query(places)[0]
    aside = (head.rest[:, 1] > -0.015) | (np.abs(head.rest[:, 0]) > 0.048)
    features = np.maximum.reduce(
        [head.charts["brows"], head.charts["eyelids"], head.charts["lips"]]
    )
    zone = aside * skin * (1 - ramp(features, 0.02, 0.1)) * ramp(from_hair, _SHADED, 0.6 * _SHADED)
    covered = np.maximum(
        covered, zone * np.maximum(ramp(darker, 0.06, 0.15), unlike * ramp(from_hair, 0.02, 0.012))
    )
    # next to the hair, colours inferred for invisible skin contain the hair's shadow
    unseen = ramp(_facing_photo(head), 0.40, 0.20) * skin * (np.abs(head.rest[:, 0]) > 0.045)
    covered = np.maximum(
        covered, unseen * ramp(from_hair, 0.06, 0.03) * (1 - ramp(features, 0.02, 0.1))
    )
    # where a strand crosses a brow, the colour of the other brow, farther from hair, is used
    mirror = np.nonzero(skin)[0][KDTree(head.rest[skin]).query(head.rest * np.array([-1, 1, 1]))[1]]
    lab = lab_of(head.own)
    unlike_mirror = ramp(np.linalg.norm((lab - lab[mirror]) * (0.7, 1, 1), axis=1), 4, 9)
    crossed = (
        (head.charts["brows"] > 0.005)
        * ramp(from_hair, 0.016, 0.010)
        * (from_hair < from_hair[mirror] - 0.002)
        * unlike_mirror
    )
    covered = np.maximum(covered, crossed * skin)
    # next to a covered point the colour is mixed
    rows = np.nonzero(skin)[0]
    near = KDTree(places[rows]).query(places[rows], k=12, distance_upper_bound=_MIXED)[1]
    padded = np.append(covered[rows], 0.0)
    covered[rows] = padded[near].max(1)
    return covered
