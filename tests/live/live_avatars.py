"""Made-up avatars for tests of the live session: with hair, eyes and a backdrop, and in greys where colours would be mistaken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perse_live.arrays import FloatArray
from perse_live.avatar import Avatar
from perse_live.regions import Region
from toys import toy_avatar


def dressable_avatar(*, gaussians: int = 2000) -> Avatar:
    """A toy avatar that has hair, and eyes with a dark spot in front; what stood behind it was bluish."""
    toy = toy_avatar(gaussians=gaussians)
    rig = replace(
        toy.rig,
        eye_centers=toy.rig.eye_centers - np.array([0, 0, 0.016], np.float32),
        eye_radius=0.02,
    )
    count = len(toy.surface.triangles)
    regions, colors = toy.regions.copy(), toy.colors.copy()
    regions[count:] = Region.HAIR
    places = places_of(toy)
    for center in rig.eye_centers:
        near = np.nonzero(np.linalg.norm(places - center, axis=1) < 0.024)[0]
        regions[near] = Region.EYE
        colors[near] = 0.9
        middle = center + np.array([0, 0, 0.016])
        colors[near[np.linalg.norm(places[near] - middle, axis=1) < 0.009]] = 0.2
    backdrop = np.full((16, 16, 3), (60, 90, 140), np.uint8)
    return replace(
        toy, rig=rig, regions=regions, colors=colors, source=replace(toy.source, backdrop=backdrop)
    )


def grey_avatar(*, gaussians: int = 2000) -> Avatar:
    """A toy avatar without any colour before a grey backdrop: whatever is coloured in its picture comes from elsewhere."""
    toy = toy_avatar(gaussians=gaussians)
    colors = np.repeat(toy.colors[:, :1], 3, 1)
    return replace(
        toy, colors=colors, source=replace(toy.source, backdrop=np.full((16, 16, 3), 90, np.uint8))
    )


def places_of(avatar: Avatar) -> FloatArray:
    """Where its Gaussians on the surface lie at rest, (S, 3) metres."""
    surface, rig = avatar.surface, avatar.rig
    v0, v1, v2 = (rig.vertices[rig.triangles[surface.triangles, corner]] for corner in range(3))
    return v0 + surface.positions[:, :1] * (v1 - v0) + surface.positions[:, 1:2] * (v2 - v0)
