"""Teeth, tongue and the inside of the mouth: synthesised on the rig, and teeth from the photo where visible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from offline.gaussian_layer import COVERAGE, Layer, empty_layer, join, surface_layer
from offline.images import (
    blur,
    dilate,
    distance_to,
    erode,
    fill_from,
    pixel_centers,
    polygon,
    sample,
)
from offline.lift.pixel_mesh import grid_mesh, scatter
from offline.lift.teeth import (
    ENAMEL,
    LOWER,
    ROWS,
    carriers,
    individual_row,
    longer_row,
    painted_row,
    row_mesh,
)
from offline.looks.photo_tones import lab_of, rgb_of
from offline.numeric import normalized, ramp
from offline.priors import USUAL_SKIN
from offline.rig.photo_geometry import PhotoGeometry
from offline.sampling import poisson_disk
from offline.segment.appearance import Appearance
from offline.segment.landmark_masks import mouth_opening
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.head.landmarks import (
    INNER_LIP_LOWER,
    INNER_LIP_RING,
    INNER_LIP_UPPER,
    LIPS,
    LOWER_LIP_RING,
    UPPER_LIP_RING,
    load_landmark_model,
    mesh_landmarks,
)
from perse_live.head.rig import Part
from perse_live.raster import RasterResult, rasterise
from perse_live.regions import Region

# Brightness of teeth for black skin, and its slope over the skin's, sRGB; exponent of the skin's tint in theirs.
_DARK_TOOTH, _TOOTH_OVER_SKIN, _TINTED = 0.27, 0.69, 0.6
# Green over red, and blue over green, of the whitest teeth: 0.83 to 0.89 on three clips that show some, and 0.92 on two of them
_WHITEST = 0.97, 0.96
_LEAST_WHITE = 25  # fewest pixels between the lids from which the tint of the sclera is estimated
_TONGUE = np.array([0.74, 0.37, 0.36])
_CAVITY = np.array([0.46, 0.18, 0.16])
# CIE L*a*b* chroma relative to the lips' and to the skin's, the greater of both, and at most: lipstick does not colour a tongue
_CHROMA_OVER_LIPS, _CHROMA_OVER_SKIN, _MOST_CHROMA = (0.95, 1.5, 42.0)
_REDDER = 0.6  # radians of hue from skin to tongue
# L* over that of the skin, in the same light
_TONGUE_LIGHTNESS, _LINING_LIGHTNESS = (0.80, 0.42)
# Metres, depths on the mean head between which the light falls to the throat's
_THROAT = (-0.035, 0.016)
# Light at the throat relative to that behind the lips: wide open mouths on film have it at 0.3 (d3, in dim light) to 0.7 (d18)
_DEEPEST_LINING, _DEEPEST_TONGUE = 0.45, 0.3
_LAMP = np.array([0.0, 0.6, 0.8])  # direction of the light on the tongue, head frame
_AMBIENT = 0.65  # share of the light that comes from everywhere
_SHINE = 0.06  # of a wet tongue
# Metres, depths on the mean head from which an open mouth shows tongue and lining
_TONGUE_FRONT, _LINING_FRONT = (-0.05, -0.03)
_PAPILLAE = 0.04  # standard deviation of a tongue's brightness from point to point
# Metres behind the lips over which the lining has their colour, and how dark
_INNER_LIP, _INNER_LIGHT = (0.003, 0.5)
_SHADE = np.array([0.10, 0.045, 0.04])
# Of the upper lip's shadow; where the photo's lips are closed
_SHADE_OPACITY, _SEAM_OPACITY = (0.4, 0.6)
_SHADE_OPACITY_BELOW = 0.3  # of the lower lip's; at 0.1 bright teeth make its edge look jagged
# Metres: standard deviation, past the lip, behind it
_SHADE_SIZE, _SHADE_REACH, _SHADE_BEHIND = (0.0014, 0.0006, 0.0025)
# Gaussians of the shadow for each edge between landmarks; with 2, opening lips spread them to dots
_SHADE_STEPS = 6
_FRONTAL = 0.4  # least forward component of the normal of a lip's triangle that carries shadow
_REGIONS = {Part.TONGUE: Region.TONGUE, Part.MOUTH_CAVITY: Region.MOUTH}
# Factor of the Gaussians' width: an opening jaw stretches the surface below
_CLOSED = 1.15
_TOOTH_DARK = 0.35  # darkness from which a pixel between the lips is not a tooth
_GAP = 2.5  # pixels: half of the widest dark gap that is bridged
_IN_SHADE, _TAKEN = 0.88, 0.3  # light on bridged gaps, and their freedom in refinement
# Pixels next to the lips that show lip and its shadow mixed with the tooth, at most this share of the gap between the lips
_LIP_EDGE, _LIP_EDGE_SHARE = 2.0, 0.25
_LEAST_TOOTH = 0.8  # brightness of the photo's teeth over that of enamel in the light of the face
# Pixels of visible mouth inside below which the photo's teeth are not used
_LEAST_OPENING = 5.0
_WIDE_OPENING = 10.0  # pixels from which synthesised teeth take the light of visible ones


def mouth_layer(
    geometry: PhotoGeometry, look: Appearance, landmarks: FloatArray, rng: np.random.Generator
) -> Layer:
    """Everything behind the lips."""
    opening = mouth_opening(landmarks, look.alpha.shape)
    gap = float(np.linalg.norm(landmarks[13, :2] - landmarks[14, :2]))
    light = light_on_teeth(look, opening)
    if gap > _WIDE_OPENING:
        light = _light_of_teeth(look, opening, light)
    seen = ramp(distance_to(~opening) - distance_to(opening), -1.0, 1.5) * (gap > _WIDE_OPENING)
    (own,) = rng.spawn(1)
    flesh = _flesh(geometry, _skin_color(look), _lip_color(look, landmarks), rng)
    shown = (
        photographed_teeth(geometry, look, opening, rng) if gap > _LEAST_OPENING else empty_layer()
    )
    rows = [
        painted_row(
            geometry,
            individual_row(longer_row(row) if len(shown.gaussians) else row, own),
            light,
            seen.astype(np.float32),
        )
        for row in ROWS
    ]
    return join(*rows, *flesh, _shade(geometry, light, gap), shown)


def light_on_teeth(look: Appearance, opening: BoolArray) -> FloatArray:
    """The light on the person's teeth (3,), relative to the light of the whitest enamel.

    Measured on portraits and clips that show teeth: these are 1.0 to 1.3 times as bright as a fair skin, more on a dark one, and
    little more than half as tinted. Where the sclera is less tinted, its tint is the better estimate.
    """
    face = look.image[(look.skin > 0.8) & (look.alpha > 0.95)]
    if not len(face):
        return np.ones(3)
    skin = np.median(face, 0)
    tint = (skin / max(float(skin.mean()), 0.02)) ** _TINTED
    white = _eye_white(look.image[look.openings & ~opening])
    if white is not None and np.ptp(white) < np.ptp(tint):
        tint = white
    tint[1] = max(tint[1], tint[2])  # no light makes enamel violet: that is the lids' red
    # nor grey or bluish: that is the sky in the eyes
    tint[1] = min(tint[1], _WHITEST[0] * tint[0])
    tint[2] = min(tint[2], _WHITEST[1] * tint[1])
    tooth = np.clip(_DARK_TOOTH + _TOOTH_OVER_SKIN * skin.mean(), 0.25, 0.86) * tint / tint.mean()
    return np.clip(tooth / ENAMEL, 0.25, 1.15)


def _eye_white(seen: FloatArray) -> FloatArray | None:
    """The tint (3,), mean 1, of the sclera among colours between the lids (N, 3); None where too little is visible."""
    if len(seen) < _LEAST_WHITE:
        return None
    brightness = seen.mean(1)
    low, high = np.percentile(brightness, [65, 92])  # above lie reflections
    white = np.median(seen[(brightness >= low) & (brightness <= high)], 0)
    return white / max(float(white.mean()), 0.02)


def _light_of_teeth(look: Appearance, opening: BoolArray, otherwise: FloatArray) -> FloatArray:
    """The light (3,) in which synthesised teeth match those in the photo; `otherwise` (3,) where none are visible."""
    shown = look.image[opening]
    brightness = shown.mean(1)
    pale = shown[brightness > np.percentile(brightness, 70)] if len(shown) else shown
    if not len(pale):
        return otherwise
    seen = np.median(pale, 0) / ENAMEL
    return np.clip(seen, 0.8 * otherwise, 1.25 * otherwise)


def _skin_color(look: Appearance) -> FloatArray:
    """The median colour of the face's skin, (3,)."""
    face = look.image[(look.skin > 0.8) & (look.alpha > 0.95)]
    return np.median(face, 0) if len(face) else np.array(USUAL_SKIN)


