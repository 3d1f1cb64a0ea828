"""Stubble, moustache, goatee and full beard, rooted in the skin."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from offline.looks.assembly import attribute, flat, joined_added, surface_added
from offline.looks.hair.grown_strands import (
    SkinField,
    StrandStyle,
    carriers,
    clear_of,
    grow,
    roots_on,
    strand_gaussians,
)
from offline.looks.measured_head import LUMA, HeadShape, head_shape
from offline.numeric import normalized, ramp
from perse_live.arrays import FloatArray
from perse_live.attributes import AddedGaussians, Attribute
from perse_live.avatar import Avatar
from perse_live.regions import Region

_SEED = 11


@dataclass(frozen=True)
class BeardStyle:
    """One kind of facial hair."""

    spacing: float
    """Metres between roots."""
    length: tuple[float, float, float]
    """Metres on cheeks and throat, on the upper lip, on the chin."""
    radius: float
    """Radius of a strand in metres: of one hair, or of several that stick together."""
    opacity: float
    """Opacity of the strands."""
    under_spacing: float
    """Metres between the soft Gaussians on the skin."""
    under_opacity: float
    """Opacity of the soft Gaussians, [0, 1]."""
    under_skin: float
    """Share of the skin's colour in them, [0, 1]."""
    growth: StrandStyle


_STUBBLE = BeardStyle(
    0.0021,
    (0.0024, 0.0022, 0.0026),
    0.00022,
    0.62,
    0.0042,
    0.13,
    0.35,
    StrandStyle(1, 0.25, 0.1, 0.0, 4, 0.0, 0.0, 0.0004),
)
_LIP = BeardStyle(
    0.00125,
    (0.006, 0.0095, 0.010),
    0.00032,
    0.8,
    0.0026,
    0.5,
    0.10,
    StrandStyle(3, 0.22, 0.3, 0.3, 6, 0.0002, 0.6, 0.0018),
)
_SHORT = BeardStyle(
    0.00165,
    (0.006, 0.009, 0.012),
    0.00036,
    0.82,
    0.0030,
    0.5,
    0.10,
    StrandStyle(3, 0.26, 0.35, 0.35, 6, 0.0004, 0.8, 0.0022),
)
_FULL = BeardStyle(
    0.0021,
    (0.010, 0.0105, 0.021),
    0.00034,
    0.8,
    0.0034,
    0.82,
    0.08,
    StrandStyle(3, 0.34, 0.5, 0.45, 7, 0.0007, 1.0, 0.0040),
)


def stubble(avatar: Avatar) -> Attribute:
    """A beard of some days."""
    shape = head_shape(avatar)
    return attribute("beard-stubble", "Stubble", "beard", _beard(shape, _whole(shape), _STUBBLE))


def moustache(avatar: Avatar) -> Attribute:
    """On the upper lip only."""
    shape = head_shape(avatar)
    return attribute(
        "beard-moustache", "Moustache", "beard", _beard(shape, _upper_lip(shape), _LIP)
    )


def goatee(avatar: Avatar) -> Attribute:
    """Chin and moustache, joined around the mouth."""
    shape = head_shape(avatar)
    return attribute(
        "beard-goatee",
        "Goatee",
        "beard",
        _beard(shape, np.maximum(_upper_lip(shape), _chin(shape)), _SHORT),
    )


def full_beard(avatar: Avatar) -> Attribute:
    """From ear to ear."""
    shape = head_shape(avatar)
    return attribute("beard-full", "Full beard", "beard", _beard(shape, _whole(shape), _FULL))


def _whole(shape: HeadShape) -> FloatArray:
    """(V,) density of a full beard: 0 close to the lips, low right under the nose and under the lower lip."""
    return shape.charts.beard * _off_the_lips(shape)


def _off_the_lips(shape: HeadShape) -> FloatArray:
    red = shape.vertices[(shape.charts.lips > 0.3) & shape.skin]
    distance = np.sqrt(((shape.vertices[:, None] - red[None]) ** 2).sum(-1).min(1))
    return ramp(distance, 0.0014, 0.0038)


def _upper_lip(shape: HeadShape) -> FloatArray:
    x, y, _ = shape.template.T
    corner, nose = shape.landmarks_template[291], shape.landmarks_template[2]
    zone = ramp(y, corner[1] - 0.003, corner[1] + 0.003) * ramp(y, nose[1] + 0.004, nose[1] - 0.002)
    zone = (
        zone
        * ramp(np.abs(x), corner[0] + 0.009, corner[0] + 0.003)
        * (0.45 + 0.55 * ramp(np.abs(x), 0.0005, 0.003))
    )
    return _whole(shape) * zone


def _chin(shape: HeadShape) -> FloatArray:
    x, y, z = shape.template.T
    corner, lip, chin = (shape.landmarks_template[k] for k in (291, 17, 152))
    below = (
        ramp(y, lip[1] - 0.003, lip[1] - 0.010)
        * ramp(np.abs(x), 0.027, 0.020)
        * ramp(z, chin[2] - 0.022, chin[2] - 0.012)
    )
    beside = ramp(np.abs(x), corner[0] - 0.001, corner[0] + 0.002) * ramp(
        np.abs(x), corner[0] + 0.009, corner[0] + 0.004
    )
    beside = (
        beside * ramp(y, corner[1] + 0.006, corner[1]) * ramp(y, chin[1] + 0.012, chin[1] + 0.020)
    )
    soul = (
        ramp(np.abs(x), 0.009, 0.004)
        * ramp(y, lip[1] + 0.001, lip[1] - 0.003)
        * ramp(y, chin[1], chin[1] + 0.01)
    )
    return _whole(shape) * np.maximum.reduce([below, beside, soul])


