"""How one hairstyle becomes another: what the teacher of a look shows between its ends.

Hair of which the other hairstyle has none at its azimuth and height is cut, or grows in the reverse
(`offline.looks.hair.haircut`). What is left of the one moves as a whole into the hair of the other, and both dissolve into each
other on the way. Where the other has no hair, it sinks onto the scalp and fades there as stubble.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import KDTree

from offline.looks.hair.haircut import timetable
from offline.looks.hair.hairstyle import Hairstyle, Scalp, hairstyle_of
from offline.looks.photo_tones import lab_of, rgb_of
from offline.numeric import ramp
from offline.priors import PATCH
from perse_live.arrays import Float32Array, FloatArray, Int32Array
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.regions import Region

SHARES = np.linspace(0, 1, 25)
"""Of the way, at which it is known."""
_HAIR = (Region.HAIR, Region.HAIR_BACK)
_SEEN = 0.02  # opacity from which a Gaussian of hair has a strand
_FEW = 50  # Gaussians that are no hairstyle
# Shares of the way: on which one hairstyle dissolves, where the other is there before; on which hair that sinks onto the scalp
# fades, and the scalp loses its colour
_DISSOLVE = (0.5, 0.75)
_STUBBLE = (0.35, 1.0)
# Metres: least height above the skin, and height that need not be kept
_CLOSEST, _CLEAR = (0.0005, 0.008)
_OWN_UNTIL = 0.15  # share of the way on which colours that are none of hair go


@dataclass(frozen=True, eq=False)
class HairOnTheWay:
    """N Gaussians of one hairstyle at the T shares of the way `SHARES`."""

    places: Float32Array
    """(T, N, 3) metres at rest, head frame."""
    colors: Float32Array
    """(T, N, 3) sRGB."""
    shown: Float32Array
    """(T, N) of their opacity, at most 1; less than 0 where hair is surely gone."""

    def backwards(self) -> HairOnTheWay:
        """The same from its end to its beginning."""
        return HairOnTheWay(*(array[::-1] for array in vars(self).values()))


@dataclass(frozen=True, eq=False)
class HairstyleWay:
    """The whole way from the avatar's own hair to a look's."""

    rows: Int32Array
    """(N,) rows of the look's `ids` that are own hair."""
    own: HairOnTheWay
    """Of these."""
    added: HairOnTheWay
    """Of what the look adds."""
    bare_from: float
    """Share of the way at which the skin under the hair begins to change."""
    scalp: Scalp
    hairstyle: Hairstyle
    """The look's."""

    def begun(self, look: Attribute) -> Attribute:
        """The look, whose added hair starts where the own hair is and in its colours."""
        return replace(
            look,
            added=replace(
                look.added, rigid_start=self.added.places[0], colors=self.added.colors[0]
            ),
        )


def hidden_hair(avatar: Avatar, look: Attribute) -> Int32Array:
    """Rows of a look's `ids` that are own hair and that it takes away; none for looks that leave it."""
    hair = np.isin(avatar.regions[look.ids], _HAIR) & (look.ids >= len(avatar.surface.triangles))
    rows = np.nonzero(hair & (look.opacities == 0) & (avatar.opacities[look.ids] > _SEEN))[0]
    return rows.astype(np.int32) if len(rows) >= _FEW else np.zeros(0, np.int32)


def hairstyle_way(avatar: Avatar, look: Attribute, scalp: Scalp | None) -> HairstyleWay | None:
    """None for looks that leave the own hair, and without a scalp. avatar: without attributes."""
    if scalp is None or look.slot != "hair" or len(look.added.surface.triangles):
        return None
    rows, on = hidden_hair(avatar, look), len(avatar.surface.triangles)
    if not len(rows):
        return None
    ids = look.ids[rows] - on
    own = Hairstyle(avatar.rigid.means[ids], avatar.colors[on:][ids])
    its = hairstyle_of(look.added)
    return HairstyleWay(
        rows,
        on_the_way(scalp, own, its),
        on_the_way(scalp, its, own).backwards(),
        0.0 if len(its) else _STUBBLE[0],
        scalp,
        its,
    )


