"""Other lengths of the person's hair: shaved, buzz cut, short, long; with strands of its colour rooted in the scalp chart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from offline.looks.assembly import (
    Changes,
    attribute,
    flat,
    joined,
    joined_added,
    rigid_added,
)
from offline.looks.hair.grown_strands import SkinField, roots_on, strand_gaussians
from offline.looks.measured_head import HeadShape, centers_of, head_shape, own_tones
from offline.looks.photo_tones import plausible_hair
from offline.looks.skin.under_hair import OwnHead, bare_skin, own_head, under_hair
from offline.numeric import normalized, ramp
from offline.rig.skinning import head_weights
from perse_live.arrays import BoolArray, FloatArray
from perse_live.attributes import AddedGaussians, Attribute, nothing_added
from perse_live.avatar import Avatar
from perse_live.gaussians import Gaussians
from perse_live.regions import Region

_HAIR = (Region.HAIR, Region.HAIR_BACK)
_SEED = 47
_FREE = (-0.012, -0.055)  # metres: heights between which hair leaves the skull and falls
_SMOOTHINGS = 2
# Metres: below the jaw; between neighbours; from hair
_LOWER, _TOUCHING, _BESIDE = (-0.09, 0.006, 0.03)
_FRAGMENT = 0.10  # of all hair below the jaw: a smaller component is a fragment
_UNEVEN = 0.018  # metres, half of the range of heights at which locks are cut off
_LEAST_CLEARANCE = 0.003  # metres of waves above the skin
_PARTING = 0.012  # metres over which the two sides of a parting part


@dataclass(frozen=True)
class Cut:
    """Parameters of one haircut."""

    spacing: float
    """Metres between the roots of locks."""
    steps: int
    """Segments of a lock."""
    length: tuple[float, float]
    """Metres, at the hairline and on the crown."""
    lowest: float
    """Metres, head frame: where hanging hair is cut off."""
    width: float
    """Metres, half of a lock's."""
    body: float
    """Metres between skin and the outside of the hair, on the crown."""
    swept: float
    """Direction of hair at the front: 0 backwards, 1 sideways."""
    parting: float = 0.0
    """Metres on the template, beside the middle, to the picture's right."""
    wave: float = 0.0
    """Metres by which locks swing to both sides."""
    wave_length: float = 1.0
    """Metres along a lock."""
    curl: float = 0.0
    """How round the swing is: 0 within the hair's surface, 1 a helix."""
    tip: float = 0.5
    """Width at the end of a lock, relative to its widest."""


_SHORT = Cut(0.0068, 4, (0.018, 0.036), -1.0, 0.0036, 0.015, 0.55)
_LONG = Cut(0.0102, 13, (0.28, 0.31), -0.185, 0.0052, 0.016, 0.8, tip=0.3)
_WAVY = replace(_LONG, steps=15, spacing=0.0108, wave=0.0075, wave_length=0.085, curl=0.3)
_CURLY = Cut(0.0108, 17, (0.15, 0.17), -0.11, 0.0062, 0.019, 0.8, 0.0, 0.0065, 0.042, 0.8)
_TOP = replace(_SHORT, length=(0.036, 0.046), swept=0.9, parting=0.03)
_SIDE_PART = replace(_LONG, parting=0.032, swept=1.0)
_UNDERCUT = (
    0.040,
    0.056,
)  # metres on the template: heights between which sides end and the top begins
_BUZZ_SPACING, _BUZZ_LENGTH, _BUZZ_RADIUS = 0.0033, 0.0034, 0.00042  # metres
_FINE = 0.6  # share of locks with a thin strand
_BUZZ_TINT = 0.78  # weight of the hair's colour on the scalp between buzz-cut hairs


def shaved(avatar: Avatar) -> Attribute:
    """No hair at all."""
    shape, own = _of(avatar)
    return attribute(
        "hair-shaved",
        "Shaved head",
        "hair",
        nothing_added(),
        without_hair(shape, own, np.zeros(3), 0.0),
    )


def buzz(avatar: Avatar) -> Attribute:
    """A few millimetres all over."""
    shape, own = _of(avatar)
    added = _buzzed(shape, shape.charts.scalp)
    return attribute(
        "hair-buzz",
        "Buzz cut",
        "hair",
        added,
        without_hair(shape, own, typical_color(shape), _BUZZ_TINT),
    )


def short(avatar: Avatar) -> Attribute:
    """Cut short, brushed to the side."""
    return _grown_look(avatar, "hair-short", "Short hair", _SHORT)