def _lip_color(look: Appearance, landmarks: FloatArray) -> FloatArray:
    """The photo's red of the lips, (3,)."""
    upper, lower = (
        polygon(landmarks[list(ring), :2], look.alpha.shape)
        for ring in (UPPER_LIP_RING, LOWER_LIP_RING)
    )
    shown = look.image[(upper | lower) & ~look.openings]
    return np.median(shown, 0) if len(shown) else _TONGUE


def _flesh(
    geometry: PhotoGeometry, skin: FloatArray, lip: FloatArray, rng: np.random.Generator
) -> tuple[Layer, Layer]:
    """Tongue and lining. skin, lip: (3,) colours in the photo; the lining has the lips' next to them."""
    middle = geometry.triangle_template()
    tongue = (np.abs(middle[:, 0]) < 0.029) & (middle[:, 2] > -0.055) & (middle[:, 1] > -0.1)
    # The cheeks' inner sides too: they are visible from the side in an open mouth
    lining = middle[:, 2] > -0.07
    inner = _painted_part(
        geometry,
        Part.MOUTH_CAVITY,
        lining,
        2.8,
        flesh_tone(_CAVITY, _LINING_LIGHTNESS, skin, lip),
        rng,
    )
    ring = mesh_landmarks(load_landmark_model(), geometry.vertices)[list(INNER_LIP_RING)]
    beside = np.exp(-0.5 * (KDTree(ring).query(inner.gaussians.means)[0] / _INNER_LIP) ** 2)[
        :, None
    ]
    colors = inner.gaussians.colors + beside * (_INNER_LIGHT * lip - inner.gaussians.colors)
    inner = replace(inner, gaussians=replace(inner.gaussians, colors=colors.astype(np.float32)))
    return _painted_part(
        geometry, Part.TONGUE, tongue, 2.1, flesh_tone(_TONGUE, _TONGUE_LIGHTNESS, skin, lip), rng
    ), inner