def on_the_way(scalp: Scalp, mine: Hairstyle, other: Hairstyle) -> HairOnTheWay:
    """Gaussians of one hairstyle on the way from it to another.

    What only the one has is cut first, what only the other has grows last; between, the one moves into the other.
    """
    count, shares = len(mine), SHARES
    if not count:
        none = np.zeros((len(shares), 0, 3), np.float32)
        return HairOnTheWay(none, none, none[..., 0])
    cuts = scalp.haircut(mine, other), scalp.haircut(other, mine)
    cut_until, grown_from = timetable(*cuts)
    cut = np.minimum(shares / cut_until, 1) if cut_until else np.zeros(len(shares))
    stays = cuts[0].stays if cut_until else np.ones(count, np.bool_)
    places = mine.places + cuts[0].moved(cut)
    out = HairOnTheWay(
        places.astype(np.float32),
        np.repeat(mine.colors[None], len(shares), 0),
        cuts[0].left(cut).astype(np.float32),
    )
    tones = lab_of(mine.colors)
    early = np.minimum(shares / _OWN_UNTIL, 1)[:, None, None]
    of_hair = rgb_of((tones + early * (_without_outliers(tones) - tones)).reshape(-1, 3))
    out.colors[1:] = of_hair.reshape(out.colors.shape)[1:]
    morph = np.clip((shares - cut_until) / (grown_from - cut_until), 0, 1)
    rest = other.selected(cuts[1].stays) if grown_from < 1 else other
    moved = _moved(scalp, mine.selected(stays), rest, shares, morph)
    out.places[:, stays], out.shown[:, stays] = moved.places, moved.shown
    after = morph > 0
    out.colors[np.ix_(after, stays)] = moved.colors[after]
    return out


def _moved(
    scalp: Scalp, mine: Hairstyle, other: Hairstyle, shares: FloatArray, morph: FloatArray
) -> HairOnTheWay:
    """Gaussians of one hairstyle that become those of another. shares: (T,) of the way; morph: (T,) how far colours have changed
    and the one has dissolved into the other.

    Each goes to the nearest of the other's, or to the scalp where that is nearer and the other leaves it bare; neighbours go
    together, so that strands stay strands.
    """
    field, count = scalp.field, len(mine)
    bare = scalp.bared(other)
    goals = np.concatenate([other.places, bare])
    nearest = np.asarray(KDTree(goals).query(mine.places)[1])
    near = min(PATCH, count)
    beside = np.asarray(KDTree(mine.places).query(mine.places, k=near)[1]).reshape(count, near)
    way = (goals[nearest] - mine.places)[beside].mean(1)
    sinks = (nearest >= len(other))[beside].mean(1)
    places = mine.places + shares[:, None, None] * way
    heights = field.foot(mine.places).heights, field.foot(places[-1]).heights
    clear = np.clip(np.minimum(*heights), _CLOSEST, _CLEAR)
    for step in range(1, len(shares)):
        places[step] = field.lifted(places[step], clear)
    tones = _without_outliers(lab_of(mine.colors))
    wanted = tones
    if len(other):
        partner = np.asarray(KDTree(other.places).query(mine.places)[1])
        wanted = _without_outliers(lab_of(other.colors))[partner]
    mixed = rgb_of((tones + morph[:, None, None] * (wanted - tones)).reshape(-1, 3))
    gone, faded = (ramp(morph, *part)[:, None] for part in (_DISSOLVE, _STUBBLE))
    return HairOnTheWay(
        places.astype(np.float32),
        mixed.reshape(places.shape).astype(np.float32),
        ((1 - sinks) * (1 - gone) + sinks * (1 - faded)).astype(np.float32),
    )


def _without_outliers(tones: FloatArray) -> FloatArray:
    """CIE L*a*b* (N, 3) of hair; what is far from all other hair, such as clothes seen between strands, takes the median."""
    if not len(tones):
        return tones
    median = np.median(tones, 0)
    apart = np.linalg.norm(tones - median, axis=1)
    usual = float(np.median(apart))
    odd = ramp(apart, 3 * usual + 15, 4 * usual + 25)[:, None]
    return tones + odd * (median - tones)