def long(avatar: Avatar) -> Attribute:
    """Down to the shoulders, parted in the middle."""
    return _grown_look(avatar, "hair-long", "Long hair", _LONG)


def wavy(avatar: Avatar) -> Attribute:
    """Long, in waves."""
    return _grown_look(avatar, "hair-wavy", "Wavy hair", _WAVY)


def curly(avatar: Avatar) -> Attribute:
    """To the chin, in curls."""
    return _grown_look(avatar, "hair-curly", "Curly hair", _CURLY)


def side_part(avatar: Avatar) -> Attribute:
    """Long, parted at the side."""
    return _grown_look(avatar, "hair-side-part", "Side parting", _SIDE_PART)


def undercut(avatar: Avatar) -> Attribute:
    """Short on top, a few millimetres at the sides."""
    shape, own = _of(avatar)
    top = ramp(shape.template[:, 1], *_UNDERCUT)
    scalp = shape.charts.scalp
    return attribute(
        "hair-undercut",
        "Undercut",
        "hair",
        joined_added(_locks(shape, _TOP, scalp * top), _buzzed(shape, scalp * (1 - top))),
        without_hair(shape, own, typical_color(shape), _BUZZ_TINT),
    )


def _grown_look(avatar: Avatar, name: str, label: str, cut: Cut) -> Attribute:
    shape, own = _of(avatar)
    bare = without_hair(shape, own, typical_color(shape), 0.92)
    return attribute(name, label, "hair", _locks(shape, cut, shape.charts.scalp), bare)


def _of(avatar: Avatar) -> tuple[HeadShape, OwnHead]:
    shape = head_shape(avatar)
    return shape, own_head(avatar, shape.template, shape.charts)


def typical_color(shape: HeadShape) -> FloatArray:
    """(3,) of the person's hair near its roots."""
    return 0.8 * np.median(_tones(shape, 400, np.random.default_rng(_SEED)), 0)


def _tones(shape: HeadShape, count: int, rng: np.random.Generator) -> FloatArray:
    """Colours (count, 3) sampled from the person's hair, without misclassified neighbours."""
    return plausible_hair(own_tones(shape, max(count, 200), rng))[:count]


def without_hair(shape: HeadShape, own: OwnHead, color: FloatArray, tint: float) -> Changes:
    """Hide the person's hair, show bare skin below it, and blend the scalp to the hair's colour (3,) with weight `tint`."""
    avatar, count = shape.avatar, len(own.on)
    floating = np.isin(avatar.regions, _HAIR)
    floating |= _fragments(avatar, floating)
    covered = under_hair(own)
    scalp = tint * own.charts["scalp"] * own.skin
    bare = bare_skin(own, covered)
    goal = bare + scalp[:, None] * (color - bare)
    changed = np.concatenate(
        [own.skin & ((covered > 0.02) | (scalp > 0.02)), np.zeros(len(avatar) - count, np.bool_)]
    )
    colors, opacities = avatar.colors.astype(np.float64), avatar.opacities.copy()
    colors[:count][changed[:count]] = goal[changed[:count]]
    opacities[floating] = 0
    ids = np.nonzero(floating | changed)[0].astype(np.int32)
    return Changes(ids, np.clip(colors[ids], 0, 1).astype(np.float32), opacities[ids])


def _fragments(avatar: Avatar, hair: BoolArray) -> BoolArray:
    """(G,) Gaussians that the photo shows between strands, and that would float once the hair (G,) is hidden: skin off the head's
    surface, and below the jaw isolated fragments of anything but the rig's body, whose Gaussians may be far apart.
    """
    places, seen = centers_of(avatar), avatar.opacities > 0.1
    near, low = hair & seen, places[:, 1] < _LOWER
    if not near.any():
        return np.zeros(len(avatar), np.bool_)
    beside = ~hair & (KDTree(places[near]).query(places, distance_upper_bound=_BESIDE)[0] < _BESIDE)
    floating = np.arange(len(avatar)) >= len(avatar.surface.triangles)
    out = beside & floating & ~low & (avatar.regions == Region.SKIN)
    rest = np.nonzero(~hair & seen & low)[0]
    if not len(rest):
        return out
    pairs = KDTree(places[rest]).query_pairs(_TOUCHING, output_type="ndarray")
    graph = coo_array(
        (np.ones(len(pairs), np.bool_), (pairs[:, 0], pairs[:, 1])), shape=(len(rest), len(rest))
    )
    _, piece = connected_components(graph, directed=False)
    small = np.bincount(piece)[piece] < _FRAGMENT * len(rest)
    out[rest[small]] = beside[rest[small]]
    return out & (avatar.regions != Region.BODY)


