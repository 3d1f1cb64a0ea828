"""Thumbnails of single looks on an avatar's face, for choosing one in the page."""

from __future__ import annotations

import cv2
import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.attribute_blending import with_attributes
from perse_live.attributes import Look
from perse_live.avatar import Avatar
from perse_live.head.expressions import expression
from runtime.background import straight_alpha
from runtime.stage import Motion, Stage, facing_pose
from runtime.tiles import acting, close_up

_SIDE, _OVERSAMPLING = 176, 2  # pixels; drawn so much larger, so that thin frames do not flicker
# Side of the picture and how far it is moved up, heights of the face: hats have room
_HEIGHTS, _ABOVE = (1.75, 0.14)
_CLOSE, _CLOSE_ABOVE = 1.12, 0.0  # for what is painted on the face
_ON_THE_FACE = ("eyes", "eyebrows", "mouth", "make-up", "skin", "nose")
_YAW = 14.0  # degrees: a little turned shows depth


class ThumbnailPainter:
    """Draws one avatar with one look at a time."""

    def __init__(self, avatar: Avatar) -> None:
        """avatar: without attributes."""
        self._avatar, self._stages = avatar, dict[bool, tuple[Stage, Motion]]()

    def draw(self, look: Look) -> UInt8Array:
        """The avatar with one attribute, (176, 176, 4) RGBA with straight alpha."""
        near = look.slot in _ON_THE_FACE
        if near not in self._stages:
            pose = facing_pose(self._avatar, yaw=_YAW)
            camera = close_up(
                self._avatar,
                pose,
                *((_CLOSE,) if near else (_HEIGHTS,)),
                above=_CLOSE_ABOVE if near else _ABOVE,
            )
            side = _SIDE * _OVERSAMPLING
            stage = Stage(self._avatar, camera.resized(side, side), threads=2)
            self._stages[near] = stage, acting(self._avatar, expression(), pose)
        stage, motion = self._stages[near]
        stage.set_avatar(with_attributes(self._avatar, (look,), {look.name: 1.0}))
        # Premultiplied: no dark rims
        drawn = cv2.resize(stage.draw_rgba(motion), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        return straight_alpha(np.asarray(drawn, np.uint8))
