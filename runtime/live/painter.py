"""Paints the picture for the sinks from a motion: avatar, background and badge."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

from perse_live.animate import HeadPose
from perse_live.arrays import FloatArray, UInt8Array
from perse_live.avatar import Avatar, following_outline, neutral_landmarks, with_resting_lids
from perse_live.errors import UserError
from perse_live.head import landmarks as lm
from perse_live.rotations import FACING_CAMERA
from runtime.attributes import with_default_attributes
from runtime.background import Color, Picture, lay_over, load_background, parse_background
from runtime.engines.contract import Engine
from runtime.live.badge import stamp
from runtime.live.clock import StageClock
from runtime.live.framing import View, camera_of, view_of
from runtime.live.governor import LADDER, Effort
from runtime.live.relay import Relay
from runtime.live.thinning import thinned
from runtime.stage import Motion, Stage, on_the_neck
from runtime.tracker import RestPose, TrackedFrame

_NOTHING: Mapping[str, float] = MappingProxyType({})
_GREEN = Color(0, 177, 64)  # chroma-key green
CANONICAL = RestPose(FACING_CAMERA.astype(np.float32), np.zeros(3, np.float32))
"""Reference pose of all live motion, independent of driver and avatar: facing the camera, shift 0, a face of mean size."""


@dataclass(frozen=True, eq=False)
class Actor:
    """An avatar prepared for a session."""

    name: str
    avatar: Avatar
    """With `following_outline` applied, and with attributes."""
    rest: HeadPose
    """Facing the camera."""
    size: float
    """Of its face, relative to `CANONICAL`."""
    view: View
    """Window of the photo that is shown."""
    engine: Engine | None = None
    """Engine that poses and draws it; None: numba on the CPU."""


def actor_of(name: str, avatar: Avatar) -> Actor:
    """Prepare an avatar; takes 0.4 s."""
    points = neutral_landmarks(avatar)
    right, left = (points[corner] for corner in lm.EYE_CORNERS)
    rest = on_the_neck(avatar, FACING_CAMERA)
    stage = Stage(avatar, avatar.source.camera, threads=1)
    alpha = stage.draw_rgba(Motion(np.zeros(52, np.float32), np.zeros((2, 2), np.float32), rest))[
        ..., 3
    ]
    return Actor(
        name,
        following_outline(with_default_attributes(avatar)),
        rest,
        float(np.linalg.norm(left - right)) / CANONICAL.eye_distance,
        view_of(alpha),
    )


def placed(actor: Actor, motion: TrackedFrame, R_cam_body: FloatArray) -> Motion:
    """A motion relative to `CANONICAL` transferred to the avatar; R_cam_body: (3, 3) of the shoulders."""
    size = np.float32(actor.size)
    pose = HeadPose(
        motion.R_cam_head,
        actor.rest.t_cam_head + size * motion.t_cam_head,
        R_cam_body.astype(np.float32),
    )
    return Motion(
        with_resting_lids(actor.avatar, motion.expression),
        motion.gaze,
        pose,
        motion.residual * size,
    )


@dataclass(frozen=True)
class Backdrop:
    """The background; see `backdrop_of`."""

    text: str
    """Its name, as given."""
    color: Color | None
    """Set for a uniform colour."""
    picture: Path | None
    """Set for a picture from a file."""

    @property
    def matte(self) -> bool:
        """Whether the avatar and its alpha are shown side by side."""
        return self.text == "alpha"


def backdrop_of(text: str, *, image: Path | None = None) -> Backdrop:
    """The background of a name: `RRGGBB`, "green", "photo" (that of the avatar's photo), "alpha", "image", or a picture's path.

    image: the picture that "image" stands for. Raises UserError for anything else.
    """
    if text in ("photo", "alpha"):
        return Backdrop(text, None, None)
    if text == "green":
        return Backdrop(text, _GREEN, None)
    if text == "image":
        if image is None:
            raise UserError("there is no background picture here: start with --background PICTURE")
        return Backdrop(text, None, image)
    parsed = parse_background(text)
    if isinstance(parsed, Color):
        return Backdrop(text.lower().lstrip("#"), parsed, None)
    return Backdrop("image", None, parsed.path if isinstance(parsed, Picture) else None)


class _BlendedStage:
    """A `Stage` and the attribute weights that it shows."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self._blender = stage, stage.attribute_blender()
        self._weights: dict[str, float] = {}

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Blend, if the weights have changed."""
        wanted = {name: weight for name, weight in weights.items() if weight > 0}
        if wanted != self._weights:
            self.stage.set_avatar(self._blender.blend(wanted))
            self._weights = wanted


class Painter:
    """Paints one actor at one size; not thread-safe."""

    def __init__(
        self,
        actor: Actor,
        width: int,
        height: int,
        *,
        threads: int,
        animate: StageClock,
        render: StageClock,
        executor: Executor | None = None,
    ) -> None:
        """width, height: of the pictures, even, pixels; animate, render: clocks of both steps.

        executor: prepares another effort (0.3 s) in the background; None: painting waits for it.
        """
        self._actor, self._size, self._threads = actor, (width, height), threads
        self._animate, self._render = animate, render
        self._casts: dict[float, _BlendedStage] = {}  # by fraction of Gaussians
        self._stages = Relay(self._prepared, executor)
        self._behind: dict[Backdrop, UInt8Array] = {}

    def prepare(self, effort: Effort) -> None:
        """Create the first stage, so that the first picture does not wait for it. Call it before any other method."""
        self._stages.get(effort)

    def paint(
        self,
        motion: Motion,
        backdrop: Backdrop,
        *,
        badge: str,
        effort: Effort = LADDER[0],
        weights: Mapping[str, float] = _NOTHING,
    ) -> UInt8Array:
        """Returns a new array: (H, W, 3) RGB, or (H, 2 W, 3) where the backdrop is a matte.

        badge: a corner or "off"; weights: of attributes by name, [0, 1]; unknown names are ignored. Raises
        UserError for a background picture that cannot be read.
        """
        _, (blended, stage) = self._stages.get(effort)
        with self._animate.measured():
            blended.set_weights(weights)
            gaussians = stage.pose(motion)
        with self._render.measured():
            picture = self._painted(stage, gaussians, backdrop)
            stamp(picture[:, : self._size[0]], badge)
            if backdrop.matte and badge != "off":  # the badge is opaque
                _mark_badge(picture, badge)
        return picture

    def _painted(self, stage: Stage, gaussians: Any, backdrop: Backdrop) -> UInt8Array:
        if backdrop.color is not None:
            color = backdrop.color
            drawn = stage.render(
                gaussians, background=(color.red / 255, color.green / 255, color.blue / 255)
            )
            return self._full_size(drawn)
        layer = self._full_size(stage.render_rgba(gaussians))
        if backdrop.matte:
            return np.concatenate([layer[..., :3], np.repeat(layer[..., 3:], 3, 2)], 1)
        return lay_over(layer, self._picture(backdrop))

    def _prepared(self, effort: Effort) -> tuple[_BlendedStage, Stage]:
        width, height = (max(16, round(side * effort.scale / 2) * 2) for side in self._size)
        avatar, known = self._actor.avatar, self._casts.get(effort.gaussians)
        camera = camera_of(avatar.source.camera, self._actor.view, width, height)
        if known is not None:
            return known, known.stage.before(camera)
        fewer = avatar if effort.gaussians >= 1 else thinned(avatar, effort.gaussians)
        made = _BlendedStage(Stage(fewer, camera, threads=self._threads, engine=self._actor.engine))
        whole = {1.0: self._casts[1.0]} if 1.0 in self._casts else {}
        # A thinned avatar in addition to the one with all Gaussians
        self._casts = {**whole, effort.gaussians: made}
        return made, made.stage

    def _full_size(self, drawn: UInt8Array) -> UInt8Array:
        """A copy scaled to the output size."""
        if drawn.shape[1::-1] == self._size:
            return drawn.copy()
        return np.asarray(cv2.resize(drawn, self._size, interpolation=cv2.INTER_LINEAR), np.uint8)

    def _picture(self, backdrop: Backdrop) -> UInt8Array:
        if backdrop not in self._behind:
            self._behind.clear()
            self._behind[backdrop] = self._load(backdrop)
        return self._behind[backdrop]

    def _load(self, backdrop: Backdrop) -> UInt8Array:
        width, height = self._size
        if backdrop.picture is not None:
            return load_background(Picture(backdrop.picture), width, height)
        blurred = self._actor.avatar.source.backdrop
        if blurred is None:
            return np.full((height, width, 3), 200, np.uint8)
        side = max(width, height)
        large = cv2.resize(blurred, (side, side), interpolation=cv2.INTER_CUBIC)
        top, left = (side - height) // 2, (side - width) // 2
        return np.ascontiguousarray(large[top : top + height, left : left + width], np.uint8)


def _mark_badge(picture: UInt8Array, badge: str) -> None:
    """Make the badge opaque in a two-up matte."""
    half = picture.shape[1] // 2
    shown = np.zeros((picture.shape[0], half, 3), np.uint8)
    stamp(shown, badge)
    picture[:, half:][shown.any(2)] = 255
