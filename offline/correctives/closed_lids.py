"""Closing eyes: the open eye's lashes, fold and shadow go, and one lash line along the upper lid's edge comes.

What the photo shows of an open eye's lids lies on sheets before it (`offline.lift.lids`). Compressed by closing lids it
would be a dotted line with the outline of the open eye around it. So it fades out while the eye closes, and a strip of Gaussians
fades in where the edges meet, in the colour of the person's lashes. Its profile is that of closed eyes on film.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from offline.gaussian_layer import frames
from offline.lift.lids import LID_SEGMENTS, blink_moves, lash_fans
from offline.looks.face.rest_positions import (
    depth_inside,
    landmarks_on,
    on_part,
    places_at_rest,
)
from offline.looks.photo_tones import LUMA, skin_of
from offline.numeric import ramp
from offline.priors import PATCH
from perse_live.animate import SurfaceBinding, bind_surface
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.avatar import Avatar
from perse_live.correctives import Component, Correctives, Curve, join, sparse
from perse_live.correctives import ramp as curve
from perse_live.gaussians import Gaussians
from perse_live.head import landmarks as lm
from perse_live.head.expressions import expression, index
from perse_live.head.rig import Part, expressed
from perse_live.regions import Region
from perse_live.rotations import to_quat

# Upper lid from the outer corner inwards: left, right
_EDGES = ((263, *lm.UPPER_LID_LEFT, 362), (33, *lm.UPPER_LID_RIGHT, 133))
_BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")
_DOWN = ("eyeLookDownLeft", "eyeLookDownRight")
_NAMES = ("left", "right")
# Blinks at which the strip is laid out, from half shut to shut: the lids' edges meet from 0.8 on. In between eyeballs take the
# colour of the shadow between lids.
_SETTLES = 0.5, 0.95
# Blink from which lashes change, and over how much more of it; later where the photo blinks
_FADE, _FADE_LENGTH = (0.18, 0.40)
# Of eyeLookDown over which they change too, and how far: lids follow the eyes
_DOWN_LENGTH, _LOWERED = (0.6, 0.6)
_LATEST = 0.6  # start of the fade beyond which the photo shows the closed lid itself

# The strip, in shares of the eye's width: places across it (downwards from the lids' meeting edges), how much it covers there,
# and places along it from the outer corner inwards. On twelve closed eyes of the sample clips the line is 40 L* darker than the
# cheek at its middle, 20 at 0.08 above and 0.14 below it, 10 at 0.15 above and 0.26 below (medians). Above it the skin of the lid
# itself darkens (`offline.lift.lids.closed_lid_shade`).
_ACROSS = np.array([-0.035, 0.0, 0.035, 0.075, 0.12, 0.18])
_COVERED = np.array([0.30, 0.75, 0.66, 0.45, 0.28, 0.13])
_ALONG = np.linspace(-0.08, 0.97, 21)
# Of the width, over which the line comes and goes
_OUTER_END, _INNER_END = ((-0.14, 0.0), (0.86, 1.02))
# Of the width, over which lashes get shorter inwards, and how short
_SHORTER, _INNER_REACH = ((0.45, 0.95), 0.45)
# Darkness of an open eye's lashes, integrated over their area, over the eye's width squared: 0.36 to 1.8 on five clips, where the
# lines of the closed lids are 0.09 to 0.25 of the width thick. The mass at which they are as `_ACROSS` says, and bounds.
_USUAL_MASS, _REACH = 0.6, (0.5, 1.1)
_BELOW_EDGE = 0.004  # metres under the upper lid's edge that still belong to its lashes
_OVERLAP = 3.6  # how many Gaussians of the strip lie upon each other
_LIFT = 0.0018  # metres before the skin: lashes stand off it, and closing lids bulge
_DARK_SHARE = 0.2  # of an open eye's lash pixels, the darkest, that tell the colour of the lashes
_UNKNOWN_LASH = 0.3  # of the skin's colour, where the photo shows no lashes
_MARGIN = 0.0006  # metres inside the lids' edges from which none of their skin is left
# Of the lid's colour: the shadow between lids that do not quite meet
_SOCKET = np.array([0.55, 0.42, 0.40])


def with_thin_lids(avatar: Avatar) -> Avatar:
    """The avatar without the skin inside its lids' edges, which covers what the photo shows of the eyeballs.

    The rig's lids are thicker than people's: eyes that turn would be seen through a narrower opening than in the photo, where the
    veil before the margins shows the rest of the eye.
    """
    marks, places = landmarks_on(avatar, avatar.rig.vertices), places_at_rest(avatar)
    inside = np.maximum(
        *(depth_inside(places[:, :2], marks[list(eye), :2]) for eye in (lm.LEFT_EYE, lm.RIGHT_EYE))
    )
    aside = np.abs(places[:, None, 0] - avatar.rig.eye_centers[:, 0]).min(1)
    # The corners lie beside the ball: from the side one would look behind it
    before = aside < 0.7 * avatar.rig.eye_radius
    margin = on_part(avatar, Part.SKIN) & (inside > 0) & before
    left = np.where(margin, 1 - np.clip(inside / _MARGIN, 0, 1), 1)
    return replace(avatar, opacities=(avatar.opacities * left).astype(np.float32))


def with_closed_lids(avatar: Avatar) -> Avatar:
    """The avatar with lash lines that show on closed lids, and correctives that show and hide them.

    An eye that the photo shows closed stays as it is.
    """
    own = avatar.source.expression[[index(name) for name in _BLINKS]]
    starts = np.maximum(_FADE, own + 0.05)
    for eye in np.flatnonzero(starts <= _LATEST):
        avatar = _with_closed_lid(avatar, int(eye), float(starts[eye]))
    return avatar


def _with_closed_lid(avatar: Avatar, eye: int, start: float) -> Avatar:
    """eye: 0 left, 1 right; start: blink from which the lashes change."""
    places = places_at_rest(avatar)
    this_side = (places[:, 0] > 0) == (eye == 0)
    veil, ball = (this_side & (avatar.regions == region) for region in (Region.LASHES, Region.EYE))
    lid = _lid_color(avatar, this_side)
    line = _lash_line(avatar, eye, _lashes_of(avatar, eye, veil))
    grown, added = _with_surface(avatar, line, Region.LASHES)

    def of_all(values: FloatArray, old: BoolArray) -> Float32Array:
        """Values of the base Gaussians at `old`, 0 elsewhere, for all Gaussians including the new ones."""
        out = np.zeros((len(grown), *values.shape[1:]), np.float32)
        out[np.delete(np.arange(len(grown)), added)] = np.where(
            old.reshape(-1, *[1] * (values.ndim - 1)), values, 0
        )
        return out

    fading = of_all(-avatar.opacities, veil)
    fading[added] = line.opacities
    darker = of_all(lid * _SOCKET - avatar.colors, ball)
    name, blink, end = _NAMES[eye], _BLINKS[eye], start + _FADE_LENGTH
    low = max(_FADE, float(avatar.source.expression[index(_DOWN[eye])]) + 0.05)
    components = (
        Component(f"lashes-{name}", (curve(blink, start, end),)),
        Component(
            f"lashes-down-{name}",
            (curve(_DOWN[eye], low, low + _DOWN_LENGTH), Curve(blink, ((start, 1.0), (end, 0.0)))),
        ),
        Component(f"lids-meet-{name}", (curve(blink, *_SETTLES),)),
    )
    colors, opacities, offsets = (
        np.zeros((3, len(grown), 3)),
        np.zeros((3, len(grown))),
        np.zeros((3, len(grown), 3)),
    )
    opacities[0], opacities[1], offsets[2, added], colors[2] = (
        fading,
        _LOWERED * fading,
        line.settled,
        darker,
    )
    made = sparse(components, colors, opacities, offsets)
    return replace(grown, correctives=join(grown.correctives, made))


@dataclass(frozen=True, eq=False)
class _Lashes:
    """A person's lashes."""

    color: FloatArray  # (3,)
    reach: float  # how thick the line on the closed lid is, over `_ACROSS`


