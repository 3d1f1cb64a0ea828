"""Fewer Gaussians for slow machines: hair and clothes are drawn with larger ones in smaller number; the face stays as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perse_live.animate import RigidBinding, SurfaceBinding
from perse_live.arrays import FloatArray, Int32Array
from perse_live.avatar import Avatar
from perse_live.regions import Region

_FACE = (Region.SKIN, Region.LIPS, Region.EYE, Region.TEETH, Region.TONGUE, Region.MOUTH)


def kept_gaussians(avatar: Avatar, share: float) -> Int32Array:
    """Which Gaussians (N,) a thinned avatar keeps, in their order: all of the face, a share in (0, 1] of the others."""
    return np.nonzero(np.isin(avatar.regions, _FACE) | (_order(avatar) < share))[0].astype(np.int32)


def share_for(avatar: Avatar, most: int) -> float:
    """Share of the Gaussians beside the face with which no more than `most` are left, as far as that is possible: [0.1, 1]."""
    face = np.isin(avatar.regions, _FACE)
    others = np.sort(_order(avatar)[~face])
    left = max(0, most - int(face.sum()))
    return 1.0 if left >= len(others) else max(0.1, float(others[left]))


def _order(avatar: Avatar) -> FloatArray:
    """Each Gaussian's place in [0, 1): of any share, those below it are evenly spread (golden ratio), and the same every time."""
    return np.modf(np.arange(len(avatar)) * 0.6180339887)[0]


def thinned(avatar: Avatar, share: float) -> Avatar:
    """The avatar with only `kept_gaussians`; those beside the face are enlarged so that they cover as much as all did."""
    kept = kept_gaussians(avatar, share)
    count = len(avatar.surface.triangles)
    on_surface, free = kept[kept < count], kept[kept >= count] - count
    growth = np.where(np.isin(avatar.regions, _FACE), 1.0, share**-0.5).astype(np.float32)[:, None]
    s, r = avatar.surface, avatar.rigid
    surface = SurfaceBinding(s.triangles[on_surface], s.positions[on_surface], s.axes[on_surface] * growth[on_surface],
                             s.thickness[on_surface], s.two_sided[on_surface])
    rigid = RigidBinding(r.means[free], r.quats[free], r.scales[free] * growth[free + count], r.head_weights[free])
    return replace(avatar, surface=surface, rigid=rigid, opacities=avatar.opacities[kept], colors=avatar.colors[kept],
                   regions=avatar.regions[kept])