def _combed(places: FloatArray, swept: float, parting: float = 0.0) -> FloatArray:
    """Directions of hair at points (N, 3) of the mean head: away from a parting, and off the face."""
    x, y, z = places.T
    side = np.tanh((x - parting) / _PARTING)
    top = ramp(y, 0.035, 0.095)
    front = ramp(z, -0.075, 0.01)
    outwards = side * (0.25 + swept * top)
    back = -(0.25 + 0.9 * front * (1 - 0.5 * swept) + 0.2 * top)
    return np.stack([outwards, -0.25 - 0.85 * (1 - top), back], 1)


def _buzzed(shape: HeadShape, density: FloatArray) -> AddedGaussians:
    """Hair of a few millimetres, of `density` (V,)."""
    rng = np.random.default_rng(_SEED)
    on = roots_on(shape, density, _BUZZ_SPACING, rng)
    triangles = shape.avatar.rig.triangles
    roots = on.interpolate(shape.vertices, triangles).astype(np.float64)
    normals = normalized(on.interpolate(shape.normals, triangles))
    along = normalized(
        _combed(on.interpolate(shape.template, triangles), 0.4)
        + 0.35 * rng.standard_normal((len(roots), 3))
    )
    tips = roots + _BUZZ_LENGTH * normalized(0.6 * normals + along) * rng.uniform(
        0.6, 1.2, (len(roots), 1)
    )
    tone = (
        _tones(shape, len(roots), rng)
        * shape.light.shade(normals)
        * rng.uniform(0.45, 0.85, (len(roots), 1))
    )
    hairs = strand_gaussians(np.stack([roots, tips], 1), _BUZZ_RADIUS, tone, tone, opacity=0.75)
    return rigid_added(
        hairs,
        start=roots,
        appear=rng.uniform(0, 0.5, len(roots)),
        least_size=0.3,
        region=Region.HAIR,
    )


def _locks(shape: HeadShape, cut: Cut, density: FloatArray) -> AddedGaussians:
    """Locks of hair, of `density` (V,)."""
    rng = np.random.default_rng(_SEED)
    lines = _waved(shape, _grown(shape, cut, density, rng), cut, rng)
    return locks_along(shape, lines, cut, rng)


def locks_along(
    shape: HeadShape, lines: FloatArray, cut: Cut, rng: np.random.Generator
) -> AddedGaussians:
    """Locks along lines (N, steps + 1, 3): ribbons in the person's hair colours, and thin strands on some of them."""
    count, steps = len(lines), cut.steps
    field = SkinField(shape)
    middles = (lines[:, :-1] + lines[:, 1:]) / 2
    flat_middles = middles.reshape(-1, 3)
    along = (lines[:, 1:] - lines[:, :-1]).reshape(-1, 3)
    length = np.linalg.norm(along, axis=1)
    outwards = _across(_outwards(shape, field, flat_middles), normalized(along), flat_middles)
    # of what is left of a lock: one that was cut off tapers to its new end
    arcs = _arc_lengths(lines)
    share = (0.5 * (arcs[:, :-1] + arcs[:, 1:]) / np.maximum(arcs[:, -1:], 1e-6)).reshape(-1)
    width = cut.width * np.interp(share, (0, 0.25, 0.75, 1), (0.75, 1.0, 0.95, cut.tip))
    tone = np.repeat(_tones(shape, count, rng) * rng.uniform(0.78, 1.12, (count, 1)), steps, 0)
    light = shape.light.shade(outwards) * _sheen(normalized(along), outwards)[:, None]
    # ambient occlusion: hair is darker at the roots and inside the volume
    deep = 0.72 + 0.28 * ramp(share, 0.0, 0.3)
    colors = tone * light * deep[:, None]
    sigma = np.stack([np.maximum(0.5 * length, 0.7 * width), width * 0.66], 1)
    opacity = 0.95 * np.interp(share, (0, 0.8, 1), (1, 1, 0.75))
    ribbons = flat(
        flat_middles, outwards, sigma, colors, opacity=opacity, along=along, thickness=0.0012
    )
    some = rng.random(count) < _FINE
    fine = _fine_strands(
        lines[some],
        colors.reshape(count, steps, 3)[some],
        outwards.reshape(count, steps, 3)[some],
        cut,
        rng,
    )
    # The lock of each Gaussian
    of = np.concatenate([np.repeat(np.arange(count), steps), np.repeat(np.nonzero(some)[0], steps)])
    # Not what was cut off
    shown = np.concatenate([length, length.reshape(count, steps)[some].reshape(-1)]) > 1e-3
    whole, of = _select(joined(ribbons, fine), shown), of[shown]
    added = rigid_added(
        whole,
        start=lines[of, 0],
        appear=rng.uniform(0, 0.25, count)[of],
        least_size=0.4,
        region=Region.HAIR,
    )
    added.rigid.head_weights[:] = head_weights(whole.means)
    return added


