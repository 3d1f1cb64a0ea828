"""Photometric refinement: misalignments of a pixel or two between the rendered and the filmed face, found by optical flow.

Landmarks say where a face's features are to a pixel or two, and where its plain skin is hardly at all. Where the driver is the
avatar's subject, the pictures say more: what is drawn and what is seen differ by a small smooth motion. It is found by
least squares on colours in a window around each pixel (Lucas & Kanade, IJCAI 1981; with weights against what only one of both
shows, such as teeth, shine or hair before the face), and moves the landmarks to which pose, expression and residual are fitted.
No detector looks at what is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from perse_live.animate import HeadPose
from perse_live.animator import Animator
from perse_live.arrays import Float32Array, FloatArray, Int32Array, UInt8Array
from perse_live.avatar import Avatar
from perse_live.camera import Camera
from perse_live.detect import Detection
from perse_live.head import landmarks as lm
from perse_live.head.landmarks import load_landmark_model
from perse_live.jit import kernel
from perse_live.splatting import CpuRasterizer
from runtime.tracker import KnownFaceTracker, TrackedFrame

_ROOM = 1.15  # side of a glimpse, in the larger side of the box around the landmarks
_HULL = 1.02  # of the landmarks, inside which pictures are compared
_MOUTH = (lm.LIPS,)
_EYES = (lm.RIGHT_EYE + lm.RIGHT_BROW, lm.LEFT_EYE + lm.LEFT_BROW)
_AROUND = 1.2  # how much larger than its features' hull a part is that moves as a whole
_SOLID = 240  # drawn alpha, of 255, from which a pixel counts
_RIM = 0.05  # of the side, from the edge of what is solid, that does not count
_LONGEST_STEP = 2.0  # pixels that one round may add
_SAME = 60.0  # of 255: what differs more takes no part in the comparison of exposures


@dataclass(frozen=True)
class PhotometricConfig:
    """How pictures are compared."""

    side: int = 128
    """Pixels of the square that a face is compared in."""
    finer: int = 2
    """How many times finer it is drawn than compared: splats are widened to a third of a pixel, which moves coarse edges."""
    window: float = 0.025
    """Standard deviation of the window that one motion is found in, in sides."""
    ridge: float = 1.0
    """Squared grey levels per pixel: what texture must outweigh for a motion to be believed."""
    alike: float = 14.0
    """Difference of colours, of 255, from which a pixel counts less and less."""
    rounds: int = 6
    """Of least squares on one drawing."""
    least_share: float = 0.42
    """Of the face, that must look alike for any motion to be believed: another person's picture says nothing of it."""
    full_share: float = 0.6
    """From which it is believed fully; pairs of strangers reached 0.2 to 0.4, six people with themselves 0.63 or more."""
    drawings: int = 1
    """Of the avatar for each frame, each in the place found with the last."""
    farthest: float = 0.025
    """Longest motion believed from one drawing, in sides."""


@dataclass(frozen=True, eq=False)
class Glimpse:
    """A face in a frame, cut out and brought to one size."""

    picture: UInt8Array
    """(S, S, 3) RGB."""
    camera: Camera
    """That sees just this square."""
    scale: float
    """Pixels of the glimpse per pixel of the frame."""
    corner: Float32Array
    """(2,) where the glimpse's left upper corner lies in the frame, pixels."""

    def inside(self, points: FloatArray) -> Float32Array:
        """Points (N, 2) of the frame as points of the glimpse."""
        return ((points - self.corner) * self.scale).astype(np.float32)


def glimpse(image: UInt8Array, face: Detection, camera: Camera, side: int) -> Glimpse:
    """What is seen of a face. image: (H, W, 3) RGB, that `face` was found in and `camera` sees; side: pixels."""
    points = face.landmarks[:, :2]
    low, high = points.min(0), points.max(0)
    extent = _ROOM * max(float((high - low).max()), 1.0)
    corner = ((low + high - extent) / 2).astype(np.float32)
    scale = side / extent
    shift = -corner * scale + 0.5 * (scale - 1)  # pixel centres lie at +0.5
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
    if scale < 0.8:  # or fine texture would come through as noise
        left, top = np.maximum(np.floor(corner).astype(int), 0)
        right, bottom = np.maximum(np.ceil(corner + extent).astype(int), 1)
        part = cv2.GaussianBlur(
            np.ascontiguousarray(image[top:bottom, left:right]), (0, 0), 0.5 / scale
        )
        matrix[:, 2] += scale * np.array([left, top])
    else:
        part = image
    picture = cv2.warpAffine(part, matrix, (side, side), flags=cv2.INTER_LINEAR)
    view = Camera(
        side,
        side,
        camera.fx * scale,
        camera.fy * scale,
        (camera.cx - float(corner[0])) * scale,
        (camera.cy - float(corner[1])) * scale,
    )
    return Glimpse(np.asarray(picture, np.uint8), view, scale, corner)


