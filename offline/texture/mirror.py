"""The far half of a face that the photo saw from aside: what the photo shows of the near half, mirrored.

Heads are nearly symmetric, and the rig is wholly: each of its vertices has a twin on the other side. What the photo sees only at
a glancing angle would be smeared when the head turns to the front; its twin is seen well. Photos from the front are left alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from offline.gaussian_layer import Layer, frames, join
from offline.images import nearest_true, sample
from offline.numeric import facing_of, ramp
from offline.rig.photo_geometry import PhotoGeometry, attribute_map
from perse_live.animate import bind_surface
from perse_live.arrays import BoolArray, Float32Array, FloatArray, Int32Array
from perse_live.gaussians import Gaussians
from perse_live.head.landmarks import LEFT_IRIS, RIGHT_IRIS
from perse_live.head.rig import Part
from perse_live.regions import Region
from perse_live.rotations import to_matrix, to_quat

_TURNED = 14.0  # degrees of yaw from which a photo is taken from aside; below, light that differs from side to side shows more
_BETTER = 0.25  # how much more the mirror point must face the camera, cosines, to be believed instead
_AHEAD = 12.0  # pixels (eye distance 115) before the face's outline that are judged with it
_FAR = 20.0  # degrees of yaw from which the far eye, brow, nostril and lip corner are the near ones' mirror images
_SEAM_BESIDE, _SEAM_MIDDLE = 0.048, 0.003  # metres from the middle where the mirrored half begins below that yaw, and from it on
_LOOKS_ELSEWHERE = 0.5  # radians from the fitted gaze at which an iris was not found where it is
_STRETCHED = 1.5  # how much longer or shorter a mirrored Gaussian may be
_LOCK = 24  # Gaussians that are hidden or seen together
_HIDDEN = (0.35, 0.75)  # share of them hidden below which none is drawn, and from which all are
_OWN_HAIR = 0.75
_SURE = 0.6  # opacity, and trust in the photo's colour, from which hair is mirrored
_CELL, _BEHIND = 4, 0.012  # pixels, and metres behind what is seen in so large a place, from which something is hidden
_SEAM_WIDE = 0.008  # metres over which it begins


def vertex_twins(template: FloatArray) -> Int32Array:
    """The vertex on the other side for each of the mean head's (V, 3); those of the middle are their own. Returns (V,)."""
    return np.asarray(KDTree(template).query(template * np.array([-1, 1, 1]))[1], np.int32)


def seam(yaw: float) -> float:
    """How far from the middle of a face its far half begins to be the near one's mirror image, metres on the mean head.

    It goes round eye and mouth: one half of either mirrored, the other smeared, would be neither's. Infinite for a photo from the
    front. yaw: degrees.
    """
    return np.inf if abs(yaw) < _TURNED else _SEAM_BESIDE if abs(yaw) < _FAR else _SEAM_MIDDLE


def beyond_seam(rest: FloatArray, yaw: float) -> FloatArray:
    """How far points of the mean head (N, 3) lie beyond the seam, on the side turned away: metres, (N,). yaw: degrees."""
    return np.sign(yaw) * rest[:, 0] - seam(yaw)


def with_twin_offsets(offsets: Float32Array, template: Float32Array, yaw: float) -> Float32Array:
    """What bends the mean head's vertices to a person, (V, 3) metres, beyond the seam as this side of it.

    Landmarks of a far half are half guessed, and say little of depth: from the front its eye would sit askew in its lids.
    """
    share = ramp(beyond_seam(template, yaw), 0.0, _SEAM_WIDE)[:, None]
    there = offsets[vertex_twins(template)] * np.array([-1, 1, 1])
    return (offsets + share * (there - offsets)).astype(np.float32)


