"""Continuation of clothes, bare shoulders and hair below the frame, where a moving body would show that they end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offline.gaussian_layer import Layer, join
from perse_live.camera import Camera
from perse_live.regions import Region

# Pixels (eye distance 115) of the frame's lowest strip, and how many copies of it follow below: shoulders that breathe and lean
# rise by 20 to 30
_STRIP, _COPIES = 9.0, 4
_MOST = 900  # Gaussians below the frame
_WIDER = 1.2  # standard deviations of the copies over the originals', against gaps between strips
_CONTINUED = (Region.CLOTHES, Region.SKIN, Region.HAIR, Region.HAIR_BACK)


def with_strip_below(layer: Layer, camera: Camera, unit: float) -> Layer:
    """The layer with copies of the Gaussians in the frame's lowest strip shifted down; nothing where the person ends above.

    Their colours are evened across over as many pixels as they are shifted: details would repeat as stripes.
    unit: pixels, eye distance / 115. Gaussians on the rig's triangles are not copied, as the rig's own body goes on.
    """
    strip = _STRIP * unit
    columns, rows = camera.project(layer.gaussians.means).T
    lowest = (rows > camera.height - strip) & (rows <= camera.height) & (layer.triangles < 0)
    lowest &= np.isin(layer.regions, _CONTINUED)
    every = max(1, -(-int(lowest.sum()) * _COPIES // _MOST))
    kept = np.zeros(len(layer), np.bool_)
    kept[np.flatnonzero(lowest)[::every]] = True
    chosen, across = layer.select(kept), columns[kept]
    g = chosen.gaussians
    down = strip * g.means[:, 2:] / camera.fy * np.array([0, 1, 0], np.float32)
    wider = _WIDER * np.sqrt(every)
    size = np.array([wider, wider, 1], np.float32)
    apart = (across[:, None] - across) / strip

    def copy(k: int) -> Layer:
        near = np.exp(-0.5 * (apart / k) ** 2)
        colors = (near @ g.colors / near.sum(1, keepdims=True)).astype(np.float32)
        moved = replace(g, means=g.means + k * down, scales=g.scales * size, colors=colors)
        return replace(chosen, gaussians=moved)

    return join(layer, *map(copy, range(1, _COPIES + 1)))