@dataclass(frozen=True, eq=False)
class _Line:
    """N Gaussians of a lash line."""

    binding: SurfaceBinding
    opacities: Float32Array  # (N,)
    colors: Float32Array  # (N, 3)
    settled: Float32Array  # (N, 3) what is added to the binding's positions once the lids have met


def _lash_line(avatar: Avatar, eye: int, lashes: _Lashes) -> _Line:
    """The line along an eye's upper lid, bound to its fan.

    The fan's triangles are uneven, so what is smooth on them in one pose is jagged in another: the line is laid out with the
    eye half shut and with it shut, and goes from one to the other while it closes.
    """
    half, shut = (_laid_out(avatar, eye, lashes, blink) for blink in _SETTLES)
    binding = replace(half.binding, axes=(half.binding.axes + shut.binding.axes) / 2)
    return replace(half, binding=binding, settled=shut.binding.positions - half.binding.positions)


def _laid_out(avatar: Avatar, eye: int, lashes: _Lashes, blink: float) -> _Line:
    rig = avatar.rig
    closing = expressed(
        rig, expression(eyeBlinkLeft=blink, eyeBlinkRight=blink), gaze=np.zeros((2, 2))
    )
    edge = landmarks_on(avatar, closing)[list(_EDGES[eye])].astype(np.float64)
    width = float(np.linalg.norm(edge[-1] - edge[0]))
    inwards = (edge[-1] - edge[0]) / width
    up = np.array([0.0, 1.0, 0.0])
    up = up - (up @ inwards) * inwards
    up /= np.linalg.norm(up)
    out = np.cross(inwards, up)
    out *= np.sign(out[2])
    frame = np.stack([inwards, up, out], 1)  # columns
    local = (edge - edge[0]) @ frame / width
    # a smooth curve through the edge: landmarks zigzag by the triangles that carry them
    rise, depth = (np.polynomial.Polynomial.fit(local[:, 0], local[:, axis], 4) for axis in (1, 2))
    along, across = (
        grid.ravel() for grid in np.meshgrid(_ALONG, lashes.reach * _ACROSS, indexing="ij")
    )
    shorter = 1 - (1 - _INNER_REACH) * ramp(along, *_SHORTER)
    across = across * shorter
    covered = (
        np.tile(_COVERED, len(_ALONG)) * ramp(along, *_OUTER_END) * (1 - ramp(along, *_INNER_END))
    )
    inside = np.clip(along, 0, 1)
    places = np.c_[along, rise(inside) - across, depth(inside)] * width + [0, 0, _LIFT]
    tangents = np.c_[np.ones(len(along)), rise.deriv()(inside), 0 * along] @ frame.T
    quats = to_quat(frames(np.tile(out, (len(along), 1)), tangents)).astype(np.float32)
    scales = np.tile(np.array([1.1 * np.diff(_ALONG).mean(), 0.0, 0.01]) * width, (len(along), 1))
    scales[:, 1] = shorter * np.tile(
        0.75 * lashes.reach * np.gradient(_ACROSS) * width, len(_ALONG)
    )
    opacities, colors = -np.log(1 - covered) / _OVERLAP, np.tile(lashes.color, (len(along), 1))
    line = Gaussians(
        (places @ frame.T + edge[0]).astype(np.float32),
        quats,
        scales.astype(np.float32),
        opacities.astype(np.float32),
        colors.astype(np.float32),
    )
    rest = landmarks_on(avatar, rig.vertices)[list(_EDGES[eye])].astype(np.float64)
    borders = np.maximum.accumulate((rest - rest[0]) @ inwards / ((rest[-1] - rest[0]) @ inwards))
    # at the inner corner the edge of a shut lid points at the fan's end: those triangles have no area
    segment = np.clip(np.searchsorted(borders, along) - 1, 1, LID_SEGMENTS - 3)
    binding = bind_surface(
        line,
        lash_fans(rig)[eye][segment],
        closing,
        rig.triangles,
        two_sided=np.ones(len(along), np.uint8),
    )
    return _Line(binding, line.opacities, line.colors, np.zeros_like(binding.positions))