def bare_by_twin(geometry: PhotoGeometry, hair: BoolArray, unit: float) -> BoolArray:
    """(H, W) pixels of the far half, and before it, whose twins in the near half are seen to be bare of `hair` (H, W).

    At a glancing angle brows, lashes and locks on the forehead run together, and would hang before the eye as hair. unit: pixels,
    eye distance / 115.
    """
    none = np.zeros_like(hair)
    if abs(geometry.yaw) < _FAR:
        return none
    twins = vertex_twins(geometry.template)
    there, facing = geometry.vertices[twins], facing_of(geometry.vertices, geometry.normals)
    shown = geometry.part_map(Part.SKIN, Part.EYE_LEFT, Part.EYE_RIGHT)
    place = np.nan_to_num(attribute_map(geometry, there)[shown])
    pixels = geometry.camera.project(np.where(place[:, 2:] > 0, place, [0, 0, 1]))
    angles = np.nan_to_num(attribute_map(geometry, np.stack([facing, facing[twins]], 1).astype(np.float32))[shown])
    seen = place[:, 2] < sample(np.where(shown, geometry.seen.depth, 0), pixels) + 0.006
    bare = none.copy()
    bare[shown] = seen & (angles[:, 1] > angles[:, 0] + _BETTER) & (sample(hair, pixels) < 0.3)
    distance, rows, columns = nearest_true(shown)
    return bare[rows, columns] & (distance < _AHEAD * unit)


def seen_gaze(geometry: PhotoGeometry, gaze: FloatArray, landmarks: FloatArray) -> FloatArray:
    """Where eyes seen from aside look, (2, 2) radians: where the near eye's iris lies on its ball, and the far one alike.

    A fit weighs the irises against lids and scores and may be ten degrees off. Painted beside the ball's axis, an iris would look
    past the camera when the gaze is straight, and its mirror image past it on the other side. gaze: (2, 2) of the fit; landmarks:
    (478, 2+) pixels.
    """
    if abs(geometry.yaw) < _TURNED:
        return gaze
    near, iris = (0, LEFT_IRIS[0]) if geometry.yaw < 0 else (1, RIGHT_IRIS[0])
    ray = geometry.camera.unproject(landmarks[None, iris, :2].astype(np.float32), np.ones(1, np.float32))[0].astype(np.float64)
    ray /= np.linalg.norm(ray)
    center = geometry.R_cam_head @ geometry.rig.eye_centers[near] + geometry.t_cam_head
    along = float(ray @ center)
    under = along**2 - float(center @ center) + geometry.rig.eye_radius**2
    if under < 0:  # the ray misses the ball
        return gaze
    x, y, z = geometry.R_cam_head.T @ (ray * (along - np.sqrt(under)) - center) / geometry.rig.eye_radius
    seen = np.array([np.arctan2(x, z), np.arcsin(np.clip(y, -1, 1))])
    return np.tile(seen, (2, 1)) if np.abs(seen - gaze[near]).max() < _LOOKS_ELSEWHERE else gaze


def with_twin_eye(eyes: Layer, geometry: PhotoGeometry) -> Layer:
    """The eyes, of which one beyond the seam is the other's mirror image.

    The iris sits on an eyeball that is turned by the gaze, so that both go on looking the same way.
    """
    far = beyond_seam(geometry.triangle_template()[eyes.triangles], geometry.yaw) > 0
    if not far.any() or abs(geometry.yaw) < _FAR:
        return eyes
    return join(eyes.select(~far), mirrored_layer(eyes.select(~far), geometry))


def own_hair(yaw: float) -> float:
    """The share of the hair's Gaussians that is its own; the rest is kept for what `with_twin_hair` adds."""
    return 1.0 if abs(yaw) < _FAR else _OWN_HAIR