def motion_between(
    drawn: UInt8Array,
    seen: UInt8Array,
    mask: Float32Array,
    *,
    config: PhotometricConfig = PhotometricConfig(),
) -> Float32Array:
    """The small smooth motion that brings one picture onto another.

    drawn, seen: (S, S, 3); mask: (S, S) [0, 1], how much the drawn pixels count. Exposure, one gain per colour, may differ.
    Returns (S, S, 2) pixels to the right and down, at most `config.farthest` sides; near 0 where nothing tells.
    """
    height, width = mask.shape
    a, b = (_blurred(picture.astype(np.float32), 1.0) for picture in (seen, drawn))
    window = config.window * max(height, width)
    flow = np.zeros((height, width, 2), np.float32)
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    evidence = np.zeros((height, width, 5), np.float32)
    for _ in range(config.rounds):
        x, y = columns - flow[..., 0], rows - flow[..., 1]
        _gather(a, _taken(b, x, y), _taken(mask, x, y), _SAME, 3 * config.alike**2, evidence)
        _step(_blurred(evidence, window), config.ridge, _LONGEST_STEP, flow)
        flow = _blurred(flow, max(window / 3, 0.5))
    length = np.linalg.norm(flow, axis=2, keepdims=True)
    return flow * np.minimum(1, config.farthest * width / np.maximum(length, 1e-6))


def _blurred(values: Float32Array, sigma: float) -> Float32Array:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)