def _lashes_of(avatar: Avatar, eye: int, veil: BoolArray) -> _Lashes:
    """The lashes of an open eye, by what the photo shows of them. veil: (G,) Gaussians of lashes, liner and folds."""
    skin, first = skin_of(avatar).color, len(avatar.surface.triangles)
    marks = landmarks_on(avatar, avatar.rig.vertices)[list(_EDGES[eye])]
    width, order = float(np.linalg.norm(marks[-1] - marks[0])), np.argsort(marks[:, 0])
    bound, places = veil[:first], places_at_rest(avatar)[:first]
    above = places[:, 1] - np.interp(places[:, 0], marks[order, 0], marks[order, 1])
    upper = bound & (above > -_BELOW_EDGE)
    luma = avatar.colors[:first].astype(np.float64) @ LUMA / float(skin @ LUMA)
    mass = (
        -np.log(1 - np.clip(avatar.opacities[:first], 0, 0.95))
        * np.clip((0.75 - luma) / 0.65, 0, 1)
        * _areas(avatar)
    )
    reach = float(np.clip(mass[upper].sum() / width**2 / _USUAL_MASS, *_REACH))
    shown = bound & (avatar.opacities[:first] > 0.3)
    if shown.sum() < PATCH:
        return _Lashes(_UNKNOWN_LASH * skin, reach)
    dark = shown & (luma <= np.quantile(luma[shown], _DARK_SHARE))
    return _Lashes(np.median(avatar.colors[:first][dark], 0).astype(np.float64), reach)