def with_twin_hair(layer: Layer, geometry: PhotoGeometry, person: BoolArray, room: int, rng: np.random.Generator) -> Layer:
    """The layer with the near half's hair, mirrored, on the far half: there the photo shows none, and what is invented is plain.

    Only what lies hidden behind the person in the photo, (H, W) `person`, is added: what the photo shows there stays. room: how
    many Gaussians may be added.
    """
    if abs(geometry.yaw) < _FAR or room <= 0:
        return layer
    # wisps along the outline have the background's light; the lining has none of its own
    sure = (np.minimum(layer.color_freedom, layer.gaussians.opacities) > _SURE) | (layer.least_opacity > 0.85)
    hair = layer.select(sure & (layer.regions == Region.HAIR) & (layer.triangles < 0))
    hair = hair.select(-np.sign(geometry.yaw) * geometry.to_head(hair.gaussians.means)[:, 0] > _SEAM_MIDDLE)
    there = _reflected(hair, geometry)
    if len(there) < _LOCK:
        return layer
    locks = KDTree(there.gaussians.means).query(there.gaussians.means, k=_LOCK)[1]
    share = _hidden(there, layer, geometry, person)[locks].mean(1)  # whole locks, soft where they end: no scraps, no holes
    order = rng.permutation(len(there))
    kept = order[share[order] > _HIDDEN[0]][:room]
    if not len(kept):
        return layer
    wider = min(np.sqrt((share > _HIDDEN[0]).sum() / len(kept)), _STRETCHED)
    g = there.gaussians
    faded = (g.opacities * ramp(share, *_HIDDEN)).astype(np.float32)
    there = replace(there, gaussians=replace(g, scales=(g.scales * wider).astype(np.float32), opacities=faded))
    return join(layer, there.select(np.isin(np.arange(len(share)), kept)))


def _reflected(layer: Layer, geometry: PhotoGeometry) -> Layer:
    """Gaussians that move rigidly, on the other side of the head; refinement leaves them alone."""
    g, mirror = layer.gaussians, np.array([-1.0, 1.0, 1.0])
    means = (geometry.to_head(g.means) * mirror) @ geometry.R_cam_head.T + geometry.t_cam_head
    flip = geometry.R_cam_head @ np.diag(mirror) @ geometry.R_cam_head.T
    axes = flip @ to_matrix(g.quats.astype(np.float64)) * np.array([-1.0, 1.0, 1.0])  # right-handed again
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
    return inside & (means[:, 2] > nearest[cells(means)] + _BEHIND)


def mirrored_layer(layer: Layer, geometry: PhotoGeometry) -> Layer:
    """Gaussians that are bound to the rig, on the twins of their triangles; refinement leaves them alone."""
    g, rig = layer.gaussians, geometry.rig
    bound = bind_surface(g, layer.triangles, geometry.vertices, rig.triangles, two_sided=np.zeros(len(layer), np.uint8))
    twins = vertex_twins(geometry.template)
    corners = geometry.vertices[twins[rig.triangles[layer.triangles]]].astype(np.float64)
    origin, first, second = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normals = np.cross(second, first)  # a twin's corners run the other way round
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)

    def out_of_edges(shares: FloatArray) -> FloatArray:
        return shares[:, :1] * first + shares[:, 1:] * second

    means = origin + out_of_edges(bound.positions[:, :2]) + bound.positions[:, 2:] * normals
    long, wide = out_of_edges(bound.axes[:, :2]), out_of_edges(bound.axes[:, 2:])
    turned = frames(normals, long)
    scales = np.stack([np.linalg.norm(long, axis=1), np.abs((turned[:, :, 1] * wide).sum(1)), g.scales[:, 2]], 1)
    scales = np.clip(scales, g.scales / _STRETCHED, g.scales * _STRETCHED)  # lids that the photo shows folded would make needles
    moved = Gaussians(means.astype(np.float32), to_quat(turned).astype(np.float32), np.maximum(scales, 2e-5).astype(np.float32),
                      g.opacities, g.colors)
    frozen = np.zeros(len(layer), np.float32)
    return replace(layer, gaussians=moved, triangles=_triangle_twins(geometry, twins)[layer.triangles], freedom=frozen,
                   color_freedom=frozen)


def _triangle_twins(geometry: PhotoGeometry, twins: Int32Array) -> Int32Array:
    """The row of each triangle's twin, (T,); its own where there is none (a few in the middle of the tongue)."""
    triangles = geometry.rig.triangles
    rows = {tuple(sorted(corners)): row for row, corners in enumerate(triangles.tolist())}
    return np.array([rows.get(tuple(sorted(corners)), row) for row, corners in enumerate(twins[triangles].tolist())], np.int32)
