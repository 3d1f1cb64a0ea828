"""How a live picture is framed: head and shoulders, cut at the bottom where the shoulders are complete."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.camera import Camera

_SOLID = 128  # of 255, alpha of counts as visible
# Of the person's height: air above the head; cut from the bottom, as shoulders rise a little
_HEADROOM, _BELOW = (0.16, 0.045)
_MIN_SHARE = 0.45  # of the photo's height that is shown at least


@dataclass(frozen=True)
class View:
    """A window of the photo's picture, its sides in shares of the photo's height."""

    center: float
    """Of the photo's height, from the photo's vertical middle line, rightwards."""
    top: float
    bottom: float


def view_of(alpha: UInt8Array) -> View:
    """The window that frames head and shoulders.

    alpha: (H, W) of the avatar in the photo's camera, facing it, at rest.
    """
    height, width = alpha.shape
    solid = alpha > _SOLID
    rows = np.nonzero(solid.sum(1) > 0.02 * width)[0]
    if not len(rows):
        return View(0.0, 0.0, 1.0)
    top, end = int(rows[0]), int(rows[-1]) + 1
    tall = end - top
    bottom = end - _BELOW * tall
    upper = max(0.0, top - _HEADROOM * tall) if end >= height - 1 else top - _HEADROOM * tall
    upper = min(upper, bottom - _MIN_SHARE * height)
    head = solid[top : top + max(1, tall // 2)]
    columns = np.nonzero(head.any(0))[0]
    center = (float(columns[0] + columns[-1] + 1) / 2 - width / 2) / height
    return View(center, upper / height, bottom / height)


def camera_of(source: Camera, view: View, width: int, height: int) -> Camera:
    """The photo's camera, looking only at a view, for pictures of a size in pixels."""
    zoom = height / ((view.bottom - view.top) * source.height)
    left = source.width / 2 + view.center * source.height - width / (2 * zoom)
    top = view.top * source.height
    return replace(
        source,
        width=width,
        height=height,
        fx=source.fx * zoom,
        fy=source.fy * zoom,
        cx=(source.cx - left) * zoom,
        cy=(source.cy - top) * zoom,
    )
