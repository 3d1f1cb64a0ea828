"""Skin of the whole head: Gaussians spread evenly over the rig, coloured by the photo where it shows them and by inference elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree

from offline.charts import HeadCharts
from offline.geometry import PhotoGeometry
from offline.images import blur, distance_to, sample
from offline.layers import COVERAGE, Layer, Region, surface_layer
from offline.sampling import SurfacePoints, poisson_disk
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.head.expressions import expression as expression_of
from perse_live.head.rig import Part, expressed


@dataclass(frozen=True)
class Appearance:
    """The portrait's pixels, ready to be lifted."""

    image: Float32Array
    """(H, W, 3) foreground colour in [0, 1]; at soft edges freed of the background."""
    alpha: Float32Array
    """(H, W) the person's matte."""
    skin: Float32Array
    """(H, W) probability of skin."""
    purity: Float32Array
    """(H, W) in [0, 1]: 0 where a pixel mixes skin with hair, clothes or background beside it."""
    hair: Float32Array
    """(H, W) probability of hair."""
    clothes: Float32Array
    """(H, W) probability of clothes."""
    hair_color: Float32Array
    """(H, W, 3) hair colour spread over the whole picture."""
    openings: BoolArray
    """(H, W) where eyeballs or the inside of the mouth show."""
    valid: BoolArray
    """(H, W) inside the photo."""


@dataclass(frozen=True)
class SkinDensity:
    """Spacing of skin Gaussians, in pixels of the portrait (512 px, head about half of it)."""

    face: float = 1.7
    """Where expressions live: about 12,000 Gaussians."""
    lips_and_lids: float = 1.4
    """Fine structures that stretch."""
    ears_and_neck: float = 3.0
    """Seen often, but plain."""
    scalp: float = 5.0
    """Under the hair."""


def skin_layer(geometry: PhotoGeometry, look: Appearance, charts: HeadCharts, dressed: BoolArray, source_expression: FloatArray, gaze: FloatArray, *,
               bald: bool, density: SkinDensity = SkinDensity(), rng: np.random.Generator) -> Layer:
    """Gaussians on skin and scalp. dressed: (H, W) clothes in front of the skin; bald: leave the scalp skin-coloured."""
    rig, template = geometry.rig, geometry.template
    points = _spread(geometry, charts, source_expression, gaze, density, rng)
    means = points.interpolate(geometry.vertices, rig.triangles)
    normals = _unit(points.interpolate(geometry.normals, rig.triangles))
    rest = points.interpolate(template, rig.triangles)
    lips = points.interpolate(charts.lips, rig.triangles)
    pixels = geometry.camera.project(means)
    inside = ((pixels > 1) & (pixels < np.array([geometry.camera.width, geometry.camera.height]) - 1)).all(1)
    pixels = np.clip(pixels, 1, np.array([geometry.camera.width, geometry.camera.height]) - 1.01)
    facing = -(normals * means).sum(1) / np.linalg.norm(means, axis=1)
    front = _visible(geometry, means, rest, pixels) & inside & (facing > 0.05)
    alpha, hair = sample(look.alpha, pixels), sample(look.hair, pixels)
    open_here = sample(blur(look.openings, 0.7), pixels)
    confidence = front * _step(facing, 0.2, 0.5) * _step(alpha, 0.8, 0.98) * sample(look.skin * look.purity, pixels) * (open_here < 0.25)
    confidence = confidence * (sample(look.valid.astype(np.float32), pixels) > 0.99)

    observed = sample(look.image, pixels)
    lids = points.interpolate(charts.eyelids, rig.triangles)
    confidence = confidence * _without_lashes(observed, confidence, lids, sample(distance_to(look.openings), pixels))
    confidence = confidence * _without_outliers(observed, confidence, np.abs(rest[:, 0]))
    scalp = np.zeros(len(points), np.bool_) if bald else _scalp(rest, points.interpolate(charts.scalp, rig.triangles), front & inside & (facing > 0.3), hair)
    scalp |= _behind_hair(rest, points.interpolate(charts.ears, rig.triangles), hair, inside) & ~bald & (confidence < 0.5)
    graph_points = points.interpolate(expressed(rig, expression_of(jawOpen=0.35, eyeBlinkLeft=0.4, eyeBlinkRight=0.4)), rig.triangles)
    confidence = np.where(scalp, 0, confidence)
    lid_edge = (lids > 0.1) & (sample(distance_to(look.openings), pixels) < 2.2)  # lashes: kept, but not spread over the lid
    colors = infer_colors(observed, np.where(lid_edge, 0.05 * confidence, confidence), graph_points, rest, lips, rng=rng)
    colors = np.where(lid_edge[:, None], confidence[:, None] * observed + (1 - confidence[:, None]) * colors, colors)
    hair_color = sample(look.hair_color, pixels)
    typical = np.median(look.image[look.hair > 0.7], 0) if (look.hair > 0.7).sum() > 100 else hair_color.mean(0)
    hidden_hair = 0.15 * hair_color + 0.85 * typical
    colors = np.where(scalp[:, None], np.where(front[:, None], 0.5 * hair_color + 0.5 * typical, hidden_hair) * 0.85, colors)

    sigma = points.spacing * COVERAGE * 1.06
    # where the rig is wider than the person in the photo, it would draw skin over background or shirt
    outside = distance_to(((look.alpha > 0.5) & ~dressed) | ~look.valid)
    excess = inside & (sample(outside, pixels) > 2.5)
    keep = ~excess
    region = np.where(scalp, int(Region.SCALP), np.where(lips > 0.5, int(Region.LIPS), int(Region.SKIN))).astype(np.uint8)
    freedom = np.clip(confidence, 0, 1) * (lids < 0.05) * ~scalp
    layer = surface_layer(means, normals, sigma, colors, Region.SKIN, triangles=points.triangle, freedom=freedom,
                          color_freedom=front * _step(facing, 0.2, 0.45), least_opacity=0.8)
    layer.regions[:] = region
    return layer.select(keep)


