"""Renderings of an avatar with a look, and masks of the look in them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from offline.editing.contract import View
from perse_live.animator import Animator
from perse_live.arrays import BoolArray, Float32Array, FloatArray, UInt8Array
from perse_live.attribute_blending import with_attributes
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar, painted
from perse_live.camera import Camera
from perse_live.splatting.backend import open_rasterizer

_CHANGED = 8.0  # factor of pixel differences: from 1/8 on the mask is 1
_THREADS = 2


def source_view(avatar: Avatar, size: int = 512) -> View:
    """The view of the photo, `size` pixels a side."""
    source = avatar.source
    return View(source.camera.resized(size, size), source.pose, source.expression, source.gaze)


class LookRenderer:
    """Renders one avatar from one camera, with and without a look; for one thread at a time."""

    def __init__(self, avatar: Avatar, camera: Camera, look: Attribute | None = None) -> None:
        """look: at full weight, None: none."""
        bare = replace(avatar, attributes=() if look is None else (look,))
        self._camera = camera
        self._plain = replace(bare, attributes=())
        self._blended = (
            self._plain
            if look is None
            else with_attributes(bare, bare.attributes, {look.name: 1.0})
        )
        self._part = (
            np.zeros(len(self._blended), np.bool_) if look is None else _part_of(self._plain, look)
        )
        self._animator = Animator(self._plain, threads=_THREADS)
        self._rasterizer = open_rasterizer(
            camera.width, camera.height, device="auto", threads=_THREADS
        )

    def picture(
        self, view: View, *, background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ) -> Float32Array:
        """The avatar with the look, (H, W, 3) sRGB in [0, 1]."""
        return self._drawn(self._blended, view, background)[..., :3]

    def over(self, view: View, behind: UInt8Array) -> UInt8Array:
        """The avatar with the look composited over a picture (H, W, 3); the same size."""
        drawn = self._drawn(self._blended, view, (0.0, 0.0, 0.0))
        left = 1 - drawn[..., 3:]
        return np.clip(np.rint(255 * drawn[..., :3] + left * behind), 0, 255).astype(np.uint8)

    def mask(self, view: View) -> Float32Array:
        """(H, W) in [0, 1]: pixels that the look covers or changes."""
        seen = self._drawn(painted(self._blended, self._part), view, (0.0, 0.0, 0.0))[..., 0]
        grey = (0.5, 0.5, 0.5)
        difference = np.abs(
            self._drawn(self._blended, view, grey) - self._drawn(self._plain, view, grey)
        ).max(2)
        mask = np.maximum(seen * (difference > 0.02), np.clip(_CHANGED * difference, 0, 1))
        return np.clip(cv2.dilate(mask, np.ones((3, 3), np.uint8)), 0, 1).astype(np.float32)

    def _drawn(
        self, avatar: Avatar, view: View, background: tuple[float, float, float]
    ) -> Float32Array:
        self._animator.set_avatar(avatar)
        gaussians = self._animator.pose(view.expression, view.gaze, view.pose)
        return np.clip(
            self._rasterizer.render_float(gaussians, self._camera, background=background), 0, 1
        )


def own_portrait(avatar: Avatar, view: View) -> UInt8Array:
    """The photo re-rendered from the avatar: the person over the photo's background. Returns (H, W, 3)."""
    return LookRenderer(avatar, view.camera).over(view, portrait_background(avatar, view))


def portrait_background(avatar: Avatar, view: View) -> UInt8Array:
    """The photo's background (H, W, 3), blurred; grey where the avatar has none."""
    size = (view.camera.width, view.camera.height)
    if avatar.source.backdrop is None:
        return np.full((size[1], size[0], 3), 128, np.uint8)
    return np.asarray(
        cv2.resize(avatar.source.backdrop, size, interpolation=cv2.INTER_CUBIC), np.uint8
    )


def _part_of(avatar: Avatar, look: Attribute) -> BoolArray:
    """Mask of the Gaussians that belong to the look: added and changed ones."""
    count, on = len(avatar.surface.triangles), len(look.added.surface.triangles)
    changed: FloatArray = np.zeros(len(avatar))
    changed[look.ids] = 1
    came = np.ones(len(look.added))
    return np.concatenate([changed[:count], came[:on], changed[count:], came[on:]]) > 0
