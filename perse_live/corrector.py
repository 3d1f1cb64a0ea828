"""Fast evaluation of correctives, frame after frame: only components whose feature is not 0 are read.

Gives the same results as `perse_live.correctives.correct`, its reference in the tests.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perse_live.arrays import Float32Array, FloatArray, Int32Array, UInt8Array
from perse_live.avatar import Avatar
from perse_live.correctives import INPUT_NAMES, MAX_CURVES, MAX_KNOTS, Component, Corrected, Deltas
from perse_live.jit import kernel
from perse_live.team import team_of

_SHARE = 4096  # Gaussians per unit of work of a thread


@dataclass(frozen=True, eq=False)
class CurveTable:
    """All curves of C components as arrays: f(x) = first + sum over knots of bend * max(x - knot, 0)."""

    inputs: Int32Array
    """(C, 2) rows of `INPUT_NAMES`; the row behind them, a constant 1, for a curve that is not there."""
    first: Float32Array
    """(C, 2) values before the first knot."""
    knots: Float32Array
    """(C, 2, 6)"""
    bends: Float32Array
    """(C, 2, 6) changes of slope; 0 for knots that are not there."""


def curve_table(components: Sequence[Component]) -> CurveTable:
    """The components' curves as arrays, for kernels and graphs."""
    count = len(components)
    inputs = np.full((count, MAX_CURVES), len(INPUT_NAMES), np.int32)
    first = np.ones((count, MAX_CURVES), np.float32)
    knots, bends = (np.zeros((count, MAX_CURVES, MAX_KNOTS), np.float32) for _ in range(2))
    for k, one in enumerate(components):
        for j, curve in enumerate(one.curves):
            places, values = np.array(curve.knots, np.float64).T
            slopes = np.concatenate([[0], np.diff(values) / np.diff(places), [0]])
            inputs[k, j], first[k, j] = INPUT_NAMES.index(curve.input), values[0]
            knots[k, j, : len(places)], bends[k, j, : len(places)] = places, np.diff(slopes)
    return CurveTable(inputs, first, knots, bends)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Entries sorted by Gaussian, so that sums are written once (compressed sparse rows)."""

    gaussians: Int32Array
    """(U,) that any entry is of, rising."""
    starts: Int32Array
    """(U + 1,) entries of each."""
    components: UInt8Array
    """(N,) of each entry."""
    entries: Int32Array
    """(N,) rows of the deltas: as many rising sequences as there are components, which a processor reads ahead."""


class Corrector:
    """Applies one avatar's correctives. Not thread-safe."""

    def __init__(self, avatar: Avatar, *, threads: int) -> None:
        """threads: how many may share the work of a frame; `set_avatar` switches to other attribute weights."""
        self._table, self._threads = curve_table(avatar.correctives.components), threads
        self._inputs = np.ones(len(INPUT_NAMES) + 1, np.float32)
        self._features = np.zeros(len(avatar.correctives), np.float32)
        self._deltas: Deltas | None = None
        self.set_avatar(avatar)

    def set_avatar(self, avatar: Avatar) -> None:
        """Switch to the same avatar with other attribute weights. Raises ValueError for other components."""
        self._base = Corrected(
            avatar.surface.positions, avatar.rigid.means, avatar.opacities, avatar.colors
        )
        if len(avatar.correctives) != len(self._features):
            raise ValueError("another avatar's correctives: create an Animator for that avatar")
        if not len(avatar.correctives):
            return
        deltas = avatar.correctives.deltas
        if self._deltas is None or deltas.ids is not self._deltas.ids:
            self._rows = _rows(deltas)
        self._deltas = deltas
        self._out = Corrected(
            *(np.ascontiguousarray(array, np.float32).copy() for array in self._base)
        )

    def __call__(
        self, expression: FloatArray, gaze: FloatArray, secondary: FloatArray | None = None
    ) -> Corrected:
        """The corrected arrays for an expression (52,), a gaze (2, 2) radians and secondary motion (4,).

        Returns the avatar's arrays where all features are 0, else work buffers.
        """
        if self._deltas is None:
            return self._base
        self._inputs[:52], self._inputs[52:56] = expression, np.reshape(gaze, -1)
        self._inputs[56:60] = 0 if secondary is None else secondary
        table, deltas, out = self._table, self._deltas, self._out
        if not _evaluate(
            self._inputs, table.inputs, table.first, table.knots, table.bends, self._features
        ):
            return self._base
        rows, shares = self._rows, itertools.count()
        count = len(rows.gaussians)

        def work(_: int) -> None:
            while (first := next(shares) * _SHARE) < count:
                _correct(
                    first,
                    min(first + _SHARE, count),
                    rows.gaussians,
                    rows.starts,
                    rows.components,
                    rows.entries,
                    self._features,
                    deltas.colors,
                    deltas.opacities,
                    deltas.offsets,
                    *self._base,
                    *out,
                )

        team_of(self._threads).run(work)
        return out