def _spread(geometry: PhotoGeometry, charts: HeadCharts, source_expression: FloatArray, gaze: FloatArray, density: SkinDensity,
            rng: np.random.Generator) -> SurfacePoints:
    rig = geometry.rig
    # lids are spread where they are widest, closed; everything else as it is in the photo
    closed = np.array(source_expression, np.float32)
    closed[[8, 9]] = np.maximum(closed[[8, 9]], 0.9)
    vertices = expressed(rig, closed, gaze=gaze)
    rest = geometry.template[rig.triangles].mean(1)
    chart = {name: getattr(charts, name)[rig.triangles].mean(1) for name in ("lips", "ears", "eyelids", "scalp")}
    pixel = 1 / geometry.pixels_per_metre
    spacing = np.full(len(rig.triangles), density.scalp * pixel)
    spacing[rest[:, 2] > -0.12] = density.ears_and_neck * pixel
    spacing[(chart["scalp"] > 0.9) & (chart["ears"] < 0.1)] = density.scalp * pixel
    face = (rest[:, 2] > -0.045) & (rest[:, 1] < 0.085) & (rest[:, 1] > -0.125)
    spacing[face] = density.face * pixel
    fine = (chart["lips"] > 0.3) | (chart["eyelids"] > 0.2)
    spacing[fine & face] = density.lips_and_lids * pixel
    spacing[rig.parts != Part.SKIN] = 0
    return poisson_disk(vertices, rig.triangles, spacing, rng=rng)


def _without_lashes(observed: FloatArray, confidence: FloatArray, lids: FloatArray, from_opening: FloatArray) -> FloatArray:
    """Lower the trust in dark pixels on the lids, (N,) in [0, 1]: a closing lid would draw lashes and liner out over its whole height.

    The lids' very edge keeps them.
    """
    sure = (confidence > 0.5) & (lids < 0.1)
    if not sure.any():
        return np.ones(len(observed))
    relative = observed.mean(1) / max(float(np.median(observed[sure].mean(1))), 1e-3)
    bright = np.clip((relative - 0.55) / 0.25, 0.03, 1)
    return np.where((lids > 0.15) & (from_opening > 1.6), bright, 1.0)


def _without_outliers(observed: FloatArray, confidence: FloatArray, aside: FloatArray) -> FloatArray:
    """Lower the trust in dark or oddly coloured points on the sides of the head, (N,): hair, shadow and red ears would spread."""
    sure = confidence > 0.5
    if not sure.any():
        return np.ones(len(observed))
    typical = np.median(observed[sure], 0)
    relative = observed.mean(1) / max(float(typical.mean()), 1e-3)
    hue = observed / np.maximum(observed.sum(1, keepdims=True), 1e-3) - typical / max(float(typical.sum()), 1e-3)
    usual = np.clip((relative - 0.3) / 0.2, 0.03, 1) * np.exp(-((np.abs(hue).max(1) / 0.05) ** 2))
    return np.where(aside > 0.052, usual, 1.0)


def _visible(geometry: PhotoGeometry, means: FloatArray, rest: FloatArray, pixels: FloatArray) -> BoolArray:
    """Whether the photo's camera sees the point itself: same depth, and the same place of the surface (lips lie close together)."""
    x, y = pixels[:, 0].astype(int), pixels[:, 1].astype(int)
    near = means[:, 2] < geometry.seen.depth[y, x] + 0.006
    place = geometry.template_map()[y, x]
    with np.errstate(invalid="ignore"):
        same = np.linalg.norm(place - rest, axis=1) < 0.006
    return near & (same | ~np.isfinite(place[:, 0]))


