"""Eyeballs: iris and sclera from the photo where visible, completed all round so that the eyes can turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from offline.gaussian_layer import COVERAGE, Layer, join, surface_layer
from offline.images import distance_to, sample
from offline.numeric import facing_of, normalized
from offline.priors import DARKEST
from offline.rig.photo_geometry import PhotoGeometry
from offline.sampling import poisson_disk
from offline.segment.appearance import Appearance
from offline.segment.landmark_masks import eye_openings
from offline.texture.mirror import turned_share
from perse_live.arrays import Float32Array, FloatArray
from perse_live.head.landmarks import LEFT_IRIS, RIGHT_IRIS
from perse_live.head.rig import EYES, Part, gaze_rotation
from perse_live.regions import Region

# Iris radii at which its colour is described
_RINGS = np.array([0.0, 0.3, 0.5, 0.7, 0.85, 0.97, 1.12, 1.35])
_WHITE_BELIEVED = 0.4  # confidence of the sclera's pixels, relative to the iris'


def eye_layer(
    geometry: PhotoGeometry,
    look: Appearance,
    landmarks: FloatArray,
    gaze: FloatArray,
    rng: np.random.Generator,
) -> Layer:
    """Gaussians on both eyeballs and on the lids' inner sides. gaze: (2, 2) radians, in the photo."""
    depth_inside = distance_to(~eye_openings(landmarks, look.alpha.shape))
    eyes = [
        _eyeball(geometry, look, depth_inside, k, gaze[k], landmarks[list(iris), :2], rng)
        for k, iris in enumerate((LEFT_IRIS, RIGHT_IRIS))
    ]
    return join(*with_far_eye_as_near(eyes, geometry, gaze), _inner_lids(geometry, look, rng))


def with_far_eye_as_near(
    eyes: Sequence[Layer], geometry: PhotoGeometry, gaze: FloatArray
) -> list[Layer]:
    """The eyeballs, left and right, of which the far one of a turned head takes the near one's colours, mirrored.

    The mirror plane is that of the eye which holds the line of sight, so that both go on looking the same way. gaze: (2, 2)
    radians.
    """
    share, far = turned_share(geometry.yaw), int(geometry.yaw < 0)
    places = [
        normalized(geometry.to_head(eye.gaussians.means) - center) @ gaze_rotation(looking)
        for eye, center, looking in zip(eyes, geometry.rig.eye_centers, gaze, strict=True)
    ]
    near = KDTree(places[1 - far] * np.array([-1, 1, 1])).query(places[far])[1]
    g = eyes[far].gaussians
    colors = (1 - share) * g.colors + share * eyes[1 - far].gaussians.colors[near]
    told = replace(
        eyes[far],
        gaussians=replace(g, colors=colors.astype(np.float32)),
        color_freedom=(eyes[far].color_freedom * np.float32(1 - share)),
    )
    return [told if side == far else eye for side, eye in enumerate(eyes)]


def _eyeball(
    geometry: PhotoGeometry,
    look: Appearance,
    depth_inside: Float32Array,
    side: int,
    gaze: FloatArray,
    iris: FloatArray,
    rng: np.random.Generator,
) -> Layer:
    """One eyeball.

    depth_inside: (H, W) pixels from the lids, inside the eyes' openings; side: 0 left, 1 right; gaze: (2,) radians; iris: (5, 2)
    pixels, its centre first.
    """
    rig, pixel = geometry.rig, 1 / geometry.pixels_per_metre
    center = geometry.R_cam_head @ rig.eye_centers[side] + geometry.t_cam_head
    axis = geometry.R_cam_head @ gaze_rotation(gaze)[:, 2]
    angle = _angle_to(normalized(geometry.vertices[rig.triangles].mean(1) - center), axis)
    spacing = np.where(
        (rig.parts == EYES[side]) & (angle < 1.45), np.where(angle < 0.75, 0.85, 1.8) * pixel, 0
    )
    points = poisson_disk(geometry.vertices, rig.triangles, spacing, rng=rng)
    outward = normalized(points.interpolate(geometry.vertices, rig.triangles) - center)
    means = center + outward * rig.eye_radius  # on the sphere, not on its facets
    radius_px = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
    iris_angle = float(np.arcsin(np.clip(radius_px * pixel / rig.eye_radius, 0.2, 0.6)))
    pixels = geometry.camera.project(means)
    shown = np.where(facing_of(means, outward) > 0.1, sample(depth_inside, pixels), 0)
    ring = _angle_to(outward, axis) / iris_angle
    skin = np.median(look.image[look.sure_skin], 0)
    colors, trust = _complete(sample(look.image, pixels), shown, ring, skin)
    return surface_layer(
        means,
        outward,
        points.spacing * 1.15 * COVERAGE,
        colors,
        Region.EYE,
        triangles=points.triangle,
        freedom=0.0,
        # at 0.5 irises are smudged: 0.1 dB of the eyes on film (mean of four clips)
        color_freedom=0.25 * trust,
        least_opacity=0.9,
    )


