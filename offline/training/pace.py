"""How fast a look goes along its way as its weight grows: such that the picture changes evenly.

Areas grow with squares, hair lies upon hair, a hat covers more the farther down it comes, and a network is quick here and slow
there: a way that is even in lengths and opacities is not even to the eye. So the change of the picture along the way is measured
once, as it will be drawn, and its sum inverted (as a curve is parametrised by its arc length).
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

_STEPS = 40  # into which the way is cut
_SIDE = 224  # pixels of the pictures
_BACKDROP = (0.5, 0.5, 0.5)
_VIEWS = (
    (0.0, expression()),
    (25.0, expression()),
    (-12.0, expression(jawOpen=0.4, mouthSmileLeft=0.5, mouthSmileRight=0.5)),
)
_LEAST = 0.04  # share of the pace that is the even one, so that no part of the way is gone at once


def with_even_pace(avatar: Avatar, learned: LearnedAttribute) -> LearnedAttribute:
    """A look at the pace at which its pictures change evenly, in front, turned and talking alike (1 s).

    avatar: with a decoder, which attributes it has does not matter.
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
    """The pace (PACE_KNOTS,) along a way whose even steps change pictures so much, (views, steps); None where they do not."""
    totals = changes.sum(1, keepdims=True)
    if not (totals > 0).all():
        return None
    so_far = np.concatenate([[0.0], np.cumsum((changes / totals).mean(0))])
    shares = np.linspace(0, 1, len(so_far))
    weights = (1 - _LEAST) * so_far / so_far[-1] + _LEAST * shares
    return np.interp(np.linspace(0, 1, PACE_KNOTS), weights, shares).round(5).astype(np.float32)