def _select(gaussians: Gaussians, keep: BoolArray) -> Gaussians:
    return Gaussians(
        *(
            getattr(gaussians, name)[keep]
            for name in ("means", "quats", "scales", "opacities", "colors")
        )
    )


def _fine_strands(
    lines: FloatArray, colors: FloatArray, outwards: FloatArray, cut: Cut, rng: np.random.Generator
) -> Gaussians:
    """A thin lighter strand on each lock, which makes the surface look like hair."""
    count, steps = colors.shape[:2]
    side = normalized(np.cross(lines[:, -1] - lines[:, 0], outwards[:, 0]))
    shift = side[:, None] * rng.uniform(-0.7, 0.7, (count, 1, 1)) * cut.width
    lift = np.concatenate([outwards, outwards[:, -1:]], 1) * 0.0011
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1)) + 1.9 * np.arange(steps + 1)[None, :, None]
    wave = 0.25 * cut.width * np.sin(phase) * side[:, None]
    brighter = colors * rng.uniform(1.05, 1.5, (count, 1, 1))
    fine = strand_gaussians(
        lines + shift + lift + wave, 0.0008, brighter[:, 0], brighter[:, -1], opacity=0.7
    )
    shades = np.clip(brighter.reshape(-1, 3), 0, 1).astype(np.float32)
    return Gaussians(fine.means, fine.quats, fine.scales, fine.opacities, shades)


