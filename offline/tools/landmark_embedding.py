"""Embedding of MediaPipe's 478 landmarks on the head rig: render, detect, and take the points of least reprojection error.

Run as `python -m offline.tools.landmark_embedding`: it writes `perse_live/head/landmark_model.npz`, which ships with the package.
MediaPipe's landmarks are regressed, not defined on a surface, so their place on another mesh can only be measured: random people
are drawn in several poses and expressions with painted lips, brows and irises; among the rig's surface points each landmark takes
those with the least robust reprojection error over all pictures; left and right are averaged.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from offline.rig.anatomy import brow_chart
from offline.rig.anny_head import AnnyHead, chart, load_anny_head
from offline.rig.identity import (
    IdentityModel,
    eye_centers,
    eye_radius,
    identity_rig,
    load_identity_model,
)
from offline.tools.canonical_face import canonical_face
from perse_live.arrays import BoolArray, Float32Array, FloatArray, UInt8Array
from perse_live.assets import asset_path
from perse_live.camera import Camera
from perse_live.detect import FaceDetector
from perse_live.files import atomic_output
from perse_live.head import landmarks as lm
from perse_live.head.expressions import EXPRESSION_NAMES, expression, index
from perse_live.head.rig import EYES, HeadRig, Part, expressed, gaze_from_expression, gaze_rotation
from perse_live.raster import interpolate, rasterise, vertex_normals
from perse_live.rotations import FACING_CAMERA, from_euler_degrees

_log = logging.getLogger(__name__)
_CAMERA = Camera(640, 640, 1650.0, 1650.0, 320.0, 320.0)  # eyes 165 px apart at the distance below
_DISTANCE = 0.9
_IRIS_ANGLE, _PUPIL_ANGLE = 0.365, 0.15  # an iris of 5.8 mm on an eyeball of 16.4 mm
_SEARCH_RADIUS = 0.02
_ROBUST_PX = 2.0
_OUTPUT = Path(__file__).resolve().parents[2] / "perse_live" / "head" / "landmark_model.npz"

_COLOURS = {
    Part.SKIN: (205, 160, 138),
    Part.BODY: (90, 100, 120),
    Part.EYE_CAVITY_LEFT: (190, 125, 110),
    Part.EYE_CAVITY_RIGHT: (190, 125, 110),
    Part.MOUTH_CAVITY: (95, 40, 40),
    Part.EYE_LEFT: (235, 232, 228),
    Part.EYE_RIGHT: (235, 232, 228),
    Part.TONGUE: (150, 70, 70),
    Part.TEETH_UPPER: (225, 220, 208),
    Part.TEETH_LOWER: (215, 208, 196),
    Part.LASHES: (60, 42, 35),
}
_LIP_COLOUR, _BROW_COLOUR, _IRIS_COLOUR, _PUPIL_COLOUR = (
    (168, 88, 86),
    (62, 44, 34),
    (84, 60, 40),
    (14, 11, 11),
)
_BACKGROUND = (122, 130, 138)

_POSES: tuple[tuple[float, float, dict[str, float]], ...] = (
    (0, 0, {}),
    (-15, 0, {}),
    (15, 0, {}),
    (-30, 0, {}),
    (30, 0, {}),
    (0, -12, {}),
    (0, 12, {}),
    (0, 0, {"jawOpen": 0.3}),
    (-15, 5, {"jawOpen": 0.3}),
    (15, -5, {"jawOpen": 0.15}),
    (0, 0, {"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6, "jawOpen": 0.1}),
    (8, 4, {"mouthPucker": 0.6}),
    (0, 0, {"eyeBlinkLeft": 0.6, "eyeBlinkRight": 0.6}),
    (-8, 0, {"jawOpen": 0.2, "mouthFunnel": 0.5}),
    (5, -5, {"browInnerUp": 0.6, "browOuterUpLeft": 0.6, "browOuterUpRight": 0.6}),
)


@dataclass(frozen=True)
class _View:
    """One picture of one random person, with what the detector made of it."""

    rig: HeadRig
    pixels: Float32Array  # (V, 2) projected vertices
    landmarks: Float32Array  # (478, 2) detected
    yaw: float
    open_mouth: bool


def draw(
    rig: HeadRig,
    vertices: Float32Array,
    R_cam_head: FloatArray,
    t_cam_head: FloatArray,
    camera: Camera,
    *,
    lips: FloatArray,
    brows: FloatArray,
) -> UInt8Array:
    """A shaded picture of the rig in which a face detector finds a face.

    vertices: (V, 3) head frame, eyes looking ahead; lips, brows: (V,) [0, 1] how far to paint the skin.
    Returns (H, W, 3) uint8 RGB.
    """
    posed = vertices @ R_cam_head.T + t_cam_head
    raster = rasterise(posed, rig.triangles, camera)
    seen, part = raster.covered, rig.parts[np.maximum(raster.triangle_ids, 0)]
    palette = np.zeros((len(Part), 3), np.float32)
    for kind, rgb in _COLOURS.items():
        palette[kind] = rgb
    colour = palette[part]
    paint = (
        interpolate(np.stack([lips, brows], 1), rig.triangles, raster)
        * np.isin(part, (Part.SKIN,))[..., None]
    )
    colour += paint[..., :1] * (np.array(_LIP_COLOUR, np.float32) - colour)
    colour += paint[..., 1:] * (np.array(_BROW_COLOUR, np.float32) - colour)
    surface = interpolate(vertices, rig.triangles, raster)
    for eye, center in zip(EYES, rig.eye_centers, strict=True):
        ahead = surface - center
        angle = np.arccos(
            np.clip(ahead[..., 2] / np.maximum(np.linalg.norm(ahead, axis=-1), 1e-9), -1, 1)
        )
        colour[(part == eye) & (angle < _IRIS_ANGLE)] = _IRIS_COLOUR
        colour[(part == eye) & (angle < _PUPIL_ANGLE)] = _PUPIL_COLOUR
    normals = interpolate(
        vertex_normals(vertices, rig.triangles) @ R_cam_head.T, rig.triangles, raster
    )
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    shade = 0.35 + 0.7 * np.clip(normals @ np.array([0.25, -0.45, -0.86], np.float32), 0, 1)
    return np.where(
        seen[..., None], np.clip(colour * shade[..., None], 0, 255), _BACKGROUND
    ).astype(np.uint8)


def _views(
    people: list[HeadRig],
    poses: tuple[tuple[float, float, dict[str, float]], ...],
    detector: FaceDetector,
    *,
    lips: FloatArray,
    brows: FloatArray,
) -> list[_View]:
    views: list[_View] = []
    for rig in people:
        for yaw, pitch, scores in poses:
            vertices = expressed(rig, expression(**scores))
            rotation = FACING_CAMERA @ from_euler_degrees(yaw, pitch, 0)
            shift = np.array([0, 0, _DISTANCE]) - rotation @ np.array([0, -0.03, 0.02])
            picture = draw(rig, vertices, rotation, shift, _CAMERA, lips=lips, brows=brows)
            faces = detector.detect(picture)
            if faces:
                pixels = _CAMERA.project(vertices @ rotation.T + shift).astype(np.float32)
                views.append(
                    _View(rig, pixels, faces[0].landmarks[:, :2], yaw, scores.get("jawOpen", 0) > 0)
                )
    return views


def _mirror_pairs(canonical: np.ndarray) -> np.ndarray:
    """(478,) index of each landmark's mirror landmark."""
    partner = np.arange(lm.LANDMARK_COUNT)
    partner[: len(canonical)] = KDTree(canonical).query(canonical * [-1, 1, 1])[1]
    right, left = np.array(lm.RIGHT_IRIS), np.array(lm.LEFT_IRIS)
    swapped = [0, 3, 2, 1, 4]  # the rim points run the same way round in both eyes
    partner[right], partner[left] = left[swapped], right[swapped]
    return partner


