"""Fewer Gaussians for slow machines: hair and clothes are drawn with fewer, larger ones.

The face, glasses and similar thin parts keep all theirs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perse_live.animate import RigidBinding, SurfaceBinding
from perse_live.arrays import BoolArray, FloatArray, Int32Array, UInt8Array
from perse_live.attributes import LearnedAttribute, Look
from perse_live.avatar import Avatar
from perse_live.correctives import LookCorrectives, selected
from perse_live.regions import Region

_WHOLE = (
    Region.SKIN,
    Region.LIPS,
    Region.EYE,
    Region.TEETH,
    Region.TONGUE,
    Region.MOUTH,
    Region.ACCESSORY,
)


def kept_gaussians(avatar: Avatar, share: float) -> Int32Array:
    """Which Gaussians (N,) a thinned avatar keeps, in their order: all of the face, a share in (0, 1] of the others."""
    return _kept(avatar.regions, share)


def share_for(avatar: Avatar, most: int) -> float:
    """Share of the Gaussians outside the face with which no more than `most` are left, as far as that is possible: [0.1, 1]."""
    face = np.isin(avatar.regions, _WHOLE)
    others = np.sort(_order(len(avatar))[~face])
    left = max(0, most - int(face.sum()))
    return 1.0 if left >= len(others) else max(0.1, float(others[left]))


def _kept(regions: UInt8Array, share: float) -> Int32Array:
    return np.nonzero(np.isin(regions, _WHOLE) | (_order(len(regions)) < share))[0].astype(np.int32)


def _order(count: int) -> FloatArray:
    """Each Gaussian's place in [0, 1): of any share, those below it are evenly spread (golden ratio), and the same every time."""
    return np.modf(np.arange(count) * 0.6180339887)[0]


def thinned(avatar: Avatar, share: float) -> Avatar:
    """The avatar with only `kept_gaussians`; those outside the face are enlarged to cover the same area as before.

    The Gaussians that its attributes add are thinned likewise.
    """
    kept = kept_gaussians(avatar, share)
    rows = np.full(len(avatar), -1, np.int32)
    rows[kept] = np.arange(len(kept))
    surface, rigid = _enlarged(avatar.surface, avatar.rigid, avatar.regions, kept, share)
    fewer = replace(avatar.correctives, deltas=selected(avatar.correctives.deltas, rows))
    return replace(
        avatar,
        surface=surface,
        rigid=rigid,
        opacities=avatar.opacities[kept],
        colors=avatar.colors[kept],
        regions=avatar.regions[kept],
        attributes=tuple(_thinned(one, rows, share) for one in avatar.attributes),
        correctives=fewer,
    )


def _thinned(attribute: Look, rows: Int32Array, share: float) -> Look:
    """rows: (G,) of the avatar's Gaussians in the thinned one, -1 where they are left out."""
    added, there = attribute.added, rows[attribute.ids] >= 0
    kept, count = _kept(added.regions, share), len(added.surface.triangles)
    surface, rigid = _enlarged(added.surface, added.rigid, added.regions, kept, share)
    correctives = attribute.correctives and _thinned_correctives(
        attribute.correctives, there, kept, len(added.regions)
    )
    if isinstance(attribute, LearnedAttribute):
        few = replace(
            attribute.added,
            surface=surface,
            rigid=rigid,
            colors=added.colors[kept],
            regions=added.regions[kept],
            codes=attribute.added.codes[kept],
        )
        return replace(
            attribute,
            ids=rows[attribute.ids[there]],
            codes=attribute.codes[there],
            added=few,
            correctives=correctives,
        )
    ends = attribute.added
    on, off = kept[kept < count], kept[kept >= count] - count
    fewer = replace(
        ends,
        surface=surface,
        surface_start=ends.surface_start[on],
        rigid=rigid,
        rigid_start=ends.rigid_start[off],
        opacities=ends.opacities[kept],
        colors=ends.colors[kept],
        regions=ends.regions[kept],
        appear=ends.appear[kept],
    )
    return replace(
        attribute,
        ids=rows[attribute.ids[there]],
        colors=attribute.colors[there],
        opacities=attribute.opacities[there],
        added=fewer,
        correctives=correctives,
    )


def _thinned_correctives(
    correctives: LookCorrectives, there: BoolArray, kept: Int32Array, added: int
) -> LookCorrectives:
    """there: (N,) which of the avatar's Gaussians that a look changes are left; kept: which of those that it adds, so many."""
    chosen = np.concatenate([np.nonzero(there)[0], len(there) + kept])
    rows = np.full(len(there) + added, -1, np.int32)
    rows[chosen] = np.arange(len(chosen))
    return LookCorrectives(correctives.kept[there], selected(correctives.deltas, rows))


def _enlarged(
    s: SurfaceBinding, r: RigidBinding, regions: UInt8Array, kept: Int32Array, share: float
) -> tuple[SurfaceBinding, RigidBinding]:
    """Those kept of Gaussians on the surface and rigid ones."""
    count = len(s.triangles)
    on, off = kept[kept < count], kept[kept >= count] - count
    growth = np.where(np.isin(regions, _WHOLE), 1.0, share**-0.5).astype(np.float32)[:, None]
    surface = SurfaceBinding(
        s.triangles[on], s.positions[on], s.axes[on] * growth[on], s.thickness[on], s.two_sided[on]
    )
    rigid = RigidBinding(
        r.means[off], r.quats[off], r.scales[off] * growth[off + count], r.head_weights[off]
    )
    return surface, rigid
