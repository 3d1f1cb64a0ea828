"""How well an avatar, seen as the photo saw the person, is the photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline.gaussian_layer import Layer
from perse_live.animate import HeadPose
from perse_live.animator import Animator
from perse_live.arrays import BoolArray, Float32Array, UInt8Array
from perse_live.avatar import Avatar
from perse_live.camera import Camera
from perse_live.evaluation.image_metrics import psnr
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
    raster = CpuRasterizer(camera.width, camera.height, threads=2)
    return raster.render_float(layer.gaussians, camera, background=(0, 0, 0))[..., :3].copy()


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
    person = matte > 0.5
    cut_out = np.rint(photo * matte[..., None]).astype(np.uint8)
    return Likeness(*(psnr(drawn[..., :3], cut_out, part) for part in (person, person & oval)))