def _rows(deltas: Deltas) -> _Rows:
    owners = np.repeat(np.arange(len(deltas.starts) - 1, dtype=np.uint8), np.diff(deltas.starts))
    entries = np.argsort(deltas.ids, kind="stable").astype(np.int32)
    gaussians, counts = np.unique(deltas.ids, return_counts=True)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return _Rows(gaussians.astype(np.int32), starts, owners[entries], entries)


@kernel
def _evaluate(
    inputs: Float32Array,
    chosen: Int32Array,
    first: Float32Array,
    knots: Float32Array,
    bends: Float32Array,
    features: Float32Array,
) -> bool:
    """Features (C,) of the inputs; whether any is not 0."""
    tiny = np.float32(1e-5)  # rounding of curves that are 0
    some = False
    for k in range(len(chosen)):
        product = np.float32(1.0)
        for j in range(chosen.shape[1]):
            x, value = inputs[chosen[k, j]], first[k, j]
            for n in range(knots.shape[2]):
                value += bends[k, j, n] * max(x - knots[k, j, n], np.float32(0.0))
            product *= value
        features[k] = product if abs(product) > tiny else np.float32(0.0)
        some = some or abs(product) > tiny
    return some


@kernel
def _correct(
    first: int,
    last: int,
    gaussians: Int32Array,
    row_starts: Int32Array,
    components: UInt8Array,
    entries: Int32Array,
    features: Float32Array,
    colors: Float32Array,
    opacities: Float32Array,
    offsets: Float32Array,
    positions: Float32Array,
    means: Float32Array,
    base_opacities: Float32Array,
    base_colors: Float32Array,
    out_positions: Float32Array,
    out_means: Float32Array,
    out_opacities: Float32Array,
    out_colors: Float32Array,
) -> None:
    """Base plus features times deltas for rows `first` to `last`; colours and opacities clipped to [0, 1]."""
    zero, one = np.float32(0.0), np.float32(1.0)
    count = len(positions)
    for i in range(first, last):
        g = gaussians[i]
        red, green, blue, opacity = (
            base_colors[g, 0],
            base_colors[g, 1],
            base_colors[g, 2],
            base_opacities[g],
        )
        x, y, z = zero, zero, zero
        for m in range(row_starts[i], row_starts[i + 1]):
            f = features[components[m]]
            if f != zero:
                n = entries[m]
                red += f * colors[n, 0]
                green += f * colors[n, 1]
                blue += f * colors[n, 2]
                opacity += f * opacities[n]
                x += f * offsets[n, 0]
                y += f * offsets[n, 1]
                z += f * offsets[n, 2]
        out_colors[g, 0], out_colors[g, 1] = min(max(red, zero), one), min(max(green, zero), one)
        out_colors[g, 2], out_opacities[g] = min(max(blue, zero), one), min(max(opacity, zero), one)
        if g < count:
            out_positions[g, 0], out_positions[g, 1] = positions[g, 0] + x, positions[g, 1] + y
            out_positions[g, 2] = positions[g, 2] + z
        else:
            h = g - count
            out_means[h, 0], out_means[h, 1], out_means[h, 2] = (
                means[h, 0] + x,
                means[h, 1] + y,
                means[h, 2] + z,
            )
