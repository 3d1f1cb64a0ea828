"""How one hairstyle becomes another: what the teacher of a look shows between its ends.

The avatar's own hair and the look's are both traced to roots on the scalp. Hair of which the other has none at its azimuth and
height is cut, or grows in the reverse (`offline.looks.hair.haircut`). What both have is summarised by guide strands from the same
roots. The guides of the one turn and grow into those of the other; Gaussians of both follow them, so that the two hairstyles have
one shape at each moment and one can dissolve into the other. Where only one of them has hair, it grows out of or into its roots.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import KDTree

from offline.looks.hair.grown_strands import SkinField
from offline.looks.hair.haircut import timetable
from offline.looks.hair.hairstyle import Hairstyle, Scalp, hairstyle, hairstyle_of
from offline.looks.photo_tones import lab_of, rgb_of
from offline.numeric import ramp
from perse_live.arrays import Float32Array, FloatArray, Int32Array
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.hair.guides import mixed_lengths, partners, way_along
from perse_live.regions import Region

SHARES = np.linspace(0, 1, 25)
"""Of the way, at which it is known."""
_HAIR = (Region.HAIR, Region.HAIR_BACK)
_SEEN = 0.02  # opacity from which a Gaussian of hair has a strand
_FEW = 50  # Gaussians that are no hairstyle
_NO_HAIR = 0.003  # metres of strand
# Share of the way on which one hairstyle dissolves into the other, which is there before the first goes; the longer of the two
# is drawn on the greater part of the way, for it has enough Gaussians for both
_DISSOLVE, _EARLIEST, _LATEST = 0.25, 0.4, 0.6
_STUBBLE = (0.65, 1.0)  # share of the way on which hair that has shrunk into its roots fades
_SMALLEST, _LARGEST = 0.35, 1.8  # size of a Gaussian over its own, on shorter and longer strands
_CAP = 0.65  # the same where hair shrinks to nothing: it must cover the scalp until it fades, not lie there in dots
_CLOSEST, _CLEAR = (
    0.0005,
    0.008,
)  # metres: least height above the skin, and height that need not be kept
_FACE = -0.06  # metres, head frame: skin in front of it that is no scalp is the face
_WITHIN, _HULL = (
    0.006,
    8,
)  # metres from the mean of the nearest hair of both ends; how many that are
_TURNED = 0.45  # by how much Gaussians across their strand are smaller: their axes do not turn
_OWN_UNTIL = 0.15  # share of the way on which colours that are none of hair go
_MIXED_FROM = 6  # partners of which offset and colour are the mean: one alone would fray strands
_STRAY = (0.005, 0.010)  # metres from hair of both ends over which hair on the way is hidden there
_BARE_FROM = 0.65  # share of the way until which hair that goes hides the scalp's colour: then its stubble fades


@dataclass(frozen=True, eq=False)
class HairOnTheWay:
    """N Gaussians of one hairstyle at the T shares of the way `SHARES`."""

    places: Float32Array
    """(T, N, 3) metres at rest, head frame."""
    colors: Float32Array
    """(T, N, 3) sRGB."""
    shown: Float32Array
    """(T, N) of their opacity, at most 1; less than 0 where hair is surely gone."""
    sizes: Float32Array
    """(T, N) over their own."""

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
    """None for looks that leave the own hair, and without a scalp. avatar: without attributes (2 s)."""
    if scalp is None or look.slot != "hair" or len(look.added.surface.triangles):
        return None
    rows, on = hidden_hair(avatar, look), len(avatar.surface.triangles)
    if not len(rows):
        return None
    ids, rigid = look.ids[rows] - on, avatar.rigid
    own = hairstyle(
        scalp, rigid.means[ids], rigid.quats[ids], rigid.scales[ids], avatar.colors[on:][ids]
    )
    its = hairstyle_of(scalp, look.added)
    return HairstyleWay(
        rows,
        on_the_way(scalp, own, its),
        on_the_way(scalp, its, own).backwards(),
        0.0 if len(its) else _BARE_FROM,
        scalp,
        its,
    )


def on_the_way(scalp: Scalp, mine: Hairstyle, other: Hairstyle) -> HairOnTheWay:
    """Gaussians of one hairstyle on the way from it to another.

    What only the one has is cut first, what only the other has grows last; between, strands turn into each other.
    """
    count, shares = len(mine), SHARES
    if not count:
        none = np.zeros((len(shares), 0, 3), np.float32)
        return HairOnTheWay(none, none, none[..., 0], none[..., 0])
    cuts = scalp.haircut(mine, other), scalp.haircut(other, mine)
    cut_until, grown_from = timetable(*cuts)
    cut = np.minimum(shares / cut_until, 1) if cut_until else np.zeros(len(shares))
    stays = cuts[0].stays if cut_until else np.ones(count, np.bool_)
    places = mine.hair.places + cuts[0].moved(cut)
    out = HairOnTheWay(
        places.astype(np.float32),
        np.repeat(mine.colors[None], len(shares), 0),
        cuts[0].left(cut).astype(np.float32),
        np.ones((len(shares), count), np.float32),
    )
    tones = lab_of(mine.colors)
    early = np.minimum(shares / _OWN_UNTIL, 1)[:, None, None]
    of_hair = rgb_of((tones + early * (_without_outliers(tones) - tones)).reshape(-1, 3))
    out.colors[1:] = of_hair.reshape(out.colors.shape)[1:]
    morph = np.clip((shares - cut_until) / (grown_from - cut_until), 0, 1)
    rest = other.selected(scalp, cuts[1].stays) if grown_from < 1 else other
    turned = _turned(scalp, mine.selected(scalp, stays, places[-1]), rest, morph)
    after = morph > 0
    for whole, part in zip(vars(out).values(), vars(turned).values(), strict=True):
        whole[np.ix_(after, stays)] = part[after]
    return out


def _turned(scalp: Scalp, mine: Hairstyle, other: Hairstyle, shares: FloatArray) -> HairOnTheWay:
    """Gaussians of one hairstyle while its strands turn and grow into those of another. shares: (T,) of that."""
    count, field = len(mine), scalp.field
    way = way_along(mine.at, mine.guides, other.guides, shares)
    share = shares[:, None, None]
    goal, tones = np.zeros((count, 3)), _without_outliers(lab_of(mine.colors))
    wanted = tones
    if len(other):
        partner = partners(mine.hair, mine.at, other.hair, other.at, count=_MIXED_FROM)
        goal, wanted = (
            other.offsets[partner].mean(1),
            _without_outliers(lab_of(other.colors))[partner].mean(1),
        )
    places = mine.hair.roots + way.places + (1 - share) * mine.offsets + share * goal
    ends = KDTree(np.concatenate([mine.hair.places, other.hair.places]))
    for step in range(len(shares)):
        places[step] = _within(field, ends, places[step], shares[step])
    heights = field.foot(mine.hair.places).heights, field.foot(places[-1]).heights
    clear = np.clip(np.minimum(*heights), _CLOSEST, _CLEAR)
    for step in range(len(shares)):
        places[step] = field.lifted(places[step], clear)
    shown = _off_the_face(field, places, ends)
    long, its = mixed_lengths(mine.guides, mine.at), way.lengths[-1]
    least = np.where(its < _NO_HAIR, _CAP, _SMALLEST)
    sizes = np.clip(np.sqrt(way.lengths / np.maximum(long, 1e-3)), least, _LARGEST)
    across = np.linalg.norm(np.cross(way.directions, way.directions[0]), axis=2)
    sizes *= 1 - _TURNED * across
    mixed = rgb_of(((1 - share) * tones + share * wanted).reshape(-1, 3)).reshape(*places.shape)
    return HairOnTheWay(
        places.astype(np.float32),
        mixed.astype(np.float32),
        (shown * _left(shares, long, its)).astype(np.float32),
        sizes.astype(np.float32),
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


def _within(field: SkinField, ends: KDTree, places: FloatArray, share: float) -> FloatArray:
    """Places (N, 3) moved towards the hair of both ends until they are as good as within it, or between it and the scalp."""
    near = np.asarray(ends.query(places, k=min(_HULL, ends.n))[1]).reshape(len(places), -1)
    towards = ends.data[near].mean(1) - places
    distance = np.linalg.norm(towards, axis=1, keepdims=True)
    beyond = np.maximum(1 - _WITHIN / np.maximum(distance, 1e-9), 0)
    foot = field.foot(places)
    beyond[(foot.scalp > 0.5) & ((towards * foot.normals).sum(1) > 0)] = 0
    return places + min(1.0, 6 * share) * beyond * towards


def _off_the_face(field: SkinField, places: FloatArray, ends: KDTree) -> FloatArray:
    """(T, N) 0 where Gaussians at places (T, N, 3) lie before the face far from all hair of both ends, else 1."""
    shown = np.ones(places.shape[:2])
    for step in range(1, len(places) - 1):
        over = np.nonzero((field.foot(places[step]).scalp < 0.5) & (places[step, :, 2] > _FACE))[0]
        distance = ends.query(places[step, over], distance_upper_bound=_STRAY[1])[0]
        shown[step, over] = 1 - ramp(distance, *_STRAY)
    return shown


def _left(shares: FloatArray, mine: FloatArray, other: FloatArray) -> FloatArray:
    """How much (T, N) of a hairstyle is left on the way to another.

    mine, other: (N,) metres, lengths of both hairstyles' strands at the Gaussians' roots.
    """
    longer = 0.5 + 0.25 * np.log2(np.maximum(mine, 1e-3) / np.maximum(other, 1e-3))
    dissolves = _EARLIEST + (_LATEST - _EARLIEST) * np.clip(longer, 0, 1)
    bare = other < _NO_HAIR
    begin = np.where(bare, _STUBBLE[0], dissolves)
    end = np.where(bare, _STUBBLE[1], dissolves + _DISSOLVE)
    return 1 - ramp((shares[:, None] - begin) / (end - begin), 0.0, 1.0)
