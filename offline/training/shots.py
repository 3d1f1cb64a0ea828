"""Renderings of an attribute, differentiable with respect to the network's outputs for each of its Gaussians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import cv2
import numpy as np
import torch

from offline.training.contract import BACKDROP, TrainingFrame
from offline.training.gaussian_rows import Rows, begin_of
from offline.training.rasterizers import ON_CPU, Drawing
from perse_live.animate import RigidBinding, SurfaceBinding, pose_gaussians, pose_vertices
from perse_live.arrays import Float32Array
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar, corrected
from perse_live.camera import Camera
from perse_live.decoder.features import into_binding
from perse_live.decoder.network import (
    COLOR,
    MAX_PLACE,
    MAX_SIZE,
    OPACITY,
    OUTPUTS,
    PLACE,
    PLACE_UNIT,
    SIZE,
)
from perse_live.gaussians import Gaussians
from perse_live.head.expressions import expression
from perse_live.poses import facing_pose
from perse_live.splatting.cpu import CpuRasterizer

_MARGIN = 6  # pixels rendered around the part
_WINDOW = 7  # pixels a side of the windows of SSIM
_SIMILARITY = 0.25  # weight of 1 - SSIM against L1, as in PERSE
_ELSEWHERE = 0.5  # weight of the region that must not change, relative to the part
_SIDE = 160  # pixels a side of pictures rendered here
_SEEN = 2 / 255  # change of a channel from which a pixel belongs to the look
# Yaw in degrees, and whether the avatar talks
_VIEWS = ((0.0, False), (26.0, True), (-26.0, False))
# Stages of the transition, and numbers of views
_ALONG = ((1.0, 0), (0.5, 0), (1.0, 1), (0.25, 0), (1.0, 2), (0.75, 1))
_TALKING = expression(
    jawOpen=0.4, mouthSmileLeft=0.5, mouthSmileRight=0.5, eyeBlinkLeft=0.3, eyeBlinkRight=0.3
)
_STEP = 0.02  # metres, step of the finite differences of a posed mean by its mean at rest; the dependence is linear


@dataclass(frozen=True, eq=False)
class Shot:
    """One training picture: the posed avatar, and the Gaussians that the attribute may change."""

    weight: float
    """Weight of the attribute in it, (0, 1]."""
    counts: float
    """Weight of the picture in the loss."""
    camera: Camera
    """Cropped to the part and its margin."""
    start: Gaussians
    """All Gaussians in the camera frame: base Gaussians, then added ones, these with initial means and opaque."""
    chosen: torch.Tensor
    """(n,) the attribute's rows among them."""
    facing: torch.Tensor
    """(n, 1) 0 for Gaussians that face away."""
    turns: torch.Tensor
    """(n, 3, 3) from displacements at rest to those in the camera frame."""
    grows: torch.Tensor
    """(n, 3) 1 for axes that the size scales."""
    target: torch.Tensor
    """(H, W, 3)"""
    part: torch.Tensor
    """(H, W, 1) in [0, 1]."""
    backdrop: tuple[float, float, float] = BACKDROP
    """sRGB behind the avatar."""
    drawing: Drawing = ON_CPU
    """Rasterizer and device."""

    def draw(
        self, out: torch.Tensor, before: torch.Tensor, shapes: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The picture (H, W, 3) for outputs (n, OUTPUTS) of the rows; before: (n, 1) their opacities without the attribute.

        shapes: (n, 6) what the network leaves as it is: rotations about the Gaussians' axes, as the vector part of a quaternion
        whose real part is 1, and logarithms of the factors of their scales.
        """
        means, quats, scales, opacities, colors, at, turns, grows, facing = self._on_device
        out, before = out.to(means.device), before.to(means.device)
        moved = (turns @ (out[:, PLACE].clamp(-MAX_PLACE, MAX_PLACE) * PLACE_UNIT)[:, :, None])[
            :, :, 0
        ]
        grown = torch.exp(out[:, SIZE : SIZE + 1].clamp(-MAX_SIZE, MAX_SIZE) * grows)
        shown = (before + out[:, OPACITY : OPACITY + 1]).clamp(0, 1) * facing
        if shapes is not None:
            shapes = shapes.to(means.device)
            quats = quats.index_copy(0, at, turned(quats[at], shapes[:, :3]))
            grown = grown * torch.exp(shapes[:, 3:])
        picture = self.drawing.splat(
            means.index_add(0, at, moved),
            quats,
            scales.index_copy(0, at, scales[at] * grown),
            opacities.index_copy(0, at, shown[:, 0]),
            colors.index_copy(0, at, (colors[at] + out[:, COLOR]).clamp(0, 1)),
            self.camera,
            background=self.backdrop,
            threads=1,
        )
        return picture[:, :, :3].cpu()

    @cached_property
    def _on_device(self) -> tuple[torch.Tensor, ...]:
        """The constant tensors on the rasterizer's device: the avatar is uploaded once, not at every step."""
        start = (
            torch.from_numpy(np.ascontiguousarray(array)) for array in vars(self.start).values()
        )
        return tuple(
            tensor.to(self.drawing.device)
            for tensor in (*start, self.chosen, self.turns, self.grows, self.facing)
        )

    def loss(
        self, out: torch.Tensor, before: torch.Tensor, shapes: torch.Tensor | None = None
    ) -> torch.Tensor:
        """L1 and SSIM inside the part; outside of it L1 against the avatar without the attribute. Arguments as in `draw`."""
        picture = self.draw(out, before, shapes)
        size = self.part.sum().clamp(min=1)
        beside = 1 - self.part
        within = ((picture - self.target).abs() * self.part).sum() / (3 * size)
        kept = ((picture - self.target).abs() * beside).sum() / (3 * beside.sum().clamp(min=1))
        unlike = ((1 - similarity(picture, self.target)) * self.part).sum() / (3 * size)
        return self.counts * (within + _SIMILARITY * unlike + _ELSEWHERE * kept)


def turned(quats: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
    """Quaternions (n, 4) wxyz times (1, rotations (n, 3)): rotated about their own axes; not of unit length."""
    w, v = quats[:, :1], quats[:, 1:]
    return torch.cat(
        [
            w - (v * rotations).sum(1, keepdim=True),
            v + w * rotations + torch.linalg.cross(v, rotations),
        ],
        1,
    )


class _WindowMean(torch.autograd.Function):
    """Means (H, W, C) over the windows of SSIM, of the pixels within the picture. OpenCV's box filter has the same cost for any
    window; torch's `avg_pool2d` took longer than drawing the picture and its gradient together.
    """

    @staticmethod
    def forward(ctx: Any, picture: torch.Tensor) -> torch.Tensor:
        ctx.counts = _window_sums(torch.ones_like(picture))
        return _window_sums(picture) / ctx.counts

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        return _window_sums(gradients[0] / ctx.counts)


def _window_sums(picture: torch.Tensor) -> torch.Tensor:
    sums = cv2.boxFilter(
        np.ascontiguousarray(picture.detach().numpy()),
        -1,
        (_WINDOW, _WINDOW),
        normalize=False,
        borderType=cv2.BORDER_CONSTANT,
    )
    return torch.from_numpy(sums).reshape(picture.shape)


def similarity(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """SSIM (Wang et al. 2004) of each pixel and channel, over windows of 7 pixels; (H, W, 3) both and out, on the CPU."""

    def mean(x: torch.Tensor) -> torch.Tensor:
        return cast("torch.Tensor", _WindowMean.apply(x))

    ma, mb = mean(one), mean(other)
    va, vb, both = (
        mean(one * one) - ma * ma,
        mean(other * other) - mb * mb,
        mean(one * other) - ma * mb,
    )
    return (
        (2 * ma * mb + 1e-4) * (2 * both + 9e-4) / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4))
    )


def shots_of(
    avatar: Avatar, look: Attribute, frames: Sequence[TrainingFrame], drawing: Drawing
) -> list[Shot]:
    """An editor's pictures. avatar: without attributes; outside of the part masks its rendering is the target."""
    moved = _with_moved_rig(avatar, look)
    return [_shot(moved, look, frame, drawing) for frame in frames if frame.part_mask.max() > 0]


def _shot(avatar: Avatar, look: Attribute, frame: TrainingFrame, drawing: Drawing) -> Shot:
    part = np.clip(frame.part_mask, 0, 1).astype(np.float32)
    rows, columns = np.nonzero(part > 0)
    top, left = max(int(rows.min()) - _MARGIN, 0), max(int(columns.min()) - _MARGIN, 0)
    bottom, right = (
        min(int(rows.max()) + 1 + _MARGIN, part.shape[0]),
        min(int(columns.max()) + 1 + _MARGIN, part.shape[1]),
    )
    camera = Camera(
        right - left,
        bottom - top,
        frame.camera.fx,
        frame.camera.fy,
        frame.camera.cx - left,
        frame.camera.cy - top,
    )
    part, image = part[top:bottom, left:right, None], frame.image[top:bottom, left:right]
    avatar = corrected(avatar, frame.expression, frame.gaze)
    own = posed(avatar, frame, avatar.surface, avatar.rigid, avatar.opacities, avatar.colors)
    bare = (
        CpuRasterizer(camera.width, camera.height, threads=1)
        .render_rgba(own, camera)
        .astype(np.float32)
    )
    bare = bare[..., :3] / 255 + (1 - bare[..., 3:] / 255) * np.array(frame.backdrop, np.float32)
    start, turns, grows = _all_posed(avatar, look, frame)
    chosen = np.concatenate([look.ids, np.arange(len(avatar), len(start))])
    facing = start.opacities[chosen] > 0
    return Shot(
        1.0,
        frame.weight,
        camera,
        start,
        torch.from_numpy(chosen.astype(np.int64)),
        torch.from_numpy(facing.astype(np.float32))[:, None],
        torch.from_numpy(turns[chosen]),
        torch.from_numpy(grows[chosen]),
        torch.from_numpy((part * image + (1 - part) * bare).astype(np.float32)),
        torch.from_numpy(part),
        frame.backdrop,
        drawing,
    )


def _all_posed(
    avatar: Avatar, look: Attribute, frame: TrainingFrame
) -> tuple[Gaussians, Float32Array, Float32Array]:
    """Base Gaussians, then added ones, opaque at their initial means; Jacobians (G', 3, 3) of displacements; scaled axes."""
    added, count = look.added, len(avatar)
    begin, free = begin_of(look)
    surface = SurfaceBinding(
        *(
            np.concatenate([getattr(one, name) for one in (avatar.surface, begin)])
            for name in vars(begin)
        )
    )
    rigid = RigidBinding(
        *(
            np.concatenate([getattr(one, name) for one in (avatar.rigid, free)])
            for name in vars(free)
        )
    )
    bound = len(surface.triangles)
    mine = len(avatar.surface.triangles)
    order = np.concatenate(
        [
            np.arange(mine),
            np.arange(bound, bound + count - mine),
            np.arange(mine, bound),
            np.arange(bound + count - mine, count + len(added)),
        ]
    )
    opacities = np.empty(count + len(added), np.float32)
    opacities[order] = np.concatenate(
        [np.maximum(avatar.opacities, 1e-6), np.ones(len(added), np.float32)]
    )
    colors = np.empty((count + len(added), 3), np.float32)
    colors[order] = np.concatenate([avatar.colors, added.colors])
    start = posed(avatar, frame, surface, rigid, opacities, colors)
    matrices = into_binding(avatar.rig, surface)
    columns: list[Float32Array] = []
    for axis in range(3):
        step = _STEP * np.eye(3, dtype=np.float32)[axis]
        there = (
            replace(surface, positions=surface.positions + matrices @ step),
            replace(rigid, means=rigid.means + step),
        )
        moved = posed(avatar, frame, *there, opacities, colors).means
        columns.append(((moved - start.means) / np.float32(_STEP)).astype(np.float32))
    grows = np.ones((len(opacities), 3), np.float32)
    grows[:bound, 2] = 0
    return (
        Gaussians(*(np.ascontiguousarray(array[order]) for array in vars(start).values())),
        np.stack(columns, 2)[order].astype(np.float32),
        grows[order],
    )


def posed(
    avatar: Avatar,
    frame: TrainingFrame,
    surface: SurfaceBinding,
    rigid: RigidBinding,
    opacities: Float32Array,
    colors: Float32Array,
) -> Gaussians:
    """Gaussians bound to the avatar's rig, posed, in the camera frame."""
    vertices = pose_vertices(avatar.rig, frame.expression, frame.gaze, frame.pose)
    return pose_gaussians(vertices, avatar.rig, surface, rigid, opacities, colors, frame.pose)


def views_of(avatar: Avatar, look: Attribute, drawing: Drawing = ON_CPU) -> list[Shot]:
    """Views of an attribute, frontal and turned, at rest and talking; without targets. avatar: without attributes."""
    camera = avatar.source.camera.resized(_SIDE, _SIDE)
    blank, whole = np.zeros((_SIDE, _SIDE, 3), np.float32), np.ones((_SIDE, _SIDE), np.float32)
    frames = [
        TrainingFrame(
            blank,
            whole,
            camera,
            facing_pose(avatar, yaw=yaw),
            _TALKING if talking else expression(),
            np.zeros((2, 2), np.float32),
        )
        for yaw, talking in _VIEWS
    ]
    return [_shot(avatar, look, frame, drawing) for frame in frames]


def shots_along(rows: Rows, views: Sequence[Shot]) -> list[Shot]:
    """Pictures of a known attribute during its transition and at weight 1, rendered from its rows; views: from `views_of`."""
    found: list[Shot] = []
    for weight, number in _ALONG:
        shot = replace(views[number], weight=weight)
        with torch.no_grad():
            target = shot.draw(rows.at(torch.full((len(rows), 1), weight)), rows.before)
            without = shot.draw(torch.zeros(len(rows), OUTPUTS), rows.before)
        part = ((target - without).abs().amax(2, keepdim=True) > _SEEN).float()
        if part.any():
            found.append(replace(shot, target=target, part=part))
    return found


def _with_moved_rig(avatar: Avatar, look: Attribute) -> Avatar:
    vertices = avatar.rig.vertices.copy()
    vertices[look.vertex_ids] += look.vertex_offsets
    return replace(avatar, rig=replace(avatar.rig, vertices=vertices))