def beard_flow(places: FloatArray) -> FloatArray:
    """Directions of facial hair on the mean head: sideways on the upper lip, else down, and forwards along the jaw."""
    x, y, z = places.T
    lip = ramp(y, -0.076, -0.066) * ramp(np.abs(x), 0.036, 0.026) * ramp(z, 0.008, 0.018)
    under = ramp(y, -0.100, -0.115)
    side = np.sign(x) * ramp(np.abs(x), 0, 0.004)
    upper = np.stack([side, np.full_like(x, -0.55), np.full_like(x, -0.2)], 1)
    jaw = np.stack([-0.12 * side, np.full_like(x, -1.0), 0.30 + 0.7 * under], 1)
    return lip[:, None] * upper + (1 - lip)[:, None] * jaw


def _beard(shape: HeadShape, density: FloatArray, style: BeardStyle) -> AddedGaussians:
    """Facial hair of `density` (V,)."""
    rng = np.random.default_rng(_SEED)
    triangles = shape.avatar.rig.triangles
    on = roots_on(shape, density, style.spacing, rng)
    roots = on.interpolate(shape.vertices, triangles).astype(np.float64)
    rest = on.interpolate(shape.template, triangles)
    thick = on.interpolate(density.astype(np.float32), triangles)
    lip, chin = beard_parts(rest)
    cheek, upper, front = style.length
    length = (cheek + (upper - cheek) * lip + (front - cheek) * chin) * (0.3 + 0.7 * thick)
    length = length * rng.uniform(0.6, 1.15, len(roots))
    field = SkinField(shape)
    lines = grow(field, roots, length, beard_flow, style.growth, rng)
    flat_points = lines.reshape(-1, 3)
    red = field.lips(flat_points).reshape(lines.shape[:2]) > 0.2
    lines, left = clear_of(lines, red, least=0.5)
    lines, roots = lines[left], roots[left]
    allowed = (density > 0.02) | (shape.charts.beard > 0.3)
    carrier = on.triangle[left] if style.growth.steps == 1 else carriers(shape, lines, allowed)
    normals = field.normals(roots)
    shade = _shade(shape, normals, roots)
    tone = shape.hair_color * (
        1 + 0.25 * rng.standard_normal((len(roots), 1))
    ) + 0.02 * rng.standard_normal((len(roots), 3))
    tone = np.clip(1.15 * tone + 0.02, 0.02, 0.9)
    steps = style.growth.steps
    # Thinner strands at the edge
    sparse = np.repeat(0.4 + 0.6 * ramp(thick[left], 0.1, 0.7), steps)
    strands = strand_gaussians(
        lines, style.radius, 0.75 * tone * shade, 1.25 * tone * shade, opacity=style.opacity
    )
    strands = replace(strands, opacities=(strands.opacities * sparse).astype(np.float32))
    grown = surface_added(
        shape.avatar,
        strands,
        np.repeat(carrier, steps),
        np.repeat(lines[:, 0], steps, 0),
        appear=np.repeat(rng.uniform(0, 0.55, len(roots)), steps),
        least_size=0.3,
        region=Region.HAIR,
    )
    return joined_added(grown, _under_layer(shape, density, style, rng))


def beard_parts(rest: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights of the upper lip and of the chin at points (N, 3) of the mean head."""
    x, y, z = rest.T
    lip = ramp(y, -0.072, -0.066) * ramp(np.abs(x), 0.034, 0.028) * ramp(z, 0.008, 0.018)
    chin = ramp(y, -0.084, -0.098) * ramp(np.abs(x), 0.050, 0.015) * ramp(z, -0.030, 0.0)
    return lip, chin


def _shade(shape: HeadShape, normals: FloatArray, places: FloatArray) -> FloatArray:
    """Shading of hair (N, 3), darker under the jaw."""
    below = ramp(-normals[:, 1], 0.1, 0.9)
    return (
        shape.light.shade(normalized(normals + np.array([0, 0.25, 0.1])))
        * (1 - 0.45 * below)[:, None]
    )


def _under_layer(
    shape: HeadShape, density: FloatArray, style: BeardStyle, rng: np.random.Generator
) -> AddedGaussians:
    """Soft dark Gaussians on the skin: the shadow between hairs."""
    triangles = shape.avatar.rig.triangles
    on = roots_on(shape, np.minimum(1, 3 * density), style.under_spacing, rng)
    places = on.interpolate(shape.vertices, triangles).astype(np.float64)
    normals = normalized(on.interpolate(shape.normals, triangles))
    thick = on.interpolate(density.astype(np.float32), triangles)
    skin = np.median(shape.avatar.colors[shape.avatar.regions == Region.SKIN], 0)
    color = (1 - style.under_skin) * 0.7 * shape.hair_color + style.under_skin * skin * 0.8
    color = color * np.minimum(1.0, 0.9 * (skin @ LUMA) / max(color @ LUMA, 1e-3))
    means = places + 0.0006 * normals
    layer = flat(
        means,
        normals,
        0.62 * style.under_spacing,
        color * _shade(shape, normals, places),
        opacity=style.under_opacity * thick,
    )
    return surface_added(
        shape.avatar, layer, on.triangle, means, appear=0.0, least_size=0.8, region=Region.HAIR
    )
