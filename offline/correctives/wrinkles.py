"""Wrinkles that come with an action: height fields along lines of the face, shaded with the photo's light.

A line is a polyline of landmarks at rest; across it the skin sinks by a Gaussian profile. Its slopes turn the normals, the light
estimated from the person's skin (`offline.texture.light`) gives the change of colour, and the valley's floor receives less light
of the surroundings (Oat, Animated wrinkle maps, SIGGRAPH 2007 courses, blends such maps by region and expression). Where the
photo itself shows an action, the photo's folds, which `offline.texture.folds` has removed from the colours at rest, come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import KDTree

from offline.correctives.raised_brows import fading_folds
from offline.looks.face.rest_positions import along_line, on_part, places_at_rest
from offline.looks.skin.skin_tone import skin_share
from offline.numeric import normalized, ramp
from offline.texture.folds import NASOLABIAL
from offline.texture.light import Light, estimate_light
from perse_live.arrays import Float64Array, FloatArray
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.correctives import Component, Curve, feature_values, join, sparse
from perse_live.correctives import ramp as curve
from perse_live.head import landmarks as lm
from perse_live.head.rig import Part, surface_triangles
from perse_live.raster import vertex_normals
from perse_live.regions import Region

# Upper edges of the brows, from right to left
_BROWS = (*lm.RIGHT_BROW[:5], 9, *reversed(lm.LEFT_BROW[:5]))
_FOREHEAD = (0.30, 0.52, 0.74)  # heights of its lines between these two
# Of a line of the forehead: amplitude over the height, waves over the face's width
_WAVE, _WAVES = (0.02, 2.5)
# Eye widths from the outer corner; radians above its axis
_CROW_FROM, _CROW_TO, _CROW_ANGLES = (0.10, 0.42, (-0.45, 0.05, 0.5))
# On the right, or across the middle: from the mouth's corner downwards; on the side of the nose, from its bridge outwards
# and down; between the brows; under the lower lip; an eye's outer and inner corner, and the temple.
_MARIONETTE, _BUNNY = (61, 43, 106), ((122, 188, 114), (196, 174, 217))
_GLABELLA, _CHIN, _EYE = (55, 193, 8), (204, 201, 200, 421, 424), (33, 133, 127)
# Metres: standard deviations of valleys; skin Gaussians lie 1.3 mm apart
_FINE, _MIDDLE, _WIDE = (0.0011, 0.0014, 0.0020)
_OCCLUSION = 0.55  # darkness of a valley's floor over its depth in millimetres
# Of that darkness in red, green and blue: light from within the skin is red
_WARM = np.array([0.85, 1.0, 1.06])
_LINE_STEP = 0.0008  # metres between points of a line
_COMES = (0.15, 0.9)  # strengths of an action between which its lines appear
# Features of the photo's expression between which the photo's folds replace the model's
_SHOWN = (0.1, 0.4)


@dataclass(frozen=True)
class Valley:
    """A line along which the skin sinks."""

    line: FloatArray  # (K, 3) metres at rest
    width: float  # standard deviation across, metres
    depth: float  # millimetres


@dataclass(frozen=True)
class _Wrinkles:
    """Lines that come with an action."""

    name: str
    curve: Curve
    valleys: tuple[Valley, ...]


def with_wrinkles(avatar: Avatar, depth: float, removed: FloatArray | None = None) -> Avatar:
    """The avatar with a component for each action that folds the skin; raised brows smooth that above the eyes too.

    depth: over the model's, in [0, 1], as of `offline.texture.folds.wrinkle_depth`; removed: (G, 3) by how much the builder has
    lightened each Gaussian's place in the photo to take the expression's folds out (`offline.texture.folds`); they come back with
    the action that caused them, so that the view of the photo has them.
    """
    places, normals = places_at_rest(avatar), surface_normals(avatar)
    skin = skin_share(avatar) * on_part(avatar, Part.SKIN) * (avatar.regions == Region.SKIN)
    light = estimate_light(avatar.colors, np.maximum(skin * (places[:, 2] > -0.05), 1e-6), normals)
    wrinkles = _wrinkles_of(neutral_landmarks(avatar).astype(np.float64))
    components = [Component(one.name, (one.curve,)) for one in wrinkles]
    shown = feature_values(components, avatar.source.expression, avatar.source.gaze)
    colors = np.zeros((len(wrinkles), len(avatar), 3))
    rows = np.flatnonzero(skin)
    bare, places, normals = avatar.colors[rows] * skin[rows, None], places[rows], normals[rows]
    for one, change in zip(wrinkles, colors, strict=True):
        change[rows] = bare * (shade(one.valleys, places, normals, light, depth) - 1)
    if removed is not None:
        distances = np.full((len(wrinkles), len(rows)), np.inf)
        for number in np.flatnonzero(shown >= _SHOWN[0]):
            distances[number] = np.min(
                [along_line(places, valley.line)[0] for valley in wrinkles[number].valleys], axis=0
            )
        nearest = np.arange(len(wrinkles))[:, None] == distances.argmin(0)
        drawn_by = nearest * np.isfinite(distances) * skin[rows]
        of_photo = (
            -drawn_by[..., None] * removed[rows] / np.maximum(shown, _SHOWN[0])[:, None, None]
        )
        believed = ramp(shown, *_SHOWN)[:, None, None]
        colors[:, rows] += believed * (of_photo - colors[:, rows])
    opacities = np.zeros(colors.shape[:2])
    # where the photo shows raised brows, it shows the folds above the eyes as they are then
    forehead = [one.name for one in wrinkles].index("forehead")
    opacities[forehead] = (1 - ramp(shown[forehead], *_SHOWN)) * fading_folds(avatar)
    made = sparse(components, np.clip(colors, -1, 1), opacities)
    return replace(avatar, correctives=join(avatar.correctives, made))


def shade(
    valleys: Sequence[Valley], places: FloatArray, normals: FloatArray, light: Light, deep: float
) -> Float64Array:
    """What valleys multiply the colours of skin by, (N, 3): the turned normals' light, and less of it on their floors.

    places: (N, 3) metres; normals: (N, 3) unit; deep: depth relative to the valleys' nominal depth.
    """
    slopes, floor = np.zeros((len(places), 3)), np.zeros(len(places))
    for valley in valleys:
        beside, along = _nearest_on(valley.line, places)
        offset = places - beside
        offset = offset - (offset * normals).sum(1, keepdims=True) * normals
        distance = np.linalg.norm(offset, axis=1)
        ends = ramp(along, 0.0, 0.15) * (1 - ramp(along, 0.8, 1.0))
        profile = (
            ends * np.exp(-0.5 * (distance / valley.width) ** 2) * (distance < 4 * valley.width)
        )
        height = deep * valley.depth * 1e-3
        # Gradient of the height -height * profile
        slopes += (height * profile / valley.width**2)[:, None] * offset
        floor = np.maximum(floor, deep * valley.depth * profile)
    turned = normalized(normals - slopes)
    touched = floor > 1e-3
    factor = np.ones((len(places), 3))
    factor[touched] = light.shading(turned[touched]) / light.shading(normals[touched])
    return factor * (1 - _OCCLUSION * floor[:, None] * _WARM)


def _wrinkles_of(marks: FloatArray) -> list[_Wrinkles]:
    """All that a face has, on its landmarks at rest (478, 3).

    The left action drives both sides of nose and chin, which differ little: there are at most 24 components.
    """
    found = [
        _Wrinkles(
            "forehead",
            curve("browInnerUp", *_COMES),
            tuple(
                Valley(_forehead_line(marks, height, -0.85, 0.85), _MIDDLE, 0.24)
                for height in _FOREHEAD
            ),
        ),
        _Wrinkles(
            "chin",
            curve("mouthShrugLower", *_COMES),
            (_on(marks, _CHIN, _WIDE, 0.10),),
        ),
        _Wrinkles(
            "nose",
            curve("noseSneerLeft", *_COMES),
            tuple(
                _on(marks, side(line), _FINE, 0.135)
                for line in _BUNNY
                for side in (tuple, lm.mirrored)
            ),
        ),
        _Wrinkles(
            "marionette",
            curve("mouthFrownLeft", *_COMES),
            tuple(
                _on(marks, line, _MIDDLE, 0.11) for line in (lm.mirrored(_MARIONETTE), _MARIONETTE)
            ),
        ),
    ]
    for side, of_side in (("Left", lm.mirrored), ("Right", tuple)):
        name = side.lower()
        found += [
            _Wrinkles(
                f"glabella-{name}",
                curve(f"browDown{side}", *_COMES),
                (_on(marks, of_side(_GLABELLA), _MIDDLE, 0.24),),
            ),
            _Wrinkles(
                f"smile-{name}",
                curve(f"mouthSmile{side}", *_COMES),
                (
                    _on(marks, of_side(NASOLABIAL), _WIDE, 0.17),
                    *(Valley(line, _FINE, 0.10) for line in _crow_lines(marks, *of_side(_EYE))),
                ),
            ),
        ]
    return found


def _on(marks: FloatArray, line: Sequence[int], width: float, depth: float) -> Valley:
    return Valley(marks[list(line)], width, depth)


def _forehead_line(marks: FloatArray, height: float, start: float, end: float) -> FloatArray:
    """A line across the forehead between two shares of its half width, at a height between brows (0) and hairline (1)."""
    low, high = marks[list(_BROWS)], marks[list(lm.HAIRLINE)]
    half = float(np.abs(high[[0, -1], 0]).mean())
    x = np.linspace(start, end, 25) * half
    wave = height + _WAVE * np.sin(_WAVES * np.pi * x / half + 9 * height)
    edges = [
        np.stack([np.interp(x, line[:, 0], line[:, axis]) for axis in range(3)], 1)
        for line in (low, high)
    ]
    return edges[0] + wave[:, None] * (edges[1] - edges[0])


def _crow_lines(marks: FloatArray, outer: int, inner: int, temple: int) -> list[FloatArray]:
    """Lines that fan out from an eye's outer corner."""
    corner, across = marks[outer], marks[outer] - marks[inner]
    width = float(np.linalg.norm(across))
    outwards = normalized((marks[temple] - corner)[None])[0]
    lines = []
    for angle in _CROW_ANGLES:
        direction = np.cos(angle) * outwards + np.sin(angle) * np.array([0.0, 1.0, 0.0])
        lines.append(corner + width * np.linspace(_CROW_FROM, _CROW_TO, 6)[:, None] * direction)
    return lines


def _nearest_on(line: FloatArray, places: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The nearest points (N, 3) of a polyline, and how far along it they are, (N,) in [0, 1]."""
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
    at = np.linspace(0, length[-1], max(2, int(length[-1] / _LINE_STEP)))
    dense = np.stack([np.interp(at, length, line[:, axis]) for axis in range(3)], 1)
    nearest = np.asarray(KDTree(dense).query(places)[1])
    return dense[nearest], nearest / (len(dense) - 1)


def surface_normals(avatar: Avatar) -> FloatArray:
    """Unit normals (G, 3) of the surface's Gaussians at rest, head frame; of the others (0, 0, 1)."""
    rig, surface = avatar.rig, avatar.surface
    of_vertices = vertex_normals(rig.vertices, surface_triangles(rig))
    corners = of_vertices[rig.triangles[surface.triangles]]
    second, third = np.clip(surface.positions[:, :2], 0, 1).T
    weights = np.stack([1 - second - third, second, third], 1)
    bound = normalized((corners * weights[:, :, None]).sum(1))
    return np.concatenate([bound, np.tile([0.0, 0.0, 1.0], (len(avatar) - len(bound), 1))])