def _taken(values: Float32Array, x: Float32Array, y: Float32Array) -> Float32Array:
    """What stands at places between pixels."""
    return np.asarray(
        cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


@kernel
def _gather(
    seen: Float32Array,
    moved: Float32Array,
    weight: Float32Array,
    same: float,
    spread: float,
    out: Float32Array,
) -> None:
    """What each pixel says of the motion: the weighted products xx, xy, yy of its gradient, and x, y with what is missing."""
    height, width = weight.shape
    top, low = np.full(3, 1e-6), np.full(3, 1e-6)
    for i in range(height):
        for j in range(width):
            if weight[i, j] > 0.5:
                worst = 0.0
                for c in range(3):
                    worst = max(worst, abs(seen[i, j, c] - moved[i, j, c]))
                if worst < same:
                    for c in range(3):
                        top[c] += seen[i, j, c] * moved[i, j, c]
                        low[c] += moved[i, j, c] * moved[i, j, c]
    for i in range(height):
        up, down = max(i - 1, 0), min(i + 1, height - 1)
        for j in range(width):
            left, right = max(j - 1, 0), min(j + 1, width - 1)
            xx = xy = yy = x = y = size = 0.0
            for c in range(3):
                gain = top[c] / low[c]
                gx = 0.5 * gain * (moved[i, right, c] - moved[i, left, c])
                gy = 0.5 * gain * (moved[down, j, c] - moved[up, j, c])
                missing = seen[i, j, c] - gain * moved[i, j, c]
                xx, xy, yy, x, y = (
                    xx + gx * gx,
                    xy + gx * gy,
                    yy + gy * gy,
                    x - gx * missing,
                    y - gy * missing,
                )
                size += missing * missing
            w = weight[i, j] / (1 + size / spread)
            out[i, j, 0], out[i, j, 1], out[i, j, 2], out[i, j, 3], out[i, j, 4] = (
                w * xx,
                w * xy,
                w * yy,
                w * x,
                w * y,
            )


@kernel
def _step(evidence: Float32Array, ridge: float, longest: float, flow: Float32Array) -> None:
    """One round's motion, added to `flow` (H, W, 2), which the ridge pulls to 0."""
    for i in range(flow.shape[0]):
        for j in range(flow.shape[1]):
            xx, xy, yy = evidence[i, j, 0] + ridge, evidence[i, j, 1], evidence[i, j, 2] + ridge
            x, y = (
                evidence[i, j, 3] - ridge * flow[i, j, 0],
                evidence[i, j, 4] - ridge * flow[i, j, 1],
            )
            scale = 1 / (xx * yy - xy * xy)
            flow[i, j, 0] += min(max((yy * x - xy * y) * scale, -longest), longest)
            flow[i, j, 1] += min(max((xx * y - xy * x) * scale, -longest), longest)


class PhotometricTracker:
    """Tracks the avatar's subject by landmarks, then by what is seen; not thread-safe."""

    def __init__(
        self,
        avatar: Avatar,
        tracker: KnownFaceTracker,
        *,
        threads: int,
        config: PhotometricConfig = PhotometricConfig(),
    ) -> None:
        """avatar: as it will be drawn; tracker: of its person; threads: how many may draw, >= 1."""
        self._tracker, self._config = tracker, config
        self._animator = Animator(avatar, threads=threads)
        side = config.side * config.finer
        self._rasterizer = CpuRasterizer(side, side, threads=threads)

    def update(
        self, face: Detection | None, seen: Glimpse | None, timestamp: float
    ) -> TrackedFrame | None:
        """What the avatar should do, from what was found in a frame and the face's glimpse; None where there is no face.

        timestamp: seconds, growing.
        """
        frame = self._tracker.update(face, timestamp)
        if face is None or seen is None or frame is None:
            return frame
        moved = face.landmarks[:, :2].astype(np.float64)
        for _ in range(self._config.drawings):
            drawn = self._draw(frame, seen.camera)
            points = seen.inside(moved)
            mask = _compared(drawn[..., 3], points)
            trust = _trust(drawn[..., :3], seen.picture, mask, self._config)
            if not trust:
                return frame
            flow = motion_between(drawn[..., :3], seen.picture, mask, config=self._config)
            moves = _at(flow, points)
            for whole in _wholes():
                moves[whole] = moves[whole].mean(0)
            moved = moved + trust * moves / seen.scale
            frame = self._tracker.refit(
                replace(face, landmarks=np.concatenate([moved, face.landmarks[:, 2:]], 1)), frame
            )
        return frame

    def _draw(self, frame: TrackedFrame, camera: Camera) -> UInt8Array:
        """(S, S, 4). Shoulders are not compared: they may be anywhere."""
        pose = HeadPose(frame.R_cam_head, frame.t_cam_head, frame.R_cam_head)
        posed = self._animator.pose(frame.expression, frame.gaze, pose, residual=frame.residual)
        side, finer = self._config.side, self._config.side * self._config.finer
        drawn = self._rasterizer.render_rgba(posed, camera.resized(finer, finer))
        return np.asarray(cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _compared(alpha: UInt8Array, points: Float32Array) -> Float32Array:
    """(S, S) [0, 1] where the drawn face is solid, inside the hull of its landmarks (N, 2), and not at its rim.

    At the rim what is drawn ends before nothing, what is seen before a background, and a face would be widened to cover it.
    """
    inside = np.zeros(alpha.shape, np.uint8)
    cv2.fillConvexPoly(
        inside, np.round(_larger_hull(points, _HULL) * 16).astype(np.int32), 255, cv2.LINE_AA, 4
    )
    solid = (alpha >= _SOLID).astype(np.uint8)
    within = cv2.distanceTransform(np.pad(solid, 1, constant_values=1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    clear = np.clip(within - _RIM * len(alpha), 0, 1)
    return np.asarray(inside.astype(np.float32) / 255 * clear, np.float32)


def _trust(
    drawn: UInt8Array, seen: UInt8Array, mask: Float32Array, config: PhotometricConfig
) -> float:
    """[0, 1] how far two pictures show the same face."""
    inside = mask > 0.5
    if not inside.any():
        return 0.0
    a, b = seen[inside].astype(np.float32), drawn[inside].astype(np.float32)
    error = ((a - b * (a * b).sum(0) / np.maximum((b * b).sum(0), 1)) ** 2).sum(1)
    share = float((1 / (1 + error / (3 * config.alike**2))).mean())
    return float(
        np.clip((share - config.least_share) / (config.full_share - config.least_share), 0, 1)
    )


def _at(flow: Float32Array, points: Float32Array) -> Float32Array:
    """A motion (S, S, 2) at points (N, 2)."""
    x, y = np.ascontiguousarray(points[:, :1] - 0.5), np.ascontiguousarray(points[:, 1:] - 0.5)
    return _taken(flow, x, y)[:, 0]


@lru_cache(maxsize=1)
def _wholes() -> tuple[Int32Array, ...]:
    """Numbers of the landmarks that move together: the mouth's, and those of eyes and brows.

    How lips and lids are open and brows are raised is better known from the landmarks than from what the pictures show there:
    teeth, a lid's other side, wrinkles.
    """
    face = load_landmark_model().neutral[:, :2]
    parts = ([_near(face, feature) for feature in part] for part in (_MOUTH, _EYES))
    return tuple(np.unique(np.concatenate(part)).astype(np.int32) for part in parts)


def _near(face: FloatArray, feature: tuple[int, ...]) -> Int32Array:
    """Numbers of the landmarks (478, 2) in and around a feature, none of the face's outline."""
    hull = _larger_hull(face[list(feature)], _AROUND)
    inside = np.array(
        [cv2.pointPolygonTest(hull, (float(x), float(y)), False) >= 0 for x, y in face]
    )
    return np.setdiff1d(np.nonzero(inside)[0], lm.FACE_OVAL).astype(np.int32)


def _larger_hull(points: FloatArray, scale: float) -> Float32Array:
    """(K, 2) corners of the hull of points (N, 2), enlarged about their middle."""
    hull = cv2.convexHull(points.astype(np.float32))[:, 0]
    middle = hull.mean(0)
    return np.asarray(middle + (hull - middle) * scale, np.float32)
