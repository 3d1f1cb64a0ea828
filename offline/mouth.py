"""Teeth, tongue and the inside of the mouth: painted on the rig, and the photo's own teeth where it shows them."""

from __future__ import annotations

import numpy as np

from offline.geometry import PhotoGeometry
from offline.grid import grid_mesh, scatter
from offline.images import blur, distance_to, fill_from, pixel_centers, polygon, sample
from offline.layers import COVERAGE, Layer, empty_layer, join, surface_layer
from offline.numeric import ramp, unit
from offline.sampling import poisson_disk
from offline.skin import Appearance
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.head.landmarks import INNER_LIP_RING
from perse_live.head.rig import Part
from perse_live.raster import RasterResult, rasterise
from perse_live.regions import Region

# millimetres from the midline backwards (Wheeler's Dental Anatomy, chapter 1)
_UPPER_WIDTHS = (8.5, 6.6, 7.6, 7.0, 6.8, 10.0, 9.5)
_LOWER_WIDTHS = (5.4, 6.0, 6.9, 7.0, 7.0, 11.0, 10.5)
_ENAMEL = np.array([0.86, 0.82, 0.75])
_SKIN_TINT = np.array([1.25, 0.95, 0.80])  # of an ordinary face in white light, mean 1
_GUM = np.array([0.70, 0.42, 0.40])
_TONGUE = np.array([0.70, 0.35, 0.34])
_BACK_TOOTH = np.array([0.40, 0.27, 0.24])  # light at the last molars over that at the front
_CAVITY = np.array([0.42, 0.16, 0.15])
_REGIONS = {Part.TEETH_UPPER: Region.TEETH, Part.TEETH_LOWER: Region.TEETH, Part.TONGUE: Region.TONGUE,
            Part.MOUTH_CAVITY: Region.MOUTH}
_ROWS = (Part.TEETH_UPPER, Part.TEETH_LOWER)
_ASIDE = (0.014, 0.019)  # metres from the midline from which teeth stand in the shadow of a smile's corners
_TAKEN = 0.6  # how freely they take the photo's colours
_CLOSED = 1.15  # how much wider than elsewhere Gaussians are: an opening jaw stretches what they lie on
_TOOTH_DARK = 0.35  # darkness between the lips from which a pixel is no tooth
_LEAST_TOOTH = 0.8  # brightness of the photo's teeth over that of enamel in the light of the face
_LEAST_OPENING = 5.0  # pixels of visible mouth inside below which the photo's own teeth are not used
_WIDE_OPENING = 10.0  # pixels from which painted teeth take the light of those seen


def mouth_opening(landmarks: FloatArray, shape: tuple[int, int]) -> BoolArray:
    """(H, W) pixels between the lips. landmarks: (478, 2+) pixels."""
    return polygon(landmarks[list(INNER_LIP_RING), :2], shape)


def mouth_layer(geometry: PhotoGeometry, look: Appearance, landmarks: FloatArray, rng: np.random.Generator) -> Layer:
    """Everything behind the lips."""
    opening = mouth_opening(landmarks, look.alpha.shape)
    gap = float(np.linalg.norm(landmarks[13, :2] - landmarks[14, :2]))
    light = _light(look)
    seen = np.zeros(opening.shape, np.float32)
    if gap > _WIDE_OPENING:
        light = _light_of_teeth(look, opening, light)
        seen = ramp(distance_to(~opening) - distance_to(opening), -1.0, 1.5).astype(np.float32)
    layers = [_painted(geometry, seen, light, rng)]
    if gap > _LEAST_OPENING:
        layers.append(photographed_teeth(geometry, look, opening, rng))
    return join(*layers)


def _light(look: Appearance) -> FloatArray:
    """The light on the person (3,), over that on an ordinary face, from the skin: a warm tint is half its own, a pale one all."""
    face = look.image[(look.skin > 0.8) & (look.alpha > 0.95)]
    if not len(face):
        return np.ones(3)
    skin = np.median(face, 0)
    tint = np.sqrt(skin / max(float(skin.mean()), 0.02) / _SKIN_TINT)
    warm = np.clip(tint / tint.mean(), 0.8, 1.2) if tint[0] > tint[2] else np.ones(3)
    return np.clip(skin.mean() / 0.62, 0.4, 1.05) * warm


