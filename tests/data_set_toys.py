"""A data set of a toy avatar with one look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from attribute_toys import toy_attribute
from offline.animation.guide_maps import GuideMaps
from offline.animation.motion import training_motion
from offline.dataset.layout import (
    BACKGROUND,
    AvatarEntry,
    DatasetFrame,
    LookEntry,
    LookSource,
    Manifest,
    MotionEntry,
)
from offline.dataset.manifest import write_manifest
from offline.dataset.tracks import tracks_of, write_tracks
from offline.dataset.transforms import write_transforms
from offline.dataset.writing import frame_files, write_frame
from offline.editing.contract import View
from offline.editing.look_pictures import LookRenderer
from perse_live.animator import Animator
from perse_live.attribute_blending import with_attributes
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.splatting.cpu import CpuRasterizer

SIDE, TRAIN, TEST = 96, 10, 3
CENTRE, RADIUS = (0.02, 0.05, 0.08), 0.03
"""Of the ball that `hat` adds, metres in the head frame; its Gaussians are 8 mm large."""


def hat(avatar: Avatar) -> Attribute:
    """A ball of opaque Gaussians of one colour before the head, and base Gaussians recoloured."""
    look = toy_attribute(avatar, "hat-toy", "hat", moved=0, on_surface=0, free=60)
    directions = np.random.default_rng(5).normal(size=(60, 3))
    directions *= RADIUS / np.linalg.norm(directions, axis=1, keepdims=True)
    rigid = replace(
        look.added.rigid,
        means=(directions + np.array(CENTRE)).astype(np.float32),
        scales=np.full((60, 3), 0.008, np.float32),
        head_weights=np.ones(60, np.float32),
    )
    added = replace(
        look.added,
        rigid=rigid,
        opacities=np.full(60, 0.95, np.float32),
        colors=np.tile(np.array([0.9, 0.2, 0.1], np.float32), (60, 1)),
    )
    return replace(look, added=added)


def depth_of(avatar: Avatar, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Depth (H, W) in metres and alpha."""
    gaussians = Animator(avatar, threads=1).pose(view.expression, view.gaze, view.pose)
    depths = np.repeat(gaussians.means[:, 2:], 3, 1)
    drawn = CpuRasterizer(SIDE, SIDE, threads=1).render_float(
        replace(gaussians, colors=depths), view.camera, background=(0.0, 0.0, 0.0)
    )
    alpha = drawn[..., 3]
    return np.where(alpha > 0.1, drawn[..., 0] / np.maximum(alpha, 0.1), 0), alpha


def write_data_set(
    root: Path,
    avatar: Avatar,
    look: Attribute,
    *,
    manifest: bool = True,
    tracked: bool = False,
) -> None:
    """One look, and the person as they are. tracked: whether the look's points are tracked."""
    camera = avatar.source.camera.resized(SIDE, SIDE)
    motion = training_motion(avatar, TRAIN + TEST)
    looked = with_attributes(replace(avatar, attributes=(look,)), (look,), {look.name: 1.0})
    for name, shown, drawn in (("source", avatar, None), (look.name, looked, look)):
        renderer = LookRenderer(avatar, camera, drawn)
        folder = root / name if manifest else root
        for kind in ("rgb", "alpha", "part", "depth", "normals", "semantic", "landmarks"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        frames: list[DatasetFrame] = []
        for k, moment in enumerate(motion):
            view = View(camera, moment.pose, moment.expression, moment.gaze)
            depth, alpha = depth_of(replace(shown, attributes=()), view)
            maps = GuideMaps(
                np.rint(255 * renderer.picture(view, background=(1.0, 1.0, 1.0))).astype(np.uint8),
                np.rint(255 * alpha).astype(np.uint8),
                depth.astype(np.float32),
                np.zeros((SIDE, SIDE, 3), np.float32),
                np.zeros((SIDE, SIDE), np.uint8),
                np.zeros((478, 3), np.float32),
            )
            part = None if drawn is None else np.rint(255 * renderer.mask(view)).astype(np.uint8)
            frames.append(
                DatasetFrame(
                    k,
                    "train" if k < TRAIN else "test",
                    camera,
                    moment.pose,
                    moment.expression,
                    moment.gaze,
                    frame_files(folder, k, part=part is not None),
                    BACKGROUND,
                )
            )
            write_frame(frames[-1], maps.rgb, part, maps)
        tracks = tracks_of(avatar, drawn, frames) if tracked and drawn is not None else None
        write_transforms(folder, frames, None if tracks is None else write_tracks(folder, tracks))
    if manifest:
        entries = (
            LookEntry("source", "As they are", "", None, "rig", LookSource("source")),
            LookEntry(look.name, look.label, look.slot, "hat", "rig", LookSource("built-in")),
        )
        who = AvatarEntry("0" * 64, "0" * 64, "the tests", "2026-11-29", ())
        kind = MotionEntry("built-in", 0)
        write_manifest(
            root, Manifest("the tests", "2026-11-29", who, kind, TRAIN + TEST, TRAIN, SIDE, entries)
        )