def _waved(shape: HeadShape, lines: FloatArray, cut: Cut, rng: np.random.Generator) -> FloatArray:
    """Locks (N, K, 3) that swing about their lines, more from the root to a third of their length."""
    if not cut.wave:
        return lines
    field, arcs = SkinField(shape), _arc_lengths(lines)
    along = normalized(np.gradient(lines, axis=1).reshape(-1, 3))
    outwards = _outwards(shape, field, lines.reshape(-1, 3))
    side = normalized(np.cross(along, outwards)).reshape(lines.shape)
    phase = rng.uniform(0, 2 * np.pi, (len(lines), 1)) + 2 * np.pi * arcs / cut.wave_length
    swing = cut.wave * ramp(arcs / np.maximum(arcs[:, -1:], 1e-6), 0.0, 0.35)
    out = lines + (swing * np.sin(phase))[..., None] * side
    out += (cut.curl * swing * np.cos(phase))[..., None] * outwards.reshape(lines.shape)
    clear = np.full(out.size // 3, _LEAST_CLEARANCE)
    lifted = field.lifted(out.reshape(-1, 3), clear).reshape(out.shape)
    lifted[:, 0] = lines[:, 0]
    return lifted


def _grown(shape: HeadShape, cut: Cut, density: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Lines (N, steps + 1, 3) of the locks: along the skull, then down."""
    field = SkinField(shape)
    on = roots_on(shape, density * (shape.charts.ears < 0.2), cut.spacing, rng)
    triangles = shape.avatar.rig.triangles
    roots = on.interpolate(shape.vertices, triangles).astype(np.float64)
    rest = on.interpolate(shape.template, triangles)
    crown = ramp(rest[:, 1], -0.05, 0.09)
    length = (cut.length[0] + (cut.length[1] - cut.length[0]) * crown) * rng.uniform(
        0.85, 1.1, len(roots)
    )
    body = cut.body * (0.3 + 0.7 * crown) * rng.uniform(0.75, 1.1, len(roots))
    lines = np.empty((len(roots), cut.steps + 1, 3))
    lines[:, 0] = roots
    step = (length / cut.steps)[:, None]
    stray = 0.10 * rng.standard_normal((len(roots), 3))
    middle = float(shape.vertices[shape.skin, 0].mean())
    lowest = cut.lowest + _UNEVEN * (0.5 - np.minimum(np.abs(stray[:, 0]) / 0.1, 1.5))
    for k in range(cut.steps):
        here = lines[:, k]
        normal = field.normals(here)
        lying = _combed(field.on_template(here), cut.swept, cut.parting) + stray
        lying = normalized(lying - (lying * normal).sum(1, keepdims=True) * normal)
        side = np.sign(here[:, 0] - middle)
        falling = (
            np.stack([0.07 * side, -np.ones(len(here)), -0.02 - 0.10 * (here[:, 2] > -0.06)], 1)
            + 0.25 * stray
        )
        free = ramp(here[:, 1], _FREE[0], _FREE[1])[:, None]
        place = here + step * normalized((1 - free) * lying + free * falling)
        clearance = body * min(1.0, (k + 1) / min(cut.steps, 3))
        lines[:, k + 1] = field.lifted(place, clearance)
        low = lines[:, k + 1, 1] < lowest
        lines[low, k + 1] = here[low] + 1e-4 * np.array([0, -1.0, 0])
    for _ in range(_SMOOTHINGS):  # ears and shoulders displace single points
        lines[:, 1:-1] = 0.5 * lines[:, 1:-1] + 0.25 * (lines[:, :-2] + lines[:, 2:])
    above, beside = lines[..., 1] > _FREE[0], lines[..., 1] > _FREE[1]
    # A loop that stands off the head, and a lock that an ear has pushed away from it
    loose = (field.height(lines.reshape(-1, 3)).reshape(above.shape) > 2 * cut.body) & above
    skull = shape.skin & (shape.charts.ears < 0.05) & (shape.template[:, 1] > 0)
    widest = float(np.abs(shape.vertices[skull, 0] - middle).max())
    loose |= (np.abs(lines[..., 0] - middle) > widest + 2 * cut.body) & beside
    return lines[~_before_the_face(shape, field, lines) & ~loose.any(1)]


def _arc_lengths(lines: FloatArray) -> FloatArray:
    """(N, K) metres from the root to each point of lines (N, K, 3)."""
    so_far = np.zeros(lines.shape[:-1])
    np.cumsum(np.linalg.norm(np.diff(lines, axis=1), axis=2), axis=1, out=so_far[:, 1:])
    return so_far


def _before_the_face(shape: HeadShape, field: SkinField, lines: FloatArray) -> BoolArray:
    """(N,) mask of locks (N, K, 3) that hang over the face below its hairline."""
    rest = field.on_template(lines.reshape(-1, 3)).reshape(lines.shape)
    x, y, z = np.moveaxis(rest, 2, 0)
    top = float(shape.landmarks_template[10, 1])
    side = float(shape.landmarks_template[[234, 454], 2].mean())
    narrow = float(np.abs(shape.landmarks_template[[103, 332], 0]).mean())
    return ((y < top - 0.004) & (z > side) & (np.abs(x) < narrow)).any(1)


def _outwards(shape: HeadShape, field: SkinField, places: FloatArray) -> FloatArray:
    """Unit normals (N, 3) of the hair's outside: the skull's above, away from the neck's axis below."""
    skull = field.normals(places)
    away = places - np.array([0.0, 0.0, shape.skull.center[2]])
    away[:, 1] = 0
    below = ramp(places[:, 1], _FREE[0], _FREE[1])[:, None]
    return normalized((1 - below) * skull + below * normalized(away))


def _across(outwards: FloatArray, along: FloatArray, places: FloatArray) -> FloatArray:
    """Normals (N, 3) of locks at right angles to unit directions `along` (N, 3), whatever skin is below, such as an ear's edge.

    Else a ribbon would lie across its lock where the nearest skin faces along it.
    """
    away = places * [1.0, 0.0, 0.0]
    flat_on = outwards + 0.2 * normalized(away + 1e-6)
    return normalized(flat_on - (flat_on * along).sum(1, keepdims=True) * along)


def _sheen(along: FloatArray, outwards: FloatArray) -> FloatArray:
    """Specular highlight across strands (Kajiya & Kay, SIGGRAPH 1989), (N,) around 1: light from above and in front."""
    half = normalized(np.array([[0.0, 0.75, 0.66]]))[0]
    across = np.sqrt(np.clip(1 - (along @ half) ** 2, 0, 1))
    return 0.90 + 0.45 * across**10 * np.clip(outwards @ half, 0, 1)


BUILT_IN: dict[str, Callable[[Avatar], Attribute]] = {
    "hair-long": long,
    "hair-wavy": wavy,
    "hair-curly": curly,
    "hair-side-part": side_part,
    "hair-undercut": undercut,
    "hair-short": short,
    "hair-buzz": buzz,
    "hair-shaved": shaved,
}
"""By name, in the order in which they are shown."""
