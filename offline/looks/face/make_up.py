"""Make-up: eye shadow and liner on the lids, blush on the cheeks, as translucent pigments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from offline.looks.changes import Title, recolored, spots
from offline.looks.face.closed_lids import LidPlaces, lid_places
from offline.looks.face.rest_positions import (
    along_line,
    eyes_closed,
    on_part,
    places_at_rest,
    surface_places,
)
from offline.looks.photo_tones import light_of, lit, skin_likeness, skin_of
from offline.numeric import ramp
from offline.sampling import poisson_disk
from perse_live.arrays import FloatArray
from perse_live.attributes import AddedGaussians, Attribute
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.head.rig import Part
from perse_live.regions import Region

# Landmarks from the apple of the cheek up to the temple
_CHEEKS = ((205, 50, 117, 227), (425, 280, 346, 447))
_LINER_STEP = 0.00055  # metres between the liner's fine Gaussians
_SEED = 77


@dataclass(frozen=True)
class _Look:
    """One make-up."""

    lid: tuple[float, float, float]
    """Colour of the shadow near the lashes; sRGB."""
    outer: tuple[float, float, float]
    """The same towards the outer corner."""
    shadow: float
    """Share at the lashes."""
    height: float
    """Upper end of the shadow, as a fraction of the distance from lashes to brow."""
    liner: float
    """Share; 0: none."""
    thickness: float
    """Of the liner over the outer half of the eye, metres."""
    wing: float
    """How far the liner goes beyond the outer corner, of the eye's width."""
    blush_color: tuple[float, float, float]
    blush: float
    """Share in the middle of the cheek."""


_LOOKS = (
    (
        Title("make-up-natural", "Natural make-up", "make-up"),
        _Look(
            (0.62, 0.42, 0.35),
            (0.42, 0.27, 0.22),
            0.36,
            0.75,
            0.40,
            0.0007,
            0.0,
            (0.84, 0.42, 0.38),
            0.22,
        ),
    ),
    (
        Title("make-up-smoky", "Smoky eyes", "make-up"),
        _Look(
            (0.24, 0.20, 0.21),
            (0.10, 0.085, 0.09),
            0.78,
            0.85,
            0.95,
            0.0013,
            0.10,
            (0.74, 0.36, 0.36),
            0.24,
        ),
    ),
    (
        Title("make-up-evening", "Evening make-up", "make-up"),
        _Look(
            (0.50, 0.26, 0.47),
            (0.26, 0.11, 0.30),
            0.66,
            0.90,
            0.95,
            0.0012,
            0.16,
            (0.86, 0.30, 0.42),
            0.33,
        ),
    ),
)


def blush_share(avatar: Avatar, places: FloatArray, *, spread: float) -> FloatArray:
    """Weight of the blush, (N,) in [0, 1]. places: (N, 3) at rest; spread: standard deviation across, metres."""
    marks = neutral_landmarks(avatar)
    share = np.zeros(len(places))
    for cheek in _CHEEKS:
        line = marks[list(cheek[:3])] * (0.75, 0.75, 0.75) + marks[list(cheek[1:])] * (
            0.25,
            0.25,
            0.25,
        )
        distance, along = along_line(places, line)
        share = np.maximum(share, np.exp(-0.5 * (distance / spread) ** 2) * (1 - 0.45 * along))
    return share


def _shadow(look: _Look, lid: LidPlaces) -> tuple[FloatArray, FloatArray]:
    """Share (N,) of the eye shadow and its colour (N, 3)."""
    window = ramp(lid.across, -0.10, 0.16) * (1 - ramp(lid.across, 1.02, 1.30))
    share = (
        lid.upper
        * ramp(lid.above, -0.0012, -0.0002)
        * (1 - ramp(lid.to_brow, 0.25 * look.height, look.height))
        * window
    )
    under = (
        0.5 * ~lid.upper * ramp(lid.below, -0.0008, 0.0006) * (1 - ramp(lid.below, 0.0012, 0.0040))
    )
    under = under * window * ramp(lid.across, 0.2, 0.7)
    outer = ramp(lid.across, 0.45, 1.0)[:, None]
    colors = np.array(look.lid) * (1 - outer) + np.array(look.outer) * outer
    return look.shadow * np.maximum(share, under) * lid.near, colors


