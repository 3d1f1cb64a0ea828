"""Hair that another hairstyle lacks is cut: from its lower end upwards, at one height all round, as a hairdresser does.

Gaussians of hair know their roots only roughly, so that hair cut at lengths of strands would have a ragged edge. It is cut at a
height instead, which rises until the other hairstyle has hair at the same height and azimuth around the head's vertical axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import KDTree

from offline.looks.hair.grown_strands import SkinField
from offline.looks.measured_head import Skull
from perse_live.arrays import BoolArray, FloatArray

_AZIMUTHS, _CELL = 48, 0.005  # cells of the chart of hair: count all round, and metres
_SMOOTH = (2.0, 1.6)  # cells, standard deviation over which hair is counted
_EVEN = 2.0  # cells all round, standard deviation over which heights are averaged
_LOWEST = 1.0  # percentile of heights at which the hair ends
_HAS = 0.2  # of its mean density, from which a hairstyle has hair
BESIDE = 0.014
"""Metres from its hair within which a hairstyle has hair as well."""
_JITTER = 0.003  # metres, standard deviation by which ends of strands differ
_SOFT = 0.010  # metres over which hair fades at its end
# Metres by which the end rises farther, so that nothing is half there afterwards
_PAST = _SOFT + 4 * _JITTER
_SEED = 7
_GONE = 0.5  # least of what is left
_HANGS = 0.028  # metres outside the skull's widest outline within which cut hair hangs
_FALLS = 0.85  # share of what is outside that it falls towards the head
_FALLEN = 0.67  # share of the cut after which it hangs there
# Metres that are cut: from which it is a haircut, and from which it takes the longest
_SHORT, _LONG = 0.015, 0.13
_MUCH = 0.3  # share of the hair from which the same holds
_LONGEST = 0.62  # share of the way
_REST = 0.3  # share of the way that is left for what both hairstyles have


@dataclass(frozen=True, eq=False)
class Haircut:
    """How N Gaussians of hair are cut."""

    heights: FloatArray
    """(N,) metres above the lower end of the hair."""
    stays: BoolArray
    """(N,) what is left in the end."""
    fallen: FloatArray
    """(N, 3) metres: how far Gaussians fall towards the head meanwhile."""
    length: float
    """Metres by which the lower end rises."""

    @property
    def share(self) -> float:
        """[0, 1] of the hair that is cut."""
        return float(1 - self.stays.mean()) if len(self.stays) else 0.0

    def left(self, cut: FloatArray) -> FloatArray:
        """How much is left (T, N), at most 1, at shares (T,) of the cut; less than 0 well beyond the end, so that small errors of
        the network do not show what is gone.
        """
        ends = np.random.default_rng(_SEED).normal(0, _JITTER, len(self.heights))
        above = (self.heights + ends)[None] - cut[:, None] * (self.length + _PAST)
        left = np.clip(1 + above / _SOFT, -_GONE, 1.0)
        return np.where((cut[:, None] == 0) | self.stays, 1.0, left)

    def moved(self, cut: FloatArray) -> FloatArray:
        """(T, N, 3) metres at shares (T,) of the cut."""
        return np.minimum(cut / _FALLEN, 1)[:, None, None] * self.fallen


def haircut(field: SkinField, skull: Skull, places: FloatArray, other: FloatArray) -> Haircut:
    """Of hair at places (N, 3) that turns into hair at other places (M, 3), metres, head frame; M may be 0."""
    if not len(places):
        return Haircut(np.zeros(0), np.ones(0, np.bool_), np.zeros((0, 3)), 0.0)
    lacks = field.foot(places).scalp <= 0.5
    chart = _Chart(skull, np.concatenate([places, other]))
    if len(other):
        density = chart.density(other)
        lacks &= chart.at(density, places) < _HAS * density[density > 0].mean()
        lacks &= KDTree(other).query(places)[0] > BESIDE
    ends = chart.ends(places, lacks)
    low = float(np.percentile(places[:, 1], _LOWEST))
    aside = (places - skull.center) * [1.0, 0.0, 1.0]
    distance = np.linalg.norm(aside, axis=1, keepdims=True)
    units = aside / np.maximum(distance, 1e-6)
    beyond = distance[:, 0] - skull.reach(skull.center, units) - _HANGS
    fallen = -_FALLS * np.maximum(beyond, 0)[:, None] * units
    stays = (places[:, 1] >= ends) | ~lacks
    length = float(places[~stays, 1].max()) - low if not stays.all() else 0.0
    return Haircut(places[:, 1] - low, stays, fallen, max(length, 0.0))


def timetable(mine: Haircut, other: Haircut) -> tuple[float, float]:
    """Shares of the way until which the one hairstyle is cut, and from which the other grows."""
    times = [
        _LONGEST
        * float(np.interp(cut.length, (_SHORT, _LONG), (0.0, 1.0)))
        * min(cut.share / _MUCH, 1.0)
        for cut in (mine, other)
    ]
    scale = min(1.0, (1 - _REST) / max(sum(times), 1e-6))
    return times[0] * scale, 1 - times[1] * scale


class _Chart:
    """Hair counted by azimuth around the head's vertical axis and by height."""

    def __init__(self, skull: Skull, places: FloatArray) -> None:
        """places: (N, 3) metres, head frame: all hair that is compared."""
        low, high = float(places[:, 1].min()), float(places[:, 1].max())
        count = max(2, int(np.ceil((high - low) / _CELL)))
        self._skull = skull
        self._edges = np.linspace(-np.pi, np.pi, _AZIMUTHS + 1), np.linspace(low, high, count + 1)

    def density(self, places: FloatArray) -> FloatArray:
        """(A, H) of hair at places (N, 3)."""
        counted = np.histogram2d(self._azimuths(places), places[:, 1], self._edges)[0]
        around = gaussian_filter1d(counted, _SMOOTH[0], axis=0, mode="wrap")
        return gaussian_filter1d(around, _SMOOTH[1], axis=1, mode="nearest")

    def at(self, density: FloatArray, places: FloatArray) -> FloatArray:
        """(N,) density (A, H) at places (N, 3)."""
        cells = [
            np.clip(np.digitize(values, edges) - 1, 0, len(edges) - 2)
            for values, edges in zip(
                (self._azimuths(places), places[:, 1]), self._edges, strict=True
            )
        ]
        return density[cells[0], cells[1]]

    def ends(self, places: FloatArray, lacks: BoolArray) -> FloatArray:
        """(N,) metres, head frame: heights above which most hair stays at the azimuths of places (N, 3). lacks: (N,) does not."""
        whole, only = self.density(places), self.density(places[lacks])
        mostly = only > 0.5 * np.maximum(whole, 1e-3 * whole.max())
        highest = self._edges[1][len(whole[0]) - mostly[:, ::-1].argmax(1)]
        weights = whole.sum(1) * mostly.any(1)
        if not weights.any():
            return np.full(len(places), -np.inf)
        even = [
            gaussian_filter1d(line, _EVEN, mode="wrap") for line in (highest * weights, weights)
        ]
        ends = even[0] / np.maximum(even[1], 1e-9 * even[1].max())
        middles = (self._edges[0][:-1] + self._edges[0][1:]) / 2
        return np.interp(self._azimuths(places), middles, ends, period=2 * np.pi)

    def _azimuths(self, places: FloatArray) -> FloatArray:
        x, _, z = (places - self._skull.center).T
        return np.arctan2(x, z)