def _scalp(rest: FloatArray, chart: FloatArray, seen: BoolArray, hair: FloatArray) -> BoolArray:
    """Which points grow hair: what the photo shows (a glancing look does not count), mirrored where it shows one side, else the chart."""
    result = np.where(seen, hair > 0.5, chart > 0.5)
    if seen.any():
        distance, nearest = cKDTree(rest[seen]).query(rest * np.array([-1, 1, 1]))
        mirrored = ~seen & (distance < 0.006) & (rest[:, 2] > -0.095)
        result = np.where(mirrored, (hair[seen] > 0.5)[nearest], result)
    return result & (chart > 0.02) | (seen & (hair > 0.5) & (rest[:, 1] > 0.02))


def _behind_hair(rest: FloatArray, ears: FloatArray, hair: FloatArray, inside: BoolArray) -> BoolArray:
    """Points around an ear that the photo's hair covers: seen from the side, they must look like hair."""
    covered = np.zeros(len(rest), np.bool_)
    for side in (-1.0, 1.0):
        ear = (ears > 0.3) & (rest[:, 0] * side > 0) & inside
        if ear.sum() > 10 and (hair[ear] > 0.5).mean() > 0.6:
            covered |= (rest[:, 0] * side > 0.03) & (rest[:, 2] < -0.04) & (rest[:, 1] > -0.09)
    return covered


def infer_colors(
    observed: FloatArray,  # (N, 3)
    confidence: FloatArray,  # (N,) in [0, 1]
    positions: FloatArray,  # (N, 3) neighbours here are neighbours on the skin
    rest: FloatArray,  # (N, 3) template positions, for mirroring
    lips: FloatArray,  # (N,) in [0, 1]
    *,
    rng: np.random.Generator,
) -> Float32Array:
    """Colours for all points from those of the points that the photo shows.

    Unknown points take the mirrored point's detail and fit it to their surroundings (Poisson cloning, Perez et al., SIGGRAPH 2003, on
    the graph of nearest neighbours); where the mirrored point is unknown too, colours spread smoothly and get the skin's own grain.
    Returns (N, 3) in [0, 1].
    """
    count = len(observed)
    if confidence.sum() < 10:
        return np.tile(np.array([0.75, 0.58, 0.5], np.float32), (count, 1))
    _, neighbours = cKDTree(positions).query(positions, k=9)
    rows = np.repeat(np.arange(count), 8)
    columns = neighbours[:, 1:].reshape(-1)
    weight = np.exp(-6 * np.abs(lips[rows] - lips[columns])).astype(np.float64)
    _, twin = cKDTree(rest).query(rest * np.array([-1, 1, 1]))
    source = np.where(confidence > 0.3, np.arange(count), np.where(confidence[twin] > 0.3, twin, -1))
    both = (source[rows] >= 0) & (source[columns] >= 0)
    guide = np.where(both[:, None], observed[source[rows]] - observed[source[columns]], 0.0)
    # a jump between a point and a mirrored neighbour is the light, not the skin
    guide = np.clip(guide, -0.05, 0.05)
    mixed = (confidence[rows] > 0.3) != (confidence[columns] > 0.3)
    guide[mixed] = 0
    difference = sp.csr_matrix((np.r_[weight, -weight], (np.tile(np.arange(len(rows)), 2),
                                                         np.r_[rows, columns])), shape=(len(rows), count))
    data = sp.diags(60.0 * confidence.astype(np.float64))
    system = (data + difference.T @ difference + sp.identity(count) * 1e-6).tocsr()
    right = data @ observed + difference.T @ (guide * weight[:, None])
    sure = confidence > 0.3
    _, nearest = cKDTree(positions[sure]).query(positions, k=12)
    start = np.where(sure[:, None], observed, observed[sure][nearest].mean(1))
    preconditioner = sp.diags(1 / system.diagonal())
    solved = np.stack([cg(system, right[:, k], x0=start[:, k], rtol=2e-3, maxiter=120, M=preconditioner)[0] for k in range(3)], 1)
    colors = confidence[:, None] * observed + (1 - confidence[:, None]) * solved

    known = confidence > 0.6
    smooth = colors[neighbours].mean(1)
    if known.sum() > 200:
        grain = np.clip((colors - smooth)[known].mean(1), -0.04, 0.04).std()
        invented = source < 0
        colors[invented] += rng.normal(0, 0.8 * grain, (int(invented.sum()), 1))
    return np.clip(colors, 0, 1).astype(np.float32)


def _step(x: FloatArray, low: float, high: float) -> FloatArray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _unit(vectors: FloatArray) -> FloatArray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
