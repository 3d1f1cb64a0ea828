"""Which triangle of the rig the points of a look move with: known from the colours that they show in several pictures."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from scipy.spatial import KDTree

from offline.training.posed_avatar import DEPTH_TOLERANCE, PosedAvatar, SeenFrame
from offline.training.unprojection import Points
from perse_live.animate import (
    SurfaceBinding,
    bind_surface,
)
from perse_live.arrays import Float32Array
from perse_live.attributes import nothing_added
from perse_live.avatar import Avatar
from perse_live.gaussians import Gaussians
from perse_live.head.rig import Part

_CANDIDATES = 64  # triangles nearest to a point, to one of which it is bound
_OTHER_COLOR = 0.15  # mean difference of channels from which a pixel shows something else
_CLEARLY = 0.85  # part of the nearest triangle's error that another must keep to
_COLOR_SIGMA = 0.7  # pixels by which pictures are blurred before colours are compared


def rebound(
    avatar: Avatar, points: Points, unprojected: Sequence[SeenFrame], others: Sequence[SeenFrame]
) -> SurfaceBinding:
    """The points bound to those triangles with which they show the same colour in the other pictures.

    The nearest triangle need not be the one that a point moves with: the tips of a beard follow their roots, centimetres away.
    """
    surface, triangles = points.surface, avatar.rig.triangles
    skin = np.nonzero(avatar.rig.parts == Part.SKIN)[0]
    views = [PosedAvatar(avatar, one.frame) for one in others]
    colors = [_over_grey(one) for one in others]
    rebound = [np.array(array) for array in vars(surface).values()]
    for number, source in enumerate(unprojected):
        at = np.nonzero(points.pictures == number)[0]
        if not len(at):
            continue
        view = PosedAvatar(avatar, source.frame)
        mine = SurfaceBinding(*(array[at] for array in vars(surface).values()))
        shaped = view.gaussians_of(avatar, mine, points.rigid)
        corners = view.vertices[triangles[skin]]
        count = min(_CANDIDATES, len(skin))
        near = skin[KDTree(corners.mean(1)).query(shaped.means, k=count)[1]]
        # the triangle that it is bound to is the first candidate
        near[:, 1:] = np.where(near[:, 1:] == mine.triangles[:, None], near[:, :1], near[:, 1:])
        near[:, 0] = mine.triangles
        columns, rows, _ = view.pixels(shaped.means)
        wanted = _over_grey(source)[rows, columns][:, None]
        many = Gaussians(*(np.repeat(array, count, 0) for array in vars(shaped).values()))
        tried = bind_surface(
            many,
            near.reshape(-1),
            view.vertices,
            triangles,
            two_sided=np.ones(len(near) * count, np.uint8),
        )
        costs = np.zeros(near.shape, np.float32)
        for one, other, picture in zip(others, views, colors, strict=True):
            assert one.depth is not None
            means = other.posed(avatar, tried, nothing_added().rigid)
            columns, rows, on = other.pixels(means)
            apart = means[:, 2] - one.depth[rows, columns]
            seen = (on & (np.abs(apart) < DEPTH_TOLERANCE)).reshape(near.shape)
            off = np.abs(picture[rows, columns].reshape(*near.shape, 3) - wanted).mean(2)
            cost = np.where(seen, np.minimum(off, _OTHER_COLOR), _OTHER_COLOR)
            # pictures that do not show the point as it is bound now tell nothing
            costs += np.where(seen[:, :1], cost, 0)
        best = costs.argmin(1)
        clear = costs[np.arange(len(at)), best] < _CLEARLY * costs[:, 0]
        best = np.where(clear, best, 0)
        chosen = np.arange(len(at)) * count + best
        for array, values in zip(rebound, vars(tried).values(), strict=True):
            array[at] = values[chosen]
    rebound[-1] = surface.two_sided
    return SurfaceBinding(*rebound)


def _over_grey(one: SeenFrame) -> Float32Array:
    """The picture (H, W, 3), whichever backdrop it has, over the same, and a little blurred."""
    frame = one.frame
    image = frame.image
    if one.alpha is not None:
        image = image + (1 - one.alpha[..., None]) * (np.float32(0.5) - np.array(frame.backdrop))
    blurred = cv2.GaussianBlur(np.ascontiguousarray(image, np.float32), (0, 0), _COLOR_SIGMA)
    return np.asarray(blurred, np.float32)
