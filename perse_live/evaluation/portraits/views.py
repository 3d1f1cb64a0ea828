"""Views of an avatar's head, all framed alike, with what each pixel shows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from perse_live.animate import HeadPose
from perse_live.animator import Animator
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.avatar import Avatar, with_resting_lids
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.head.expressions import expression
from perse_live.head.rig import Part, gaze_from_expression
from perse_live.poses import facing_pose
from perse_live.raster import RasterResult, interpolate, rasterise
from perse_live.regions import Region
from perse_live.splatting import CpuRasterizer
from perse_live.splatting.contributions import contributions

SIDE = 512
"""Pixels, width and height of a view."""
EYE_DISTANCE = 84.0
"""Pixels between the eyes' centres: the head with its hair fills the picture."""
TURNS = (-35.0, -20.0, 20.0, 35.0)
"""Degrees of yaw at which what the photo does not show is measured."""
CLOSING = (0.5, 0.75, 1.0)
"""Blinks at which closing lids are measured."""

_EYES_AT = (0.5, 0.47)  # of the view's width and height: where the middle between the eyes lies
_OUTSIDE = (Part.SKIN, Part.BODY, Part.EYE_LEFT, Part.EYE_RIGHT)


@dataclass(frozen=True, eq=False)
class View:
    """An avatar seen from somewhere."""

    camera: Camera
    gaussians: Gaussians
    """Camera frame."""
    color: Float32Array
    """(H, W, 3) sRGB, not premultiplied; 0 where nothing is."""
    alpha: Float32Array
    """(H, W)."""
    mesh: RasterResult
    """The rig's outside (skin, body, eyeballs), of `triangles`."""
    triangles: BoolArray
    """(T,) which of the rig's triangles those are."""

    @property
    def lab(self) -> Float32Array:
        """(H, W, 3) CIE L*a*b*."""
        return lab_of(self.color)


def lab_of(colors: FloatArray) -> Float32Array:
    """CIE L*a*b* (D65) of sRGB colours (..., 3) in [0, 1]."""
    flat = np.ascontiguousarray(colors, np.float32).reshape(-1, 1, 3)
    return np.asarray(cv2.cvtColor(flat, cv2.COLOR_RGB2Lab), np.float32).reshape(np.shape(colors))


def eye_distance(avatar: Avatar) -> float:
    """Between the eyes' centres, metres."""
    left, right = avatar.rig.eye_centers.astype(np.float64)
    return float(np.linalg.norm(left - right))


def head_camera(avatar: Avatar, pose: HeadPose) -> Camera:
    """A camera in the place of the photo's: `SIDE` pixels, of a focal length and an axis that put every avatar's eyes alike."""
    middle = avatar.rig.eye_centers.mean(0)
    facing = facing_pose(avatar)
    focal = (
        EYE_DISTANCE
        * float((facing.R_cam_head @ middle + facing.t_cam_head)[2])
        / eye_distance(avatar)
    )
    x, y, z = (float(value) for value in pose.R_cam_head @ middle + pose.t_cam_head)
    return Camera(
        SIDE,
        SIDE,
        focal,
        focal,
        SIDE * _EYES_AT[0] - focal * x / z,
        SIDE * _EYES_AT[1] - focal * y / z,
    )


def resting(avatar: Avatar, *, blink: float = 0.0) -> Float32Array:
    """The face at rest, (52,), with lids closed by a share in [0, 1]."""
    return with_resting_lids(avatar, expression(eyeBlinkLeft=blink, eyeBlinkRight=blink))


def turned_view(avatar: Avatar, yaw: float, *, blink: float = 0.0) -> View:
    """The avatar at rest, turned by degrees from facing the camera, on shoulders that stay as in the photo."""
    return view(avatar, resting(avatar, blink=blink), facing_pose(avatar, yaw=yaw))


def photo_view(avatar: Avatar) -> View:
    """The avatar in the photo's pose and expression, at the size of the other views."""
    return view(avatar, avatar.source.expression, avatar.source.pose)


def view(avatar: Avatar, doing: Float32Array, pose: HeadPose) -> View:
    """The avatar with an expression (52,) in a pose."""
    camera, animator = head_camera(avatar, pose), Animator(avatar, threads=1)
    gaussians = animator.pose(doing, gaze_from_expression(doing), pose)
    picture = CpuRasterizer(SIDE, SIDE, threads=1).render_float(
        gaussians, camera, background=(0.0, 0.0, 0.0)
    )
    alpha = picture[..., 3].copy()
    color = np.clip(picture[..., :3] / np.maximum(alpha, 1e-3)[..., None], 0.0, 1.0)
    triangles = np.isin(avatar.rig.parts, _OUTSIDE)
    mesh = rasterise(
        animator.vertices(doing, gaze_from_expression(doing), pose),
        avatar.rig.triangles[triangles],
        camera,
    )
    return View(camera, gaussians, color, alpha, mesh, triangles)


def rest_places(avatar: Avatar, seen: View) -> Float32Array:
    """(H, W, 3) metres, head frame: where the point of the rig that a pixel sees lies at rest; 0 where none is seen."""
    return interpolate(avatar.rig.vertices, avatar.rig.triangles[seen.triangles], seen.mesh)


def share_of(avatar: Avatar, seen: View, *regions: Region) -> Float32Array:
    """(H, W) in [0, 1]: which share of a pixel Gaussians of these regions draw."""
    mask = np.repeat(np.isin(avatar.regions, regions).astype(np.float32)[:, None], 3, 1)
    masked = replace(seen.gaussians, colors=mask)
    return (
        CpuRasterizer(SIDE, SIDE, threads=1)
        .render_float(masked, seen.camera, background=(0.0, 0.0, 0.0))[..., 0]
        .copy()
    )


def drawn_by(seen: View, inside: Float32Array | None = None) -> Float32Array:
    """(G,) pixels of a view that each Gaussian draws."""
    return contributions(seen.gaussians, seen.camera, inside)
