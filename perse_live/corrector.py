"""Correctives frame after frame: only entries of components that are not 0 are read, only Gaussians that they change written.

Does what `perse_live.correctives.correct` says, which it is tested against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array
from perse_live.avatar import Avatar
from perse_live.correctives import INPUT_NAMES, MAX_CURVES, MAX_KNOTS, Component, Corrected, Deltas
from perse_live.jit import kernel


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
    """The components' curves as kernels and graphs want them."""
    count = len(components)
    inputs = np.full((count, MAX_CURVES), len(INPUT_NAMES), np.int32)
    first = np.ones((count, MAX_CURVES), np.float32)
    knots, bends = (np.zeros((count, MAX_CURVES, MAX_KNOTS), np.float32) for _ in range(2))
    for k, one in enumerate(components):
        for j, curve in enumerate(one.curves):
            places, values = np.array(curve.knots, np.float64).T
            slopes = np.concatenate([[0], np.diff(values) / np.diff(places), [0]])
            inputs[k, j], first[k, j] = INPUT_NAMES.index(curve.input), values[0]
            knots[k, j, :len(places)], bends[k, j, :len(places)] = places, np.diff(slopes)
    return CurveTable(inputs, first, knots, bends)


class Corrector:
    """Applies one avatar's correctives; for one thread at a time."""

    def __init__(self, avatar: Avatar) -> None:
        """Prepare; `wear` goes on with the same avatar in other looks."""
        self._table = curve_table(avatar.correctives.components)
        self._inputs = np.ones(len(INPUT_NAMES) + 1, np.float32)
        self._features = np.zeros(len(avatar.correctives), np.float32)
        self._deltas: Deltas | None = None
        self.wear(avatar)

    def wear(self, avatar: Avatar) -> None:
        """The same avatar in other looks, or the same arrays with other contents. Raises ValueError for other components."""
        self._base = Corrected(avatar.surface.positions, avatar.rigid.means, avatar.opacities, avatar.colors)
        if len(avatar.correctives) != len(self._features):
            raise ValueError("another avatar's correctives: make an animator of its own for it")
        if not len(avatar.correctives):
            return
        deltas = avatar.correctives.deltas
        if self._deltas is None or deltas.ids is not self._deltas.ids:
            count = len(avatar.correctives)
            owners = np.repeat(np.arange(count), np.diff(deltas.starts))
            shading, moving = (deltas.colors != 0).any(1) | (deltas.opacities != 0), (deltas.offsets != 0).any(1)
            self._shades, self._moves = (np.bincount(owners[some], minlength=count) > 0 for some in (shading, moving))
            self._shaded, self._moved = (np.unique(deltas.ids[some[owners]]).astype(np.int32)
                                         for some in (self._shades, self._moves))
        self._deltas = deltas
        self._out = Corrected(*(np.ascontiguousarray(array, np.float32).copy() for array in self._base))

    def __call__(self, expression: FloatArray, gaze: FloatArray, secondary: FloatArray | None = None) -> Corrected:
        """What changes with an expression (52,), a gaze (2, 2) radians and secondary motion (4,).

        Returns the avatar's own arrays where no feature differs from 0, else work buffers.
        """
        if self._deltas is None:
            return self._base
        self._inputs[:52], self._inputs[52:56] = expression, np.reshape(gaze, -1)
        self._inputs[56:60] = 0 if secondary is None else secondary
        table, deltas, out = self._table, self._deltas, self._out
        if not _evaluate(self._inputs, table.inputs, table.first, table.knots, table.bends, self._features):
            return self._base
        _shade(self._features, self._shades, deltas.starts, deltas.ids, deltas.colors, deltas.opacities, self._shaded,
               self._base.colors, self._base.opacities, out.colors, out.opacities)
        if len(self._moved):
            _shift(self._features, self._moves, deltas.starts, deltas.ids, deltas.offsets, self._moved, self._base.positions,
                   self._base.means, out.positions, out.means)
        return out


@kernel
def _evaluate(inputs: Float32Array, chosen: Int32Array, first: Float32Array, knots: Float32Array, bends: Float32Array,
              features: Float32Array) -> bool:
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
def _shade(features: Float32Array, shades: BoolArray, starts: Int32Array, ids: Int32Array, colors: Float32Array,
           opacities: Float32Array, changed: Int32Array, base_colors: Float32Array, base_opacities: Float32Array,
           out_colors: Float32Array, out_opacities: Float32Array) -> None:
    zero, one = np.float32(0.0), np.float32(1.0)
    for i in range(len(changed)):
        g = changed[i]
        out_colors[g, 0], out_colors[g, 1], out_colors[g, 2] = base_colors[g, 0], base_colors[g, 1], base_colors[g, 2]
        out_opacities[g] = base_opacities[g]
    for k in range(len(features)):
        f = features[k]
        if f == 0 or not shades[k]:
            continue
        for n in range(starts[k], starts[k + 1]):
            g = ids[n]
            out_colors[g, 0] += f * colors[n, 0]
            out_colors[g, 1] += f * colors[n, 1]
            out_colors[g, 2] += f * colors[n, 2]
            out_opacities[g] += f * opacities[n]
    for i in range(len(changed)):
        g = changed[i]
        for c in range(3):
            out_colors[g, c] = min(max(out_colors[g, c], zero), one)
        out_opacities[g] = min(max(out_opacities[g], zero), one)


@kernel
def _shift(features: Float32Array, moves: BoolArray, starts: Int32Array, ids: Int32Array, offsets: Float32Array,
           moved: Int32Array, base_positions: Float32Array, base_means: Float32Array, out_positions: Float32Array,
           out_means: Float32Array) -> None:
    count = len(base_positions)
    for i in range(len(moved)):
        g = moved[i]
        for c in range(3):
            if g < count:
                out_positions[g, c] = base_positions[g, c]
            else:
                out_means[g - count, c] = base_means[g - count, c]
    for k in range(len(features)):
        f = features[k]
        if f == 0 or not moves[k]:
            continue
        for n in range(starts[k], starts[k + 1]):
            g = ids[n]
            for c in range(3):
                if g < count:
                    out_positions[g, c] += f * offsets[n, c]
                else:
                    out_means[g - count, c] += f * offsets[n, c]