def _allowed_triangles(head: AnnyHead, mean: Float32Array) -> list[tuple[np.ndarray, BoolArray]]:
    """Triangles allowed for each group of landmarks: landmark numbers and a mask (T,)."""
    triangles, parts = head.triangles, head.parts
    middle = mean[triangles].mean(1)
    face = (
        (parts == Part.SKIN)
        & (chart(head, "ears")[triangles].mean(1) < 0.3)
        & (middle[:, 2] > -0.1)
    )
    face &= head.head_weights[triangles].mean(1) > 0.95
    drop = -head.actions[index("jawOpen"), :, 1][triangles].mean(1)
    lips = (face | (parts == Part.MOUTH_CAVITY)) & (chart(head, "lips")[triangles].mean(1) > 0.2)
    everything = np.arange(lm.LANDMARK_COUNT)
    special = (*lm.IRIS, *lm.INNER_LIP_UPPER, *lm.INNER_LIP_LOWER)
    return [
        (np.setdiff1d(everything, special), face),
        (np.array(lm.INNER_LIP_UPPER), lips & (drop < 0.010)),
        (np.array(lm.INNER_LIP_LOWER), lips & (drop > 0.010)),
        (np.array(lm.LEFT_IRIS), (parts == Part.EYE_LEFT) & (middle[:, 2] > 0)),
        (np.array(lm.RIGHT_IRIS), (parts == Part.EYE_RIGHT) & (middle[:, 2] > 0)),
    ]