def _areas(avatar: Avatar) -> FloatArray:
    """Integrals (S,) over the Gaussians on the surface, at opacity 1 and rest; square metres."""
    vertices, surface = avatar.rig.vertices.astype(np.float64), avatar.surface
    corners = vertices[avatar.rig.triangles[surface.triangles]]
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], 1)
    first, second = (
        np.einsum("nk,nkc->nc", surface.axes[:, pair], edges) for pair in (slice(0, 2), slice(2, 4))
    )
    return 2 * np.pi * np.linalg.norm(np.cross(first, second), axis=1)


def _lid_color(avatar: Avatar, this_side: BoolArray) -> FloatArray:
    """(3,) of the closed lid."""
    moved = np.zeros(len(avatar))
    surface = avatar.surface.triangles
    moved[: len(surface)] = blink_moves(avatar.rig)[avatar.rig.triangles[surface]].mean(1)
    lid = this_side & (moved > 0.5) & (avatar.regions == Region.SKIN)
    return np.median(avatar.colors[lid], 0) if lid.sum() > PATCH else skin_of(avatar).color


def _with_surface(avatar: Avatar, line: _Line, region: Region) -> tuple[Avatar, np.ndarray]:
    """The avatar with further Gaussians on its surface, invisible at rest, and their numbers (N,)."""
    first, count = len(avatar.surface.triangles), len(line.opacities)

    def insert(array: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.concatenate([array[:first], values.astype(array.dtype), array[first:]])

    surface = SurfaceBinding(
        *(
            np.concatenate([old, new])
            for old, new in zip(
                vars(avatar.surface).values(), vars(line.binding).values(), strict=True
            )
        )
    )
    deltas = avatar.correctives.deltas
    moved = replace(
        deltas, ids=np.where(deltas.ids >= first, deltas.ids + count, deltas.ids).astype(np.int32)
    )
    grown = replace(
        avatar,
        surface=surface,
        opacities=insert(avatar.opacities, np.zeros(count)),
        colors=insert(avatar.colors, line.colors),
        regions=insert(avatar.regions, np.full(count, int(region))),
        correctives=Correctives(avatar.correctives.components, moved),
    )
    return grown, np.arange(first, first + count)
