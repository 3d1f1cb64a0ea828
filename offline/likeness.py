"""How well an avatar, seen as the photo saw the person, is the photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.gaussian_layer import Layer
from perse_live.animate import HeadPose
from perse_live.animator import Animator
from perse_live.arrays import BoolArray, Float32Array, FloatArray, UInt8Array
from perse_live.avatar import Avatar
from perse_live.camera import Camera
from perse_live.splatting import CpuRasterizer


@dataclass(frozen=True)
class Likeness:
    """Peak signal-to-noise ratios in dB; 30 dB is an error of 8 in 255, hardly visible."""

    person: float
    """Inside the person's matte."""
    face: float
    """Inside the face's oval."""


def drawn(layer: Layer, camera: Camera) -> Float32Array:
    """What a layer looks like through the photo's camera, on black. Returns (H, W, 3) in [0, 1]."""
    picture = CpuRasterizer(camera.width, camera.height, threads=2).render_rgba(
        layer.gaussians, camera
    )
    return (picture[..., :3] / np.float32(255)).astype(np.float32)


def own_view(avatar: Avatar) -> UInt8Array:
    """The avatar in the photo's pose and expression before the photo's camera. Returns (H, W, 4), premultiplied by alpha."""
    source = avatar.source
    pose = HeadPose(source.R_cam_head, source.t_cam_head, source.R_cam_head)
    posed = Animator(avatar, threads=1).pose(source.expression, source.gaze, pose)
    return (
        CpuRasterizer(source.camera.width, source.camera.height, threads=1)
        .render_rgba(posed, source.camera)
        .copy()
    )


def likeness(
    drawn: UInt8Array, photo: UInt8Array, matte: Float32Array, oval: BoolArray
) -> Likeness:
    """Compare the avatar, rendered in the photo's view, with the photo cut out by its matte, both on black.

    drawn: (H, W, 4) as of `own_view`; photo: (H, W, 3); matte: (H, W) in [0, 1], 0 beyond the photo; oval: (H, W) the face. Where
    the avatar has a hole, black counts against it.
    """
    error = drawn[..., :3].astype(np.float64) - photo * matte[..., None].astype(np.float64)
    person = matte > 0.5
    return Likeness(_psnr(error[person]), _psnr(error[person & oval]))


def _psnr(error: FloatArray) -> float:
    """Of differences (N, 3) on a scale to 255; 99 where nothing differs."""
    if not error.size:
        return 99.0
    return float(min(99.0, 10 * np.log10(255.0**2 / max(float((error**2).mean()), 1e-12))))