def _angle_to(vectors: FloatArray, axis: FloatArray) -> FloatArray:
    """Radians (N,) between unit vectors (N, 3) and a unit axis (3,)."""
    return np.arccos(np.clip(vectors @ axis, -1, 1))


def _complete(
    observed: FloatArray, shown: FloatArray, ring: FloatArray, skin: FloatArray
) -> tuple[Float32Array, Float32Array]:
    """Fill in what the lids hide: the iris ring by ring, the sclera with its colour.

    Pixels near a lid contain its shadow and lashes, which would be smudges when the eye turns: the nearer, the lower their
    confidence, and lower for the sclera, whose colour is predictable, than for the iris. observed: (N, 3); shown: (N,) pixels
    inside the opening, 0 if hidden; ring: (N,) distance from the line of sight in iris radii; skin: (3,) the person's. Returns
    colours (N, 3), and the confidence in the photo (N,).
    """
    sure = shown > 1.5
    pale = _white(observed[sure & (ring > 1.2)], skin)
    table = []
    for inner, outer, fallback in zip(
        _RINGS[:-1], _RINGS[1:], (0.06, 0.1, 0.22, 0.25, 0.22, 0.3, 0.85), strict=True
    ):
        here = sure & (ring >= inner) & (ring < outer)
        table.append(
            np.median(observed[here], 0) if here.sum() > 4 and outer < 1.1 else pale * fallback
        )
    middles = (_RINGS[:-1] + _RINGS[1:]) / 2
    table.append(pale)
    model = np.stack(
        [np.interp(ring, np.r_[middles, 1.6], np.array(table)[:, c]) for c in range(3)], 1
    )
    model *= (1 - 0.3 * np.clip((ring - 1.7) / 1.4, 0, 1))[:, None]  # the corners lie in shadow
    in_iris = np.clip((1.12 - ring) / 0.14, 0, 1)
    light = observed.mean(1) / np.maximum(model.mean(1), DARKEST)
    # Darker pixels are lashes or the lid's shadow
    white = _WHITE_BELIEVED * np.clip((light - 0.65) / 0.25, 0, 1)
    trust = np.clip((shown - 0.6) / 2.2, 0, 1) * (white + (1 - white) * in_iris)
    colors = trust[:, None] * observed + (1 - trust[:, None]) * model
    return colors.astype(np.float32), trust.astype(np.float32)


def _white(seen: FloatArray, skin: FloatArray) -> FloatArray:
    """The colour of the white (3,) in the photo's light: from its brighter half, of low saturation, not darker than skin.

    seen: (N, 3) pixels of it, lids' shadows among them; skin: (3,).
    """
    usual = np.array([0.78, 0.75, 0.73])
    light = max(float(skin.mean()), 0.15)
    if len(seen) > 8:
        brightness = seen.mean(1)
        own = np.median(seen[brightness >= np.percentile(brightness, 50)], 0)
        usual = own.mean() + 0.45 * (own - own.mean())
    return np.clip(
        usual * (np.clip(usual.mean(), 0.98 * light, 1.35 * light) / max(usual.mean(), 1e-3)),
        0,
        0.92,
    )


def _inner_lids(geometry: PhotoGeometry, look: Appearance, rng: np.random.Generator) -> Layer:
    """The sockets between eyeball and lids: dark skin."""
    rig = geometry.rig
    cavity = np.isin(rig.parts, (Part.EYE_CAVITY_LEFT, Part.EYE_CAVITY_RIGHT)) & (
        geometry.triangle_template()[:, 2] > 0.004
    )
    points = poisson_disk(
        geometry.vertices,
        rig.triangles,
        np.where(cavity, 1.8 / geometry.pixels_per_metre, 0),
        rng=rng,
    )
    means, normals = geometry.on_rig(points)
    skin = np.median(look.image[look.sure_skin], 0)
    colors = np.tile(skin * np.array([0.62, 0.48, 0.45]), (len(points), 1))
    return surface_layer(
        means,
        normals,
        points.spacing * COVERAGE,
        colors,
        Region.EYE,
        triangles=points.triangle,
        freedom=0.0,
        color_freedom=0.0,
        least_opacity=0.9,
    )
