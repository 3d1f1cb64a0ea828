"""Mirror correspondence: geometry, gaze and hair of the half of a head that is hardly visible at a large yaw.

Heads are nearly symmetric, and the rig is exactly: each vertex has a mirror vertex across the symmetry plane. Colours of the skin
are completed elsewhere (`completion`); here is what moves or adds Gaussians. All of it comes in continuously with yaw.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from offline.gaussian_layer import Layer, join
from offline.images import nearest_true, sample
from offline.numeric import facing_of, ramp, robust_deviation
from offline.priors import PATCH, SAME_PLACE
from offline.rig.photo_geometry import PhotoGeometry, attribute_map, yaw_of
from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array
from perse_live.camera import Camera
from perse_live.head.fit import FrameFit
from perse_live.head.landmarks import LEFT_IRIS, RIGHT_IRIS
from perse_live.head.rig import HeadRig, Part
from perse_live.regions import Region
from perse_live.rotations import to_matrix, to_quat

# Degrees of yaw over which the far half comes to be the near one's mirror image
_TURNED = (10.0, 24.0)
# How much more the mirror point must face the camera, cosines, to be believed instead
_BETTER = 0.25
_AHEAD = 12.0  # pixels (eye distance 115) before the face's outline that are judged with it
# Metres from the symmetry plane over which the mirrored half begins: before it reaches an eye
_BORDER = (0.003, 0.011)
# Robust standard deviations of the hair's lightness from the lock around, from which a Gaussian is no hair
_COLOR_OUTLIER = 3.0
# Radians from the fitted gaze from which the iris landmark is taken for an error
_GAZE_OUTLIER = 0.5
_STRETCHED = 1.5  # how much longer or shorter a mirrored Gaussian may be
_HIDDEN = (0.35, 0.75)  # share of them hidden below which none is added, and from which all are
_UNMIRRORED = 0.75  # of the hair's Gaussians in a photo turned far
_SURE = 0.6  # opacity, and freedom of colour, from which hair is mirrored
# Pixels of the places in which something is hidden behind what is seen
_CELL = 4


def mirror_vertices(template: FloatArray) -> Int32Array:
    """Index (V,) of each vertex's mirror vertex; vertices on the symmetry plane map to themselves. template: (V, 3) mean head."""
    return np.asarray(KDTree(template).query(template * np.array([-1, 1, 1]))[1], np.int32)


def turned_share(yaw: float) -> float:
    """How far a head turned by yaw, degrees, hides its far half, in [0, 1]."""
    return float(ramp(np.abs(np.float64(yaw)), *_TURNED))


def mirrored_share(rest: FloatArray, yaw: float) -> FloatArray:
    """How far points (N, 3) of the mean head are to be like their mirror points, (N,) in [0, 1]; 0 on the near half."""
    return turned_share(yaw) * ramp(np.sign(yaw) * rest[:, 0], *_BORDER)


def with_mirrored_offsets(
    offsets: Float32Array, template: Float32Array, yaw: float
) -> Float32Array:
    """Offsets (V, 3), metres, that bend the mean head to a person, with those of the far half mirrored from the near one.

    Landmarks of a far half are partly extrapolated and inaccurate in depth: from the front, its eye would not fit its lids.
    """
    share = mirrored_share(template, yaw)[:, None]
    there = offsets[mirror_vertices(template)] * np.array([-1, 1, 1])
    return (offsets + share * (there - offsets)).astype(np.float32)


def bare_in_mirror(geometry: PhotoGeometry, hair: BoolArray, unit: float) -> Float32Array:
    """How far pixels of a turned head's far half, and those in front of it, are skin since their mirror pixels show no hair.

    At a grazing angle brows, lashes and forehead hair merge, and would become hair in front of the eye. hair: (H, W); unit:
    pixels, eye distance / 115. Returns (H, W) in [0, 1].
    """
    mirror = mirror_vertices(geometry.template)
    there, facing = geometry.vertices[mirror], facing_of(geometry.vertices, geometry.normals)
    shown = geometry.part_map(Part.SKIN, Part.EYE_LEFT, Part.EYE_RIGHT)
    place = np.nan_to_num(attribute_map(geometry, there)[shown])
    pixels = geometry.camera.project(np.where(place[:, 2:] > 0, place, [0, 0, 1]))
    angles = np.nan_to_num(
        attribute_map(geometry, np.stack([facing, facing[mirror]], 1).astype(np.float32))[shown]
    )
    seen = place[:, 2] < sample(np.where(shown, geometry.seen.depth, 0), pixels) + SAME_PLACE
    bare = np.zeros_like(hair)
    bare[shown] = seen & (angles[:, 1] > angles[:, 0] + _BETTER) & (sample(hair, pixels) < 0.3)
    distance, rows, columns = nearest_true(shown)
    near = bare[rows, columns] & (distance < _AHEAD * unit)
    return np.float32(turned_share(geometry.yaw)) * near


