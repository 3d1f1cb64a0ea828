"""The mapping from an attribute's weight to the stage of its transition, such that the picture changes at a constant rate.

A transition that is linear in lengths and opacities does not look linear: areas grow with squares, hair occludes hair, and the
network's outputs change unevenly. So the change of rendered pictures along the transition is measured once, and its cumulative
sum inverted (parametrisation by arc length).
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from perse_live.animator import Animator
from perse_live.arrays import Float32Array, FloatArray
from perse_live.attribute_blender import AttributeBlender
from perse_live.attributes import PACE_KNOTS, LearnedAttribute
from perse_live.avatar import Avatar
from perse_live.head.expressions import expression
from perse_live.poses import facing_pose
from perse_live.splatting.cpu import CpuRasterizer

_STEPS = 28  # of the transition that are rendered
_SIDE = 352  # pixels of the pictures; at 224, hair finer than a pixel seems to come sooner than it does at 512
_BACKDROP = (0.5, 0.5, 0.5)
_VIEWS = (
    (0.0, expression()),
    (25.0, expression()),
    (-12.0, expression(jawOpen=0.4, mouthSmileLeft=0.5, mouthSmileRight=0.5)),
)
_LEAST = 0.04  # fraction of the linear mapping that is mixed in, so that no part of the transition is skipped


def with_even_pace(avatar: Avatar, learned: LearnedAttribute) -> LearnedAttribute:
    """The look with the mapping that makes its pictures change at a constant rate over frontal, turned and talking views (1 s).

    avatar: with a decoder; its attributes are ignored.
    """
    if not len(learned.added) and not len(learned.ids):
        return replace(learned, pace=None)
    alone = replace(avatar, attributes=(replace(learned, pace=None),))
    camera, still = avatar.source.camera.resized(_SIDE, _SIDE), np.zeros((2, 2), np.float32)
    blender, animator, rasterizer = (
        AttributeBlender(alone),
        Animator(alone, threads=1),
        CpuRasterizer(_SIDE, _SIDE, threads=1),
    )
    films: list[list[Float32Array]] = [[] for _ in _VIEWS]
    for share in np.linspace(0, 1, _STEPS + 1):
        animator.set_avatar(blender.blend({learned.name: float(share)}))
        for film, (yaw, doing) in zip(films, _VIEWS, strict=True):
            gaussians = animator.pose(doing, still, facing_pose(avatar, yaw=yaw))
            film.append(
                rasterizer.render_float(gaussians, camera, background=_BACKDROP)[..., :3].copy()
            )
    changes = np.array(
        [[float(np.abs(b - a).mean()) for a, b in itertools.pairwise(film)] for film in films]
    )
    return replace(learned, pace=pace_of(changes))


def pace_of(changes: FloatArray) -> Float32Array | None:
    """The mapping (PACE_KNOTS,) for changes (views, steps) of pictures between equal steps; None where nothing changes."""
    totals = changes.sum(1, keepdims=True)
    if not (totals > 0).all():
        return None
    so_far = np.concatenate([[0.0], np.cumsum((changes / totals).mean(0))])
    shares = np.linspace(0, 1, len(so_far))
    weights = (1 - _LEAST) * so_far / so_far[-1] + _LEAST * shares
    return np.interp(np.linspace(0, 1, PACE_KNOTS), weights, shares).round(5).astype(np.float32)
