"""Steps: abrupt changes of the skin's colour across lines without a real change."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.evaluation.portraits.views import View, eye_distance, rest_places, share_of
from perse_live.head.landmarks import FACE_OVAL
from perse_live.raster import interpolate
from perse_live.regions import Region

# Eye distances: left out on each side of the line, and the width of a band next to it
_GAP, _BAND = (0.02, 0.07)
_BIN = 0.15  # eye distances along the line, of which one comparison is made
_FEWEST = 12  # pixels that a band needs in a bin
_SKIN = 0.9  # share of a pixel that skin must draw
_OPAQUE = 0.9
_BEHIND = 0.35  # eye distances behind the outline's nearest point, from where on a point is not of the face

Steps = dict[float, float]
"""Delta E by the number of the bin."""


def plane_steps(avatar: Avatar, views: Sequence[View], photo: View) -> float:
    """Steps across the symmetry plane, Delta E: the mean over the midline of the skin and the views.

    In bins of 0.15 eye distances along y, the mean colours of four bands along the line x = 0 are compared, two on each side,
    each 0.07 wide. A step is the difference across the line less the differences between the two bands of each side, as what
    goes on evenly is shading, and less the step that the photo's view has there. Below 0 counts as 0.
    """
    unit = eye_distance(avatar)

    def found(seen: View) -> Steps:
        places = rest_places(avatar, seen) / unit
        return binned_steps(
            seen, skin_pixels(avatar, seen), places[..., 0], np.floor(places[..., 1] / _BIN)
        )

    return mean_excess([found(one) for one in views], found(photo))


def border_steps(avatar: Avatar, views: Sequence[View], photo: View) -> float:
    """Steps across the outline of the face, against ears, neck and temples, Delta E; measured as `plane_steps`.

    Bins are the 36 segments of MediaPipe's face oval, in every view in which they are seen. Hair that crosses it does not count.
    """
    across, along = outline_coordinates(avatar)
    unit = eye_distance(avatar)

    def found(seen: View) -> Steps:
        triangles = avatar.rig.triangles[seen.triangles]
        segment = along[triangles[np.maximum(seen.mesh.triangle_ids, 0), 0]]
        return binned_steps(
            seen,
            skin_pixels(avatar, seen),
            interpolate(across, triangles, seen.mesh) / unit,
            segment,
        )

    return mean_excess([found(one) for one in views], found(photo))


def mean_excess(found: Sequence[Steps], photo: Steps) -> float:
    """The mean over bins and views of steps less the photo's step in the same bin, where these are smaller."""
    excess = [
        max(step - photo.get(place, 0.0), 0.0) for steps in found for place, step in steps.items()
    ]
    return float(np.mean(excess)) if excess else 0.0


def skin_pixels(avatar: Avatar, seen: View) -> BoolArray:
    """(H, W) pixels that show the head's skin and are on the rig."""
    return (
        seen.mesh.covered & (seen.alpha > _OPAQUE) & (share_of(avatar, seen, Region.SKIN) > _SKIN)
    )


def binned_steps(seen: View, skin: BoolArray, across: FloatArray, along: FloatArray) -> Steps:
    """The step in each bin that has enough pixels in all four bands.

    skin: (H, W); across: (H, W) signed distance from the line, eye distances; along: (H, W) whole number of the bin.
    """
    bands = np.full(across.shape, -1)
    for band, (near, far) in enumerate(((_GAP, _GAP + _BAND), (_GAP + _BAND, _GAP + 2 * _BAND))):
        bands[(across >= near) & (across < far)] = 2 + band
        bands[(across <= -near) & (across > -far)] = 1 - band
    used = skin & (bands >= 0)
    values, bins = np.unique(along[used], return_inverse=True)
    keys, size = bins * 4 + bands[used], len(values) * 4
    counts = np.bincount(keys, minlength=size).reshape(-1, 4)
    lab = seen.lab[used].astype(np.float64)
    sums = np.stack([np.bincount(keys, lab[:, k], size) for k in range(3)], 1).reshape(-1, 4, 3)
    means = sums / np.maximum(counts, 1)[..., None]
    inner, step, outer = (np.linalg.norm(means[:, k + 1] - means[:, k], axis=1) for k in range(3))
    enough = counts.min(1) >= _FEWEST
    return dict(
        zip(
            values[enough].tolist(),
            np.maximum(step - inner - outer, 0.0)[enough].tolist(),
            strict=True,
        )
    )


def outline_coordinates(avatar: Avatar) -> tuple[Float32Array, Float32Array]:
    """Where the rig's vertices lie by the face's outline, the closed line through MediaPipe's 36 landmarks of the face oval.

    Returns signed distances (V,), metres, > 0 inside, and the number (V,) of the landmark that begins the nearest segment.
    """
    vertices = avatar.rig.vertices.astype(np.float64)
    starts = neutral_landmarks(avatar)[list(FACE_OVAL)].astype(np.float64)
    edges = np.roll(starts, -1, 0) - starts
    share = ((vertices[:, None] - starts) * edges).sum(2) / np.maximum((edges**2).sum(1), 1e-12)
    nearest = starts + np.clip(share, 0, 1)[..., None] * edges
    apart = np.linalg.norm(vertices[:, None] - nearest, axis=2)
    segment = apart.argmin(1)
    rows = np.arange(len(vertices))
    polygon = np.ascontiguousarray(starts[:, None, :2], np.float32)
    inside = np.array(
        [
            cv2.pointPolygonTest(polygon, (float(x), float(y)), False) >= 0
            for x, y in vertices[:, :2]
        ]
    )
    inside &= vertices[:, 2] > nearest[rows, segment, 2] - _BEHIND * eye_distance(avatar)
    return (np.where(inside, 1, -1) * apart[rows, segment]).astype(np.float32), segment.astype(
        np.float32
    )