def _candidates(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Candidate points: corners, edge midpoints and centroid of each triangle; corners (N, 3) and barycentrics (N, 3)."""
    weights = np.array(
        [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [1, 1, 1]],
        np.float32,
    )
    weights /= weights.sum(1, keepdims=True)
    return np.repeat(triangles, len(weights), 0), np.tile(weights, (len(triangles), 1))


def _blend(values: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.einsum("nkc,nk->nc", values[corners], weights)


def _nearest_on_surface(
    points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The closest surface point to each point: triangle corners (N, 3) and barycentrics (N, 3) (Ericson 2005, section 5.1.5)."""
    near = KDTree(vertices[triangles].mean(1)).query(points, k=min(40, len(triangles)))[1]
    corners = triangles[near]
    a, b, c = (vertices[corners[..., k]] for k in range(3))
    p = points[:, None]
    options = []
    ab, ac = b - a, c - a
    d11, d12, d22 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    e1, e2 = (ab * (p - a)).sum(-1), (ac * (p - a)).sum(-1)
    det = np.maximum(d11 * d22 - d12 * d12, 1e-18)
    u, v = (d22 * e1 - d12 * e2) / det, (d11 * e2 - d12 * e1) / det
    inside = (u >= 0) & (v >= 0) & (u + v <= 1)
    options.append(
        np.where(inside[..., None], np.stack([1 - u - v, u, v], -1), np.array([1.0, 0, 0]))
    )
    for first, second in ((0, 1), (1, 2), (0, 2)):
        start, end = (a, b, c)[first], (a, b, c)[second]
        along = end - start
        s = np.clip(
            ((p - start) * along).sum(-1) / np.maximum((along * along).sum(-1), 1e-18), 0, 1
        )
        option = np.zeros((*s.shape, 3))
        option[..., first], option[..., second] = 1 - s, s
        options.append(option)
    weights = np.stack(options, 2)  # (N, 40, 4, 3)
    found = np.einsum("njok,njkc->njoc", weights, np.stack([a, b, c], 2))
    distance = np.linalg.norm(found - p[:, :, None], axis=-1).reshape(len(points), -1)
    best = distance.argmin(1)
    row, option = best // 4, best % 4
    each = np.arange(len(points))
    return corners[each, row], weights[each, row, option]


def _first_guess(
    views: list[_View], mean: Float32Array, allowed: list[tuple[np.ndarray, BoolArray]]
) -> np.ndarray:
    """(478, 3) on the mean head: the median over near-frontal views of the surface point that projects next to the landmark."""
    frontal = [view for view in views if abs(view.yaw) <= 15]
    points = np.zeros((len(frontal), lm.LANDMARK_COUNT, 3))
    for v, view in enumerate(frontal):
        front = view.rig.vertices[:, 2]
        for numbers, mask in allowed:
            corners, weights = _candidates(view.rig.triangles[mask])
            depth = _blend(front[:, None], corners, weights)[:, 0]
            found = np.asarray(
                KDTree(_blend(view.pixels, corners, weights)).query(view.landmarks[numbers], k=8)[1]
            )
            # The frontmost of the nearest
            nearest = found[np.arange(len(numbers)), depth[found].argmax(1)]
            points[v, numbers] = _blend(mean, corners[nearest], weights[nearest])
    return np.median(points, 0)


def _canonical_on_head(canonical: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The canonical face (468, 3) brought onto measured points (478, 3) by a similarity that ignores brows and outline."""
    use = np.setdiff1d(np.arange(len(canonical)), (*lm.RIGHT_BROW, *lm.LEFT_BROW, *lm.FACE_OVAL))
    a, b = canonical[use], points[use]
    ca, cb = a - a.mean(0), b - b.mean(0)
    u, s, vt = np.linalg.svd(cb.T @ ca)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ (sign[:, None] * vt)
    scale = (s * sign).sum() / (ca**2).sum()
    return scale * (canonical - a.mean(0)) @ rotation.T + b.mean(0)


def _search(
    views: list[_View],
    mean: Float32Array,
    guess: np.ndarray,
    allowed: list[tuple[np.ndarray, BoolArray]],
    triangles: np.ndarray,
) -> np.ndarray:
    """(478, 3) on the mean head: mean of the six candidates around the guess that reproject best, weighted by how well."""
    points = np.zeros((lm.LANDMARK_COUNT, 3))
    view_weight = np.array([np.exp(-0.5 * (view.yaw / 25) ** 2) for view in views])
    detected = np.stack([view.landmarks for view in views])
    for numbers, mask in allowed:
        corners, weights = _candidates(triangles[mask])
        places = _blend(mean, corners, weights)
        projected = np.stack([_blend(view.pixels, corners, weights) for view in views])
        tree = KDTree(places)
        lips = set(lm.INNER_LIP_UPPER + lm.INNER_LIP_LOWER)
        for number in numbers:
            near = np.array(tree.query_ball_point(guess[number], _SEARCH_RADIUS))
            if len(near) < 6:
                near = np.asarray(tree.query(guess[number], k=min(60, len(places)))[1])
            # inner lips touch in a closed mouth, where the detector cannot tell them apart
            w = view_weight * [view.open_mouth for view in views] if number in lips else view_weight
            error = np.linalg.norm(projected[:, near] - detected[:, number, None], axis=2)
            cost = (w[:, None] * (np.hypot(error, _ROBUST_PX) - _ROBUST_PX)).sum(0) / w.sum()
            best = np.argsort(cost)[:6]
            trust = np.exp(-(cost[best] - cost[best[0]]) / 0.15)
            points[number] = trust @ places[near[best]] / trust.sum()
    return points


def reprojection_errors(
    views: list[_View], vertex_ids: np.ndarray, barycentrics: np.ndarray
) -> np.ndarray:
    """Pixels between detected and projected landmarks: (views, 478)."""
    return np.stack(
        [
            np.linalg.norm(_blend(view.pixels, vertex_ids, barycentrics) - view.landmarks, axis=1)
            for view in views
        ]
    )


@dataclass(frozen=True)
class EmbeddingReport:
    """Errors of the embedding on held-out people and poses."""

    train_median_px: float
    held_out_median_px: float
    """Median over views and landmarks, at 165 px between the outer eye corners."""
    held_out_rms_px: float
    held_out_rms_without_oval_px: float
    undetected: int
    """Pictures in which no face was found."""


def make_landmark_model(
    *, people: int = 8, held_out: int = 3, progress: Callable[[float], None] | None = None
) -> tuple[lm.LandmarkModel, EmbeddingReport]:
    """Measure the embedding, about two minutes.

    people, held_out: how many random people to measure with and to test on; progress: called with 0 .. 1.
    """
    report = progress if progress is not None else lambda _: None
    head = load_anny_head()
    identity = load_identity_model()
    mean = identity.mean
    canonical = canonical_face(asset_path("face_landmarker"))
    partner = _mirror_pairs(canonical)
    allowed = _allowed_triangles(head, mean)
    lips = chart(head, "lips")
    rng = np.random.default_rng(7)
    crowd = [
        identity_rig(identity, rng.normal(0, 0.8, len(identity.components)), head=head)
        for _ in range(people + held_out)
    ]
    with FaceDetector(min_confidence=0.3) as detector:
        bald = _views(
            [identity_rig(identity, np.zeros(1), head=head), crowd[0]],
            _POSES[:3],
            detector,
            lips=lips,
            brows=np.zeros(len(mean)),
        )
        guess = _first_guess(bald, mean, allowed)
        report(0.1)
        placed = guess.copy()
        placed[: len(canonical)] = _canonical_on_head(canonical, guess)
        placed = (placed + placed[partner] * [-1, 1, 1]) / 2
        brows = brow_chart(mean, placed)
        views: list[_View] = []
        for done, rig in enumerate(crowd):
            views += _views([rig], _POSES, detector, lips=lips, brows=brows)
            report(0.1 + 0.6 * (done + 1) / len(crowd))
    tested = [view for view in views if any(view.rig is rig for rig in crowd[people:])]
    used = [view for view in views if not any(view.rig is rig for rig in crowd[people:])]
    points = _search(used, mean, _first_guess(used, mean, allowed), allowed, head.triangles)
    points = (points + points[partner] * [-1, 1, 1]) / 2
    report(0.95)
    vertex_ids, barycentrics = (
        np.zeros((lm.LANDMARK_COUNT, 3), np.int32),
        np.zeros((lm.LANDMARK_COUNT, 3), np.float32),
    )
    for numbers, mask in allowed:
        vertex_ids[numbers], barycentrics[numbers] = _nearest_on_surface(
            points[numbers], mean, head.triangles[mask]
        )
    trained, fresh = (
        reprojection_errors(some, vertex_ids, barycentrics) for some in (used, tested)
    )
    inside = np.setdiff1d(np.arange(lm.LANDMARK_COUNT), lm.FACE_OVAL)
    eye_px = np.mean(
        [
            np.linalg.norm(np.subtract(*view.landmarks[list(lm.EYE_CORNERS)]))
            for view in used
            if view.yaw == 0
        ]
    )
    sigma = np.sqrt((np.concatenate([trained, fresh]) ** 2).mean(0)) / eye_px
    model = _assemble(head, identity, vertex_ids, barycentrics, sigma)
    report(1.0)
    return model, EmbeddingReport(
        float(np.median(trained)),
        float(np.median(fresh)),
        _rms(fresh),
        _rms(fresh[:, inside]),
        len(crowd) * len(_POSES) - len(views),
    )


def _rms(errors: np.ndarray) -> float:
    return float(np.sqrt((errors**2).mean()))


def _assemble(
    head: AnnyHead,
    identity: IdentityModel,
    vertex_ids: np.ndarray,
    barycentrics: np.ndarray,
    sigma: np.ndarray,
) -> lm.LandmarkModel:
    def at(values: np.ndarray) -> Float32Array:
        return np.einsum("...lkc,lk->...lc", values[..., vertex_ids, :], barycentrics).astype(
            np.float32
        )

    neutral, centers = at(identity.mean), eye_centers(head, identity.mean)
    actions = at(head.actions)
    for name in EXPRESSION_NAMES:
        if name.startswith("eyeLook"):
            turns = gaze_rotation(gaze_from_expression(expression(**{name: 1.0})))
            for iris, turn, center in zip(
                (lm.LEFT_IRIS, lm.RIGHT_IRIS), turns, centers, strict=True
            ):
                offset = neutral[list(iris)] - center
                actions[index(name), list(iris)] = offset @ turn.T - offset
    radius = eye_radius(head, identity.mean)
    radius_basis = np.array(
        [eye_radius(head, identity.mean + component) - radius for component in identity.components]
    )
    return lm.LandmarkModel(
        vertex_ids=vertex_ids,
        barycentrics=barycentrics,
        sigma=sigma.astype(np.float32),
        neutral=neutral,
        identity_basis=at(identity.components),
        actions=actions,
        eye_centers=centers,
        eye_center_basis=eye_centers(head, identity.components),
        eye_radius=np.array(radius, np.float32),
        eye_radius_basis=radius_basis.astype(np.float32),
        vertex_count=np.array(len(identity.mean), np.int32),
    )


def save_landmark_model(model: lm.LandmarkModel, path: Path) -> None:
    """Write the table; what is a displacement goes as float16 (error below 10 micrometres). Raises UserError where it cannot."""
    half = {"identity_basis", "actions", "eye_center_basis"}
    arrays: dict[str, Any] = {}
    for name, value in vars(model).items():
        arrays[name] = np.asarray(value, np.float16) if name in half else value
    with atomic_output(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def main() -> None:
    """Make the table and print its errors."""
    parser = argparse.ArgumentParser(
        description="measure where MediaPipe's landmarks lie on the head rig"
    )
    parser.add_argument("--output", type=Path, default=_OUTPUT)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    model, report = make_landmark_model(progress=lambda done: _log.info("%3.0f %%", 100 * done))
    save_landmark_model(model, options.output)
    _log.info("%s", report)


if __name__ == "__main__":
    main()