def _light_of_teeth(look: Appearance, opening: BoolArray, otherwise: FloatArray) -> FloatArray:
    """The light (3,) in which painted teeth match those that the photo shows; `otherwise` (3,) where it shows none."""
    shown = look.image[opening]
    brightness = shown.mean(1)
    pale = shown[brightness > np.percentile(brightness, 70)] if len(shown) else shown
    if not len(pale):
        return otherwise
    seen = np.median(pale, 0) / _ENAMEL
    return np.clip(seen, 0.8 * otherwise, 1.25 * otherwise)


def _painted(geometry: PhotoGeometry, seen: Float32Array, light: FloatArray, rng: np.random.Generator) -> Layer:
    """What the photo does not show, or only in shadow.

    seen: (H, W) in [0, 1], how surely pixels lie between the lips; light: (3,) on the teeth.
    """
    middle = geometry.triangle_template()
    outward = (geometry.normals[geometry.rig.triangles].mean(1) @ geometry.R_cam_head)[:, 2] > -0.2
    teeth = outward & (middle[:, 2] > -0.012) & (np.abs(middle[:, 0]) < 0.026)
    inside = (np.abs(middle[:, 0]) < 0.029) & (middle[:, 2] > -0.055) & (middle[:, 1] > -0.1)
    lining = middle[:, 2] > -0.07  # the cheeks' inner sides too: an open mouth is looked into from the side
    return join(_painted_part(geometry, Part.TEETH_UPPER, teeth, 1.3, seen, light, rng),
                _painted_part(geometry, Part.TEETH_LOWER, teeth, 1.3, seen, light, rng),
                _painted_part(geometry, Part.TONGUE, inside, 2.1, seen, light, rng),
                _painted_part(geometry, Part.MOUTH_CAVITY, lining, 2.8, seen, light, rng))


def _painted_part(geometry: PhotoGeometry, part: Part, shown: BoolArray, step: float, seen: Float32Array, light: FloatArray,
                  rng: np.random.Generator) -> Layer:
    """One part of the mouth. shown: (T,) triangles seen through open lips; step: pixels between Gaussians in front.

    Back teeth that the photo looks at (`seen`) may get its colours by refinement: the corners of a smile are dark.
    """
    rig, pixel = geometry.rig, 1 / geometry.pixels_per_metre
    spacing = np.where(geometry.triangle_template()[:, 2] > -0.03, step, 2 * step) * pixel
    points = poisson_disk(geometry.vertices, rig.triangles, np.where((rig.parts == part) & shown, spacing, 0), rng=rng)
    rest = geometry.on_template(points)
    depth = np.clip((rest[:, 2:] + 0.022) / 0.040, 0, 1)  # towards the throat less light arrives
    if part is Part.TONGUE:
        groove = 1 - 0.18 * np.exp(-((rest[:, :1] / 0.0025) ** 2))
        colors = _TONGUE * groove * (0.16 + 0.84 * depth) + rng.normal(0, 0.012, (len(points), 1))
    elif part is Part.MOUTH_CAVITY:
        colors = _CAVITY * (0.2 + 0.75 * depth)
    else:
        # the lower row lies in the lip's shadow and takes its tint
        brightness = np.array([0.95, 0.95, 0.95] if part is Part.TEETH_UPPER else [0.76, 0.70, 0.68])
        # the back teeth are lit by what the cheeks throw back
        colors = tooth_color(rest, upper=part is Part.TEETH_UPPER) * brightness * (_BACK_TOOTH + (1 - _BACK_TOOTH) * depth)
    means, _ = geometry.on_rig(points)
    corners = geometry.vertices[rig.triangles[points.triangle]]
    # of the triangles themselves: binding lays Gaussians into them, and rounded normals would leave gaps at cutting edges
    normals = unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    # front teeth behind a parted mouth would take the dark between the photographed ones
    aside = ramp(np.abs(rest[:, 0]), *_ASIDE) if part in _ROWS else 0.0
    return surface_layer(means, normals, points.spacing * _CLOSED * COVERAGE, colors * light, _REGIONS[part],
                         triangles=points.triangle, freedom=0.0, least_opacity=0.9,
                         color_freedom=_TAKEN * aside * sample(seen, geometry.camera.project(means)))


