"""Guide strands: one hairstyle as polylines from roots that lie at the same places on every head.

A hairstyle is given as Gaussians of which each knows its root on the scalp and the line from there to itself. Guides summarise
them; a Gaussian is then a share of the arc length of the guide strand at its root, and an offset from it. Places of the scalp
are compared on the template (the mean head), where they mean the same for everybody.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import KDTree

from perse_live.arrays import BoolArray, FloatArray, Int32Array
from perse_live.hair.polylines import arc_lengths, between, points_at

POINTS = 12
"""Of a guide strand."""
_NEIGHBOURS = 48  # lines of which a guide is made
_LONG = 0.6  # quantile of their lengths: shorter ones are hair inside, or only the beginning of a strand
_REACH = 0.014  # metres on the template beyond which hair does not grow from a guide's root
_AHEAD = 0.06  # share of a strand to both sides over which its direction is taken
_MIXED = 4  # guides between which a root lies


@dataclass(frozen=True, eq=False)
class RootedHair:
    """N Gaussians of hair, each at the end of a line that grows from the scalp."""

    roots_template: FloatArray
    """(N, 3) metres on the template."""
    lines: FloatArray
    """(N, POINTS, 3) metres, head frame: from the root to the Gaussian."""

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def roots(self) -> FloatArray:
        """(N, 3) metres, head frame."""
        return self.lines[:, 0]

    @property
    def places(self) -> FloatArray:
        """(N, 3) metres, head frame: of the Gaussians."""
        return self.lines[:, -1]

    @property
    def lengths(self) -> FloatArray:
        """(N,) metres from root to Gaussian."""
        return arc_lengths(self.lines)[:, -1]


@dataclass(frozen=True, eq=False)
class Guides:
    """R guide strands of one hairstyle."""

    roots_template: FloatArray
    """(R, 3) metres on the template; the same for all hairstyles that are compared."""
    strands: FloatArray
    """(R, POINTS, 3) metres, relative to the root, so that the first point is 0; all 0 where no hair grows."""

    @property
    def lengths(self) -> FloatArray:
        """(R,) metres; 0 where no hair grows."""
        return arc_lengths(self.strands)[:, -1]


@dataclass(frozen=True, eq=False)
class OnGuides:
    """Positions of N Gaussians on guide strands."""

    guides: Int32Array
    """(N, M) between which guides a Gaussian's root lies."""
    weights: FloatArray
    """(N, M) of each, sum 1."""
    shares: FloatArray
    """(N,) in [0, 1] of the strand's arc length."""


def bald(roots_template: FloatArray) -> Guides:
    """Guides of no hair at all. roots_template: (R, 3)."""
    return Guides(roots_template, np.zeros((len(roots_template), POINTS, 3)))


def fit_guides(roots_template: FloatArray, hair: RootedHair) -> Guides:
    """Guides at roots (R, 3) of the template, each the mean of the longer lines that grow near it."""
    if not len(hair):
        return bald(roots_template)
    count = min(_NEIGHBOURS, len(hair))
    distance, near = KDTree(hair.roots_template).query(roots_template, k=count)
    distance, near = distance.reshape(-1, count), near.reshape(-1, count)
    long = hair.lengths[near]
    close = np.exp(-0.5 * (distance / (0.5 * _REACH)) ** 2) + 1e-6
    weights = close * (long >= np.quantile(long, _LONG, axis=1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    relative = hair.lines - hair.lines[:, :1]
    strands = np.einsum("rk,rkpc->rpc", weights, relative[near])
    # A mean of lines in different directions is shorter than they are
    wanted = (weights * long).sum(1)
    is_long = arc_lengths(strands)[:, -1]
    strands *= (wanted / np.maximum(is_long, 1e-6))[:, None, None]
    strands[distance[:, 0] > _REACH] = 0
    return Guides(roots_template, strands)


def on_guides(hair: RootedHair, guides: Guides) -> OnGuides:
    """Position of each Gaussian of a hairstyle on the hairstyle's guides."""
    count = min(_MIXED, len(guides.roots_template))
    distance, near = KDTree(guides.roots_template).query(hair.roots_template, k=count)
    distance, near = distance.reshape(-1, count), near.reshape(-1, count)
    weights = 1 / np.maximum(distance, 1e-3) ** 2
    weights /= weights.sum(1, keepdims=True)
    long = (weights * guides.lengths[near]).sum(1)
    shares = np.clip(hair.lengths / np.maximum(long, 1e-3), 0, 1)
    return OnGuides(near.astype(np.int32), weights, shares)


def mixed_lengths(guides: Guides, at: OnGuides) -> FloatArray:
    """(N,) metres: how long the strands are on which Gaussians lie."""
    return (at.weights * guides.lengths[at.guides]).sum(1)


def relative_places(strands: FloatArray, at: OnGuides) -> FloatArray:
    """(N, 3) metres from the root: where Gaussians lie on guide strands (R, POINTS, 3)."""
    out = np.zeros((len(at.shares), 3))
    for column in range(at.guides.shape[1]):
        lines = strands[at.guides[:, column]]
        out += at.weights[:, column, None] * points_at(lines, at.shares[:, None])[:, 0]
    return out


@dataclass(frozen=True, eq=False)
class StrandWay:
    """N Gaussians on strands at T shares of the way from one hairstyle to another."""

    places: FloatArray
    """(T, N, 3) metres from the root."""
    lengths: FloatArray
    """(T, N) metres, of the strands."""
    directions: FloatArray
    """(T, N, 3) unit, of the strands there; 0 on strands of no length."""


def way_along(at: OnGuides, first: Guides, last: Guides, shares: FloatArray) -> StrandWay:
    """Gaussians while the strands of one hairstyle turn into those of another. shares: (T,) of the way."""
    places, lengths, directions = [], [], []
    before, after = (
        replace(at, shares=np.clip(at.shares + step, 0, 1)) for step in (-_AHEAD, _AHEAD)
    )
    for share in shares:
        strands = between(first.strands, last.strands, float(share))
        places.append(relative_places(strands, at))
        long = arc_lengths(strands)[:, -1]
        lengths.append((at.weights * long[at.guides]).sum(1))
        ahead = relative_places(strands, after) - relative_places(strands, before)
        directions.append(ahead / np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-6))
    return StrandWay(np.stack(places), np.stack(lengths), np.stack(directions))


def partners(
    hair: RootedHair, at: OnGuides, other: RootedHair, others: OnGuides, *, count: int
) -> Int32Array:
    """(N, count) for each Gaussian of a hairstyle the closest matches in another: near its root, at a similar position along
    its strand; fewer where the other has fewer.
    """

    def coordinates(one: RootedHair, where: OnGuides) -> FloatArray:
        return np.concatenate(
            [one.roots_template / _ROOT_UNIT, where.shares[:, None] / _SHARE_UNIT], 1
        )

    tree = KDTree(coordinates(other, others))
    found = tree.query(coordinates(hair, at), k=min(count, len(other)))[1]
    return np.asarray(found, np.int32).reshape(len(hair), -1)


_ROOT_UNIT, _SHARE_UNIT = 0.012, 0.25
"""Metres on the template, and share of the strand's length, that count alike where partners are sought."""


def grows(guides: Guides, at: OnGuides) -> BoolArray:
    """(N,) whether the hairstyle of the guides has hair where Gaussians have their roots."""
    return mixed_lengths(guides, at) > _MIN_LENGTH


_MIN_LENGTH = 0.002
"""Metres: shorter hair is none."""
