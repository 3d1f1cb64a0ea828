"""Correctives: how the Gaussians' colours, opacities and places depend on the expression, the gaze and secondary motion.

The value of each Gaussian is its base plus the sum over components k of feature_k(inputs) * delta_k, colours and
opacities clipped to [0, 1]. It is the linear corrective of blendshape rigs (Lewis et al. 2014, "Practice and Theory of Blendshape
Facial Models", section 4) applied to appearance as well, with features that may be products of two inputs. Deltas are stored only
for the Gaussians that a component changes. This module is the data model and the reference; `perse_live.corrector` is fast.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from perse_live.animate import SurfaceBinding
from perse_live.arrays import Float32Array, FloatArray, Int32Array
from perse_live.decoder.features import into_binding
from perse_live.head.expressions import EXPRESSION_NAMES
from perse_live.head.rig import HeadRig

MAX_COMPONENTS = 24
MAX_ENTRIES = 400_000
"""Deltas of all components together: 7 MB of a file. A frame costs as much as the entries of the components that are not 0."""
MAX_KNOTS = 6
MAX_CURVES = 2
MIN_SPACING = 0.01
"""Between a curve's knots: steeper curves would flicker with the tracker's noise."""
GAZE_NAMES = ("gazeYawLeft", "gazePitchLeft", "gazeYawRight", "gazePitchRight")
"""Inputs other than the actions: `gaze` (2, 2) flattened; radians; yaw towards +x (the subject's left), pitch upwards."""
SECONDARY_NAMES = ("swayPitch", "swayYaw", "swayRoll", "breath")
"""Inputs of secondary motion: rotation of loose hair relative to the head about its x, y and z axes (radians), and filling of the
lungs, [0, 1]."""
INPUT_NAMES = (*EXPRESSION_NAMES, *GAZE_NAMES, *SECONDARY_NAMES)

_MAX_INPUT = 2.0  # strengths reach 1, gaze angles 0.5 radians
_NAME = re.compile(r"[a-z0-9-]{1,40}")
# Least delta of colour or opacity, and of places (metres, or edges of a triangle)
_VISIBLE, _SHIFTED = (0.5 / 255, 1e-6)


class InvalidCorrectivesError(ValueError):
    """The correctives are invalid; the text says why in a few words."""


@dataclass(frozen=True)
class Curve:
    """A piecewise-linear function of one input, constant before its first and behind its last knot."""

    input: str
    """One of `INPUT_NAMES`."""
    knots: tuple[tuple[float, float], ...]
    """2 to 6 pairs of input (rising, at least 0.01 apart, in [-2, 2]) and value (in [-1, 1])."""

    def __post_init__(self) -> None:
        """Raises InvalidCorrectivesError for what the fields' descriptions exclude."""
        if self.input not in INPUT_NAMES:
            raise InvalidCorrectivesError(f"a curve has the unknown input {self.input[:40]!r}")
        if not 2 <= len(self.knots) <= MAX_KNOTS:
            raise InvalidCorrectivesError(
                f"a curve of {self.input} has {len(self.knots)} knots, not 2 to {MAX_KNOTS}"
            )
        places = [place for place, _ in self.knots]
        sound = all(
            math.isfinite(place) and abs(place) <= _MAX_INPUT and abs(value) <= 1
            for place, value in self.knots
        )
        if not (
            sound
            and all(
                after - before >= MIN_SPACING * 0.999
                for before, after in itertools.pairwise(places)
            )
        ):
            raise InvalidCorrectivesError(
                f"the knots of a curve of {self.input} do not rise, or are out of range"
            )


@dataclass(frozen=True)
class Component:
    """A feature of the inputs: the product of one or two curves, 0 at rest."""

    name: str
    """Such as "blink-left": lower case, letters, digits and hyphens."""
    curves: tuple[Curve, ...]

    def __post_init__(self) -> None:
        """Raises InvalidCorrectivesError for a name or number of curves that is not allowed, and for a feature not 0 at rest."""
        if not _NAME.fullmatch(self.name):
            raise InvalidCorrectivesError(
                f"a component's name is {self.name[:50]!r}: it may have up to 40 of a-z, 0-9 and -"
            )
        if not 1 <= len(self.curves) <= MAX_CURVES:
            raise InvalidCorrectivesError(
                f"component {self.name!r} has {len(self.curves)} curves, not 1 or {MAX_CURVES}"
            )
        if all(_value(curve, 0.0) != 0 for curve in self.curves):
            raise InvalidCorrectivesError(f"component {self.name!r} is not 0 at rest")


@dataclass(frozen=True, eq=False)
class Deltas:
    """What C components add at feature 1: N entries, those of component k in rows starts[k] to starts[k + 1]."""

    starts: Int32Array
    """(C + 1,) from 0 to N, never falling."""
    ids: Int32Array
    """(N,) Gaussians, surface ones first, then rigid ones; rising within a component, each once. (With active attributes that
    have correctives too, in any order, and several entries of a component may be of the same Gaussian: they add up.)"""
    colors: Float32Array
    """(N, 3) sRGB, in [-1, 1]."""
    opacities: Float32Array
    """(N,) in [-1, 1]."""
    offsets: Float32Array
    """(N, 3) in the coordinates of the binding: added to `SurfaceBinding.positions` (b1, b2, lift), or to `RigidBinding.means`
    (metres, head frame). So an offset stretches and turns with the triangle. See `offsets_in_binding`."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Correctives:
    """An avatar's correctives; the base is its state at rest."""

    components: tuple[Component, ...]
    """At most `MAX_COMPONENTS`; no two of the same name."""
    deltas: Deltas
    """Their ids are the avatar's Gaussians."""

    def __len__(self) -> int:
        return len(self.components)


@dataclass(frozen=True, eq=False)
class LookCorrectives:
    """How correctives change with an attribute (a look) at full weight; in between they change linearly with its weight."""

    kept: Float32Array
    """(N,) in [0, 1]: factors of the avatar's deltas on each of the look's N `ids`."""
    deltas: Deltas
    """Added deltas of the avatar's components. Ids: rows of the look's `ids`, then N + rows of the added Gaussians."""


class Corrected(NamedTuple):
    """The arrays of an avatar that correctives change."""

    positions: Float32Array
    """(S, 3) of the surface binding."""
    means: Float32Array
    """(R, 3) of the rigid binding."""
    opacities: Float32Array
    """(S + R,)."""
    colors: Float32Array
    """(S + R, 3)."""


def no_deltas(components: int = 0) -> Deltas:
    """Empty deltas of a number of components."""
    none = np.zeros((0, 3), np.float32)
    return Deltas(np.zeros(components + 1, np.int32), np.zeros(0, np.int32), none, none[:, 0], none)


def no_correctives() -> Correctives:
    """Correctives without components."""
    return Correctives((), no_deltas())


def ramp(name: str, start: float, end: float) -> Curve:
    """0 up to `start`, 1 from `end` on; `end` may lie below `start`, as of a gaze that goes down."""
    return Curve(name, ((start, 0.0), (end, 1.0)) if start < end else ((end, 1.0), (start, 0.0)))


def bump(name: str, start: float, peak: float, end: float) -> Curve:
    """0 up to `start`, 1 at `peak`, 0 from `end` on; start < peak < end."""
    return Curve(name, ((start, 0.0), (peak, 1.0), (end, 0.0)))


def _value(curve: Curve, place: float) -> float:
    places, values = zip(*curve.knots, strict=True)
    return float(np.interp(place, places, values))


def feature_values(
    components: Sequence[Component],
    expression: FloatArray,
    gaze: FloatArray,
    secondary: FloatArray | None = None,
) -> Float32Array:
    """The features (C,) in [-1, 1] of an expression (52,) [0, 1], a gaze (2, 2) radians, and secondary motion (4,), None: 0."""
    moving = np.zeros(len(SECONDARY_NAMES)) if secondary is None else secondary
    inputs = dict(
        zip(
            INPUT_NAMES,
            np.concatenate([expression, np.reshape(gaze, -1), moving]).tolist(),
            strict=True,
        )
    )
    return np.array(
        [
            math.prod(_value(curve, inputs[curve.input]) for curve in one.curves)
            for one in components
        ],
        np.float32,
    )


def correct(correctives: Correctives, base: Corrected, features: Float32Array) -> Corrected:
    """The reference: base plus deltas at features (C,) from `feature_values`. Returns new arrays."""
    positions, means, opacities, colors = (array.copy() for array in base)
    count, deltas = len(positions), correctives.deltas
    for k, feature in enumerate(features):
        rows = slice(deltas.starts[k], deltas.starts[k + 1])
        ids, offsets = deltas.ids[rows], feature * deltas.offsets[rows]
        bound = ids < count
        np.add.at(positions, ids[bound], offsets[bound])
        np.add.at(means, ids[~bound] - count, offsets[~bound])
        np.add.at(opacities, ids, feature * deltas.opacities[rows])
        np.add.at(colors, ids, feature * deltas.colors[rows])
    return Corrected(positions, means, np.clip(opacities, 0, 1), np.clip(colors, 0, 1))


def sparse(
    components: Sequence[Component],
    colors: FloatArray,
    opacities: FloatArray,
    offsets: FloatArray | None = None,
) -> Correctives:
    """Correctives from deltas of all G Gaussians, of which those that change something are kept.

    colors: (C, G, 3) sRGB; opacities: (C, G); offsets: (C, G, 3) in the binding's coordinates, None: 0. Kept are changes of
    half a step of 8 bits or more. Raises InvalidCorrectivesError where there are too many.
    """
    shifts = np.zeros_like(colors) if offsets is None else offsets
    changed = (np.abs(colors).max(2, initial=0) > _VISIBLE) | (np.abs(opacities) > _VISIBLE)
    changed |= np.abs(shifts).max(2, initial=0) > _SHIFTED
    starts = np.concatenate([[0], np.cumsum(changed.sum(1))]).astype(np.int32)
    deltas = Deltas(
        starts,
        np.nonzero(changed)[1].astype(np.int32),
        colors[changed].astype(np.float32),
        opacities[changed].astype(np.float32),
        shifts[changed].astype(np.float32),
    )
    made = Correctives(tuple(components), deltas)
    check(made, colors.shape[1])
    return made


def join(first: Correctives, second: Correctives) -> Correctives:
    """The components of both, of the same avatar. Raises InvalidCorrectivesError where there are too many, or names agree."""
    a, b = first.deltas, second.deltas
    starts = np.concatenate([a.starts, b.starts[1:] + a.starts[-1]]).astype(np.int32)
    joined = Correctives(
        first.components + second.components,
        Deltas(
            starts,
            *(
                np.concatenate([getattr(a, name), getattr(b, name)])
                for name in ("ids", "colors", "opacities", "offsets")
            ),
        ),
    )
    check_components(joined.components)
    return joined


def selected(deltas: Deltas, rows: Int32Array) -> Deltas:
    """Deltas of Gaussians that are renumbered; rows: (G,) each one's new number, -1 where it is left out, rising otherwise."""
    numbers = rows[deltas.ids]
    there = numbers >= 0
    starts = np.concatenate([[0], np.cumsum(there)])[deltas.starts].astype(np.int32)
    return Deltas(
        starts,
        numbers[there].astype(np.int32),
        deltas.colors[there],
        deltas.opacities[there],
        deltas.offsets[there],
    )


class Merged(NamedTuple):
    """Deltas of several parts as one."""

    deltas: Deltas
    parts: Int32Array
    """(N,) index of the part that each entry comes from."""
    sources: Int32Array
    """(N,) its id in that part."""


def merge(parts: Sequence[tuple[Deltas, Int32Array]]) -> Merged:
    """Entries of all parts, by component; each part comes with the new numbers of its Gaussians. All have the same components."""
    component = np.concatenate(
        [
            np.repeat(np.arange(len(deltas.starts) - 1), np.diff(deltas.starts))
            for deltas, _ in parts
        ]
    )
    order = np.argsort(component, kind="stable")
    starts = np.concatenate(
        [[0], np.cumsum(np.bincount(component, minlength=len(parts[0][0].starts) - 1))]
    ).astype(np.int32)

    def joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return np.ascontiguousarray(np.concatenate(arrays)[order])

    deltas = Deltas(
        starts,
        joined([rows[part.ids] for part, rows in parts]).astype(np.int32),
        *(
            joined([getattr(part, name) for part, _ in parts])
            for name in ("colors", "opacities", "offsets")
        ),
    )
    numbers = joined([np.full(len(part), k, np.int32) for k, (part, _) in enumerate(parts)])
    return Merged(deltas, numbers, joined([part.ids for part, _ in parts]))


def scaled(deltas: Deltas, shares: Float32Array) -> Deltas:
    """Each entry multiplied by its share, (N,)."""
    return replace(
        deltas,
        colors=deltas.colors * shares[:, None],
        opacities=deltas.opacities * shares,
        offsets=deltas.offsets * shares[:, None],
    )


def kept_by(opacities: Float32Array, changed: Float32Array) -> Float32Array:
    """Factors (N,) of the avatar's correctives under a look, from the opacities (N,) without and with it: 0 on hidden
    Gaussians.
    """
    return np.clip(np.where(opacities > 0, changed / np.maximum(opacities, 1e-6), 1), 0, 1).astype(
        np.float32
    )


def offsets_in_binding(
    rig: HeadRig, surface: SurfaceBinding, ids: Int32Array, metres: Float32Array
) -> Float32Array:
    """Offsets at rest, (N, 3) metres, head frame, of an avatar's Gaussians, ids (N,), in the coordinates of their bindings."""
    out = metres.astype(np.float32)
    bound = ids < len(surface.triangles)
    if bound.any():
        chosen = SurfaceBinding(*(array[ids[bound]] for array in vars(surface).values()))
        out[bound] = np.einsum("nij,nj->ni", into_binding(rig, chosen), out[bound])
    return out


def check(correctives: Correctives, gaussians: int) -> None:
    """Raise InvalidCorrectivesError where correctives are not what this module says, or not of so many Gaussians."""
    check_components(correctives.components)
    check_deltas(correctives.deltas, len(correctives.components), gaussians)


def check_components(components: Sequence[Component]) -> None:
    """Raise InvalidCorrectivesError for too many components, and for two of the same name."""
    if len(components) > MAX_COMPONENTS:
        raise InvalidCorrectivesError(
            f"there are {len(components)} components, more than {MAX_COMPONENTS}"
        )
    if len({one.name for one in components}) != len(components):
        raise InvalidCorrectivesError("two components have the same name")


def check_deltas(deltas: Deltas, components: int, gaussians: int) -> None:
    """Raise InvalidCorrectivesError where deltas are not of so many components and Gaussians, or as `Deltas` says."""
    starts, ids, count = deltas.starts.astype(np.int64), deltas.ids, len(deltas.ids)
    if (
        len(starts) != components + 1
        or starts[0] != 0
        or starts[-1] != count
        or (np.diff(starts) < 0).any()
    ):
        raise InvalidCorrectivesError(
            f"the entries of correctives are not those of {components} components"
        )
    if not (
        deltas.colors.shape == deltas.offsets.shape == (count, 3)
        and deltas.opacities.shape == (count,)
    ):
        raise InvalidCorrectivesError("the arrays of correctives differ in length")
    if count > MAX_ENTRIES:
        raise InvalidCorrectivesError(
            f"there are {count} entries of correctives, more than {MAX_ENTRIES}"
        )
    if count and (ids.min() < 0 or ids.max() >= gaussians):
        raise InvalidCorrectivesError("correctives of Gaussians that are not there")
    rising = np.diff(ids) > 0
    first = np.zeros(count, np.bool_)
    first[starts[:-1][starts[:-1] < count]] = True
    if not (rising | first[1:]).all():
        raise InvalidCorrectivesError("the Gaussians of a component do not rise")