def tooth_color(rest: FloatArray, *, upper: bool) -> FloatArray:
    """Colour of points on a row of teeth: enamel, darker between the teeth and at the edge, gum beyond.

    rest: (N, 3) template positions, metres. Returns (N, 3).
    """
    x = np.linspace(0, 0.036, 400)
    arch = np.cumsum(np.r_[0, np.hypot(np.diff(x), np.diff(-39.0 * x**2))])  # the row is a parabola, z = z0 - 39 x^2
    along = np.interp(np.abs(rest[:, 0]), x, arch) * 1e3
    borders = np.r_[0, np.cumsum(_UPPER_WIDTHS if upper else _LOWER_WIDTHS)]
    distance = np.abs(along[:, None] - borders[None]).min(1)
    gap = np.exp(-((distance / 0.55) ** 2))
    edge = -0.0695 if upper else -0.0655
    outward = 1 if upper else -1
    height = outward * (rest[:, 1] - edge) * 1e3 - outward * 2.0 * (np.abs(rest[:, 0]) / 0.03) ** 2
    length = (9.6 if upper else 8.0) - 1.6 * gap
    gum = np.clip((height - length) / 0.8, 0, 1)[:, None]
    front = np.exp(-((rest[:, 0] / 0.016) ** 2))  # farther back gaps are hidden by the teeth before them
    tooth = _ENAMEL * (1 - 0.32 * front * gap - 0.12 * np.exp(-((np.clip(height, 0, None) / 0.8) ** 2)))[:, None]
    tooth = tooth * (1 - 0.05 * np.clip(height / length, 0, 1)[:, None] * np.array([0.2, 0.6, 1.6]))
    return tooth * (1 - gum) + _GUM * gum


def photographed_teeth(geometry: PhotoGeometry, look: Appearance, opening: BoolArray, rng: np.random.Generator) -> Layer:
    """The photo's pixels between the lips, on the rows of teeth; upper ones stay with the skull, lower ones go with the jaw."""
    rig = geometry.rig
    rows = np.nonzero(np.isin(rig.parts, (Part.TEETH_UPPER, Part.TEETH_LOWER)))[0]
    seen = rasterise(geometry.vertices, np.ascontiguousarray(rig.triangles[rows]), geometry.camera)
    if (seen.covered & opening).sum() < 20:
        return empty_layer()
    brightness = look.image.mean(2)
    bright = float(np.percentile(brightness[opening], 90))
    if bright < _LEAST_TOOTH * float((_light(look) * _ENAMEL).mean()):  # the shadow behind lips that hardly part
        return empty_layer()
    dark = np.clip((0.5 * bright - brightness) / (0.2 * bright), 0, 1)  # gaps and corners
    depth = _teeth_depth(geometry, seen, opening, dark)
    x_head = geometry.to_head(geometry.camera.unproject(pixel_centers(depth.shape), depth))[..., 0]
    shown = (distance_to(~opening) > 0.5) & (dark < _TOOTH_DARK) & (np.abs(x_head) < 0.021)
    mesh = grid_mesh(geometry.camera, depth, shown, step=1, largest_step=0.02)
    if not len(mesh.triangles):
        return empty_layer()
    points = scatter(mesh, 1.1 / geometry.pixels_per_metre, rng=rng)
    row = rows[np.maximum(seen.triangle_ids, 0)]
    lower = np.where(seen.covered & (rig.parts[row] == Part.TEETH_LOWER), row, -1)
    triangles = lower[points.pixels[:, 1].astype(int), points.pixels[:, 0].astype(int)]
    return surface_layer(points.means, points.normals, points.spacing * COVERAGE, sample(look.image, points.pixels), Region.TEETH,
                         triangles=triangles, freedom=0.5, least_opacity=0.8)


def _teeth_depth(geometry: PhotoGeometry, seen: RasterResult, opening: BoolArray, dark: FloatArray) -> Float32Array:
    """Depth (H, W) of what shows between the lips: the rows of teeth, deeper where it is dark, behind the lips everywhere."""
    teeth = seen.covered & opening
    depth = blur(fill_from(np.where(teeth, seen.depth, 0), teeth), 2.0) - 0.0008 + 0.004 * blur(dark, 1.0)
    lips = geometry.part_map(Part.SKIN) & ~opening
    lip_depth = fill_from(np.where(lips, geometry.seen.depth, 0), lips)
    return np.maximum(depth, lip_depth + 0.003).astype(np.float32)