def _painted_part(
    geometry: PhotoGeometry,
    part: Part,
    shown: BoolArray,
    step: float,
    tone: FloatArray,
    rng: np.random.Generator,
) -> Layer:
    """One part of the mouth. shown: (T,) triangles seen through open lips; step: pixels between Gaussians in front;
    tone: (3,) its colour behind the lips.
    """
    rig, pixel = geometry.rig, 1 / geometry.pixels_per_metre
    front = geometry.triangle_template()[:, 2] > (
        _TONGUE_FRONT if part is Part.TONGUE else _LINING_FRONT
    )
    spacing = np.where(front, step, 2 * step) * pixel
    points = poisson_disk(
        geometry.vertices, rig.triangles, np.where((rig.parts == part) & shown, spacing, 0), rng=rng
    )
    rest, (means, round_normals) = geometry.on_template(points), geometry.on_rig(points)
    is_tongue = part is Part.TONGUE
    colors = flesh_color(tone, rest, round_normals @ geometry.R_cam_head, tongue=is_tongue)
    if is_tongue:
        colors = colors * (1 + _PAPILLAE * rng.normal(size=(len(colors), 1)))
    corners = geometry.vertices[rig.triangles[points.triangle]]
    # normals of the triangles: binding aligns Gaussians with them
    normals = normalized(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    return surface_layer(
        means,
        normals,
        points.spacing * _CLOSED * COVERAGE,
        np.clip(colors, 0, 1),
        _REGIONS[part],
        triangles=points.triangle,
        freedom=0.0,
        color_freedom=0.0,
        least_opacity=0.9,
    )


def flesh_tone(
    usual: FloatArray, lightness: float, skin: FloatArray, lip: FloatArray
) -> FloatArray:
    """The colour (3,) of a part of the mouth in a photo with such skin (3,) and lips (3,).

    usual: (3,) its colour in white light, which gives a share of the hue; lightness: L* over that of `skin`. Hue and saturation
    follow skin and lips, so it is grey in a black-and-white photo, and of the painter's palette in a painting. Pale lips do not
    make it paler than skin.
    """
    lab = lab_of(np.stack([usual, lip, skin]))
    chroma = np.hypot(*lab[:, 1:].T)
    units = lab[:, 1:] / np.maximum(chroma, 1e-6)[:, None]
    turn = np.array([[np.cos(_REDDER), np.sin(_REDDER)], [-np.sin(_REDDER), np.cos(_REDDER)]])
    hue = units[0] + units[1] + turn @ units[2]
    strength = min(
        max(_CHROMA_OVER_LIPS * float(chroma[1]), _CHROMA_OVER_SKIN * float(chroma[2])),
        _MOST_CHROMA,
    )
    tone = np.r_[lightness * lab[2, 0], strength * hue / max(float(np.linalg.norm(hue)), 1e-6)]
    return rgb_of(tone[None])[0]


def flesh_color(
    tone: FloatArray, rest: FloatArray, normals: FloatArray, *, tongue: bool
) -> FloatArray:
    """Colour of tongue or lining: lit from the front and above, darker towards the throat.

    tone: (3,) behind the lips; rest: (N, 3) places on the mean head, metres; normals: (N, 3) unit, head frame. Returns (N, 3).
    """
    depth = ramp(rest[:, 2:], *_THROAT)
    if not tongue:
        return tone * (_DEEPEST_LINING + (1 - _DEEPEST_LINING) * depth)
    groove = 1 - 0.16 * np.exp(-((rest[:, :1] / 0.0028) ** 2))
    facing = np.clip(normals @ _LAMP, 0, 1)[:, None]
    side = 1 - 0.25 * ramp(np.abs(rest[:, :1]), 0.010, 0.024)  # falls off to both sides
    shine = _SHINE * facing**8 * np.exp(-((rest[:, :1] / 0.009) ** 2))
    return (tone * groove * side * (_AMBIENT + (1 - _AMBIENT) * facing) + shine) * (
        _DEEPEST_TONGUE + (1 - _DEEPEST_TONGUE) * depth
    )


def _shade(geometry: PhotoGeometry, light: FloatArray, gap: float) -> Layer:
    """Soft shadow that the lips cast on the teeth behind them, the upper one most; bound to the lips.

    light: (3,); gap: pixels between the lips. Where they part, the strength of the upper one's is estimated
    from the photo; where they meet, its colour.
    """
    rig, model, closed = geometry.rig, load_landmark_model(), np.bool_(gap <= _LEAST_OPENING)
    head = geometry.to_head(geometry.vertices)
    corners = head[rig.triangles]
    normals = normalized(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    lips = np.unique(model.vertex_ids[list(LIPS)])
    fronts = np.nonzero(
        (rig.parts == Part.SKIN) & np.isin(rig.triangles, lips).any(1) & (normals[:, 2] > _FRONTAL)
    )[0]
    lines = [
        mesh_landmarks(model, head)[list(edge[2:-2])] for edge in (INNER_LIP_UPPER, INNER_LIP_LOWER)
    ]  # corners are dark, and turn so far that shadow behind them would be spots in front of the teeth
    ring = np.concatenate([_subdivided(line, _SHADE_STEPS) for line in lines])
    upper = np.arange(len(ring)) < len(ring) // 2
    if not len(fronts):
        return empty_layer()
    triangles = fronts[np.asarray(KDTree(corners[fronts].mean(1)).query(ring)[1])].astype(np.int32)
    past = np.where(upper, -_SHADE_REACH, _SHADE_REACH)
    means = (
        ring + np.c_[0 * past, past, 0 * past - _SHADE_BEHIND]
    ) @ geometry.R_cam_head.T + geometry.t_cam_head
    facing = np.tile(geometry.R_cam_head[:, 2], (len(means), 1))
    wanted = np.where(upper, _SEAM_OPACITY if closed else _SHADE_OPACITY, _SHADE_OPACITY_BELOW)
    return surface_layer(
        means,
        facing,
        np.full(len(means), _SHADE_SIZE),
        np.tile(_SHADE * light, (len(means), 1)),
        Region.MOUTH,
        opacity=1 - (1 - wanted) ** (2 / _SHADE_STEPS),
        triangles=triangles,
        freedom=(upper & ~closed).astype(np.float32),
        color_freedom=float(closed),
        least_opacity=0.02,
    )


def _subdivided(line: FloatArray, steps: int) -> FloatArray:
    """A polyline (K, 3) with so many points for each of its edges."""
    at = np.linspace(0, len(line) - 1, steps * (len(line) - 1) + 1)
    return np.stack([np.interp(at, np.arange(len(line)), line[:, k]) for k in range(3)], 1)


def photographed_teeth(
    geometry: PhotoGeometry, look: Appearance, opening: BoolArray, rng: np.random.Generator
) -> Layer:
    """The photo's pixels between the lips, on the rows of teeth; upper ones stay with the skull, lower ones go with the jaw."""
    meshes = [row_mesh(geometry, row) for row in ROWS]
    uppers = len(meshes[0][1])
    seen = rasterise(
        np.concatenate([vertices for vertices, _ in meshes]),
        np.concatenate([meshes[0][1], meshes[1][1] + np.int32(len(meshes[0][0]))]),
        geometry.camera,
    )
    if (seen.covered & opening).sum() < 20:
        return empty_layer()
    brightness = look.image.mean(2)
    bright = float(np.percentile(brightness[opening], 90))
    # The shadow behind lips that part slightly
    if bright < _LEAST_TOOTH * float((light_on_teeth(look, opening) * ENAMEL).mean()):
        return empty_layer()
    dark = np.clip((0.5 * bright - brightness) / (0.2 * bright), 0, 1)  # gaps and corners
    depth = _teeth_depth(geometry, seen, opening, dark)
    x_head = geometry.to_head(geometry.camera.unproject(pixel_centers(depth.shape), depth))[..., 0]
    from_lips = distance_to(~opening)
    # Lips that move from where the photo has them would uncover their colour as a dotted line across the teeth
    edge = max(0.5, min(_LIP_EDGE, 2 * _LIP_EDGE_SHARE * float(from_lips.max())))
    whole = (dark < _TOOTH_DARK) & (from_lips > edge)
    if not whole.any():
        return empty_layer()
    # dark gaps between teeth would stay in every expression
    share = np.clip(2 - 2 * blur(whole | ~opening, 0.7), 0, 1)[..., None]
    image = look.image + share * (_IN_SHADE * blur(fill_from(look.image, whole), 0.7) - look.image)
    shown = erode(dilate(whole, _GAP), _GAP - 1) & (from_lips > 0.5) & (np.abs(x_head) < 0.021)
    mesh = grid_mesh(geometry.camera, depth, shown, step=1, largest_step=0.02)
    if not len(mesh.triangles):
        return empty_layer()
    points = scatter(mesh, 1.1 / geometry.pixels_per_metre, rng=rng)
    low = (seen.triangle_ids >= uppers)[
        points.pixels[:, 1].astype(int), points.pixels[:, 0].astype(int)
    ]
    triangles = np.where(low, carriers(geometry, LOWER.part, points.means, points.normals), -1)
    return surface_layer(
        points.means,
        points.normals,
        points.spacing * COVERAGE,
        sample(image, points.pixels),
        Region.TEETH,
        triangles=triangles,
        freedom=0.5,
        color_freedom=_TAKEN + (1 - _TAKEN) * sample(whole, points.pixels),
        least_opacity=0.8,
    )


def _teeth_depth(
    geometry: PhotoGeometry, seen: RasterResult, opening: BoolArray, dark: FloatArray
) -> Float32Array:
    """Depth (H, W) of pixels between the lips: the rows of teeth, deeper where dark, everywhere behind the lips."""
    teeth = seen.covered & opening
    depth = (
        blur(fill_from(np.where(teeth, seen.depth, 0), teeth), 2.0)
        - 0.0008
        + 0.004 * blur(dark, 1.0)
    )
    lips = geometry.part_map(Part.SKIN) & ~opening
    lip_depth = fill_from(np.where(lips, geometry.seen.depth, 0), lips)
    return np.maximum(depth, lip_depth + 0.003).astype(np.float32)