def _liner(look: _Look, lid: LidPlaces) -> FloatArray:
    """Share (N,) of a line above the upper lashes that thickens outwards into a wing."""
    thick = look.thickness * (0.45 + 0.65 * ramp(lid.across, 0.1, 0.9))
    rise = 0.10 * np.maximum(lid.across - 0.97, 0) * 0.30  # metres per width beyond the corner
    thick = thick * (1 - ramp(lid.across, 1.0, 1.0 + max(look.wing, 1e-3)))
    middle = lid.above - rise
    inside = ramp(middle, -0.0007, -0.0001) * (
        1 - ramp(middle / np.maximum(thick, 1e-5), 0.75, 1.25)
    )
    return (
        look.liner * inside * lid.upper * ramp(lid.across, 0.02, 0.12) * (thick > 1e-4) * lid.near
    )


def _liner_spots(
    avatar: Avatar, closed: FloatArray, look: _Look, color: FloatArray
) -> AddedGaussians:
    """The liner as Gaussians finer than the lids' base Gaussians."""
    rig = avatar.rig
    middle, open_middle = (vertices[rig.triangles].mean(1) for vertices in (closed, rig.vertices))
    around = sum(
        lid.near * (np.abs(lid.above) < 0.010)
        for lid in lid_places(avatar, closed, middle, open_middle)
    )
    spacing = np.where((rig.parts == Part.SKIN) & (around > 0), _LINER_STEP, 0)
    points = poisson_disk(closed, rig.triangles, spacing, rng=np.random.default_rng(_SEED))
    lids = lid_places(
        avatar,
        closed,
        *(points.interpolate(vertices, rig.triangles) for vertices in (closed, rig.vertices)),
    )
    shares = np.stack([_liner(look, lid) for lid in lids])
    across = np.where(shares[0] > shares[1], lids[0].across, lids[1].across)
    share = shares.max(0)
    drawn = share > 0.05
    points, share = points.select(drawn), share[drawn]
    return spots(
        avatar,
        closed,
        points,
        np.full(len(points), 0.8 * _LINER_STEP),
        np.tile(color, (len(points), 1)),
        share,
        0.1 + 0.45 * np.clip(across[drawn], 0, 1),
    )  # drawn from the inner corner outwards


def _made_up(title: Title, look: _Look) -> Callable[[Avatar], Attribute]:
    def make(avatar: Avatar) -> Attribute:
        light, count = light_of(avatar), len(avatar.surface.triangles)
        closed = eyes_closed(avatar.rig)
        lids = lid_places(
            avatar,
            closed,
            surface_places(avatar, closed),
            surface_places(avatar, avatar.rig.vertices),
        )
        skin = on_part(avatar, Part.SKIN) & (avatar.regions == Region.SKIN)
        colors, share = avatar.colors.astype(np.float64), np.zeros(len(avatar))

        def paint(pigment: FloatArray, amount: FloatArray) -> None:
            """Apply a pigment (3,) or (G, 3) to the colours so far. amount: (G,)."""
            amount = amount * skin
            colors[:] += amount[:, None] * (lit(pigment, light) - colors)
            share[:] = np.maximum(share, amount > 0)

        def everywhere(values: FloatArray) -> FloatArray:
            return np.concatenate([values, np.zeros((len(avatar) - count, *values.shape[1:]))])

        rosy = look.blush * blush_share(avatar, places_at_rest(avatar), spread=0.012)
        own = skin_of(avatar)
        depth = (avatar.colors.mean(1) / own.color.mean())[:, None]
        paint(
            np.clip(np.array(look.blush_color) * depth, 0, 1),
            rosy * skin_likeness(avatar.colors, own),
        )
        for lid in lids:
            amount, pigment = _shadow(look, lid)
            paint(everywhere(pigment), everywhere(amount))
            paint(np.array([0.05, 0.04, 0.045]), everywhere(0.8 * _liner(look, lid)))
        return recolored(
            avatar,
            title,
            colors,
            share,
            added=_liner_spots(avatar, closed, look, np.array([0.05, 0.04, 0.045])),
        )

    return make


MAKE_UP: dict[str, Callable[[Avatar], Attribute]] = {
    title.name: _made_up(title, look) for title, look in _LOOKS
}
"""By attribute name."""