def seen_gaze(camera: Camera, rig: HeadRig, frame: FrameFit, landmarks: FloatArray) -> Float32Array:
    """Gaze (2, 2) radians of a head turned by yaw: where the near eye's iris landmark lies on the eyeball, for both eyes.

    The fit weighs irises against lids and scores and may be ten degrees off. Painted off the eyeball's axis, an iris would look
    past the camera when the gaze is straight, and its mirror image past it on the other side. frame: of the fit; landmarks: (478,
    2+) pixels.
    """
    yaw = yaw_of(frame.R_cam_head)
    near, iris = (0, LEFT_IRIS[0]) if yaw < 0 else (1, RIGHT_IRIS[0])
    ray = camera.unproject(landmarks[None, iris, :2].astype(np.float32), np.ones(1, np.float32))[
        0
    ].astype(np.float64)
    ray /= np.linalg.norm(ray)
    center = frame.R_cam_head @ rig.eye_centers[near] + frame.t_cam_head
    along = float(ray @ center)
    under = along**2 - float(center @ center) + rig.eye_radius**2
    if under < 0:  # the ray misses the ball
        return frame.gaze
    x, y, z = frame.R_cam_head.T @ (ray * (along - np.sqrt(under)) - center) / rig.eye_radius
    seen = np.array([np.arctan2(x, z), np.arcsin(np.clip(y, -1, 1))])
    share = turned_share(yaw) * (np.abs(seen - frame.gaze[near]).max() < _GAZE_OUTLIER)
    return (frame.gaze + share * (seen - frame.gaze)).astype(np.float32)


def unmirrored_hair_share(yaw: float) -> float:
    """The share of the hair's Gaussians made from the photo; the rest is left for what `with_mirrored_hair` adds."""
    return 1 - (1 - _UNMIRRORED) * turned_share(yaw)


def with_mirrored_hair(
    layer: Layer, geometry: PhotoGeometry, person: BoolArray, room: int, rng: np.random.Generator
) -> Layer:
    """The layer with the near half's hair mirrored onto the far half, where the photo shows none.

    Only what the photo's camera would not see, behind the person (H, W), is added. room: how many Gaussians may be added.
    """
    if turned_share(geometry.yaw) == 0 or room <= 0:
        return layer
    # thin hair along the outline is mixed with background; the inner lining is not fitted to the photo
    sure = (np.minimum(layer.color_freedom, layer.gaussians.opacities) > _SURE) | (
        layer.least_opacity > 0.85
    )
    hair = layer.select(sure & (layer.regions == Region.HAIR) & (layer.triangles < 0))
    hair = hair.select(
        -np.sign(geometry.yaw) * geometry.to_head(hair.gaussians.means)[:, 0] > _BORDER[0]
    )
    there = _reflected(hair, geometry)
    if len(there) < PATCH:
        return layer
    locks = KDTree(there.gaussians.means).query(there.gaussians.means, k=PATCH)[1]
    # skin of the ear and background between locks, where they were taken for hair, have other colours than the lock around
    light = there.gaussians.colors.mean(1)
    off = np.abs(light - np.median(light[locks], 1))
    alike = off < _COLOR_OUTLIER * robust_deviation(light)
    # Groups, softly ended: no isolated pieces, no holes
    share = _hidden(there, layer, geometry, person)[locks].mean(1)
    order = rng.permutation(len(there))
    kept = order[alike[order] & (share[order] > _HIDDEN[0])][:room]
    if not len(kept):
        return layer
    wider = min(np.sqrt((share > _HIDDEN[0]).sum() / len(kept)), _STRETCHED)
    g = there.gaussians
    faded = (g.opacities * ramp(share, *_HIDDEN) * turned_share(geometry.yaw)).astype(np.float32)
    there = replace(
        there, gaussians=replace(g, scales=(g.scales * wider).astype(np.float32), opacities=faded)
    )
    return join(layer, there.select(np.isin(np.arange(len(share)), kept)))


def _reflected(layer: Layer, geometry: PhotoGeometry) -> Layer:
    """Rigidly bound Gaussians reflected across the symmetry plane; refinement does not change them."""
    g, mirror = layer.gaussians, np.array([-1.0, 1.0, 1.0])
    means = (geometry.to_head(g.means) * mirror) @ geometry.R_cam_head.T + geometry.t_cam_head
    flip = geometry.R_cam_head @ np.diag(mirror) @ geometry.R_cam_head.T
    # right-handed again
    axes = flip @ to_matrix(g.quats.astype(np.float64)) * np.array([-1.0, 1.0, 1.0])
    moved = replace(g, means=means.astype(np.float32), quats=to_quat(axes).astype(np.float32))
    frozen = np.zeros(len(layer), np.float32)
    return replace(layer, gaussians=moved, freedom=frozen, color_freedom=frozen)


def _hidden(layer: Layer, before: Layer, geometry: PhotoGeometry, person: BoolArray) -> BoolArray:
    """Which of a layer's Gaussians (N,) the photo's camera would see behind those `before` it, within the person (H, W)."""
    shape = np.array(person.shape[::-1]) // _CELL + 1
    nearest = np.full(shape, np.inf)

    def cells(means: FloatArray) -> tuple[Int32Array, Int32Array]:
        at = np.clip(geometry.camera.project(means) // _CELL, 0, shape - 1).astype(np.int32)
        return at[:, 0], at[:, 1]

    np.minimum.at(nearest, cells(before.gaussians.means), before.gaussians.means[:, 2])
    means = layer.gaussians.means
    inside = sample(person, geometry.camera.project(means)) > 0.9
    return inside & (means[:, 2] > nearest[cells(means)] + SAME_PLACE)
