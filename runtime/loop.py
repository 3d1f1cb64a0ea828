"""A short loop of a performing avatar whose attributes fade in and out, for an animated picture."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.avatar import Avatar
from runtime.perform import performed
from runtime.performance import performance
from runtime.presence import ease
from runtime.stage import Stage

LOOP_FPS = 15
"""Frames per second; half of a film's, as animated pictures are large."""
_BACKGROUND = (0.80, 0.82, 0.84)  # sRGB
_FADE = 0.3  # share of an attribute's time in which it comes, and in which it goes


def loop_frames(avatar: Avatar, *, seconds: float, size: int) -> Iterator[UInt8Array]:
    """The frames of a loop, (size, size, 3) RGB: the built-in performance, and one attribute of each slot after the other.

    seconds: as for `performance`; size: pixels.
    """
    stage = Stage(avatar, avatar.source.camera.resized(size, size), threads=os.cpu_count() or 1)
    blender, names = (
        stage.attribute_blender(),
        list({one.slot: one.name for one in reversed(avatar.attributes)}.values())[::-1],
    )
    for frame in performance(seconds, LOOP_FPS):
        stage.set_avatar(blender.blend(_weights(names, frame.time / seconds)))
        yield stage.draw(performed(avatar, frame), background=_BACKGROUND).copy()


def _weights(names: Sequence[str], share: float) -> dict[str, float]:
    """Of the attribute whose turn it is, after the first and before the last tenth of the loop; share: of the loop, [0, 1]."""
    place = float(np.clip((share - 0.1) / 0.8, 0, 1)) * len(names)
    if not 0 < place < len(names):
        return {}
    within = place % 1
    return {names[int(place)]: ease(within / _FADE) * ease((1 - within) / _FADE)}
