"""Skin that the photo does not show follows the skin beside it through refinement.

Refinement sees one side of the head only. Left alone, the cheek would change its tone where the photo's view of it ends, and
single Gaussians at the silhouette would take the colours of hair, collar and background that share their pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from offline.gaussian_layer import Layer
from offline.numeric import ramp
from offline.rig.photo_geometry import PhotoGeometry
from offline.texture.completion import extend_changes
from offline.texture.surface_graph import surface_graph
from perse_live.arrays import FloatArray
from perse_live.camera import Camera
from perse_live.regions import Region
from perse_live.splatting.contributions import contributions

_SKIN = (Region.SKIN, Region.LIPS, Region.SCALP, Region.BODY)
_SURE = (0.3, 0.95)  # freedom of colour between which a Gaussian's pixels mix skin with something else, and show skin alone
_SEEN = (0.0, 0.05)  # share of its ellipse that a Gaussian draws in the photo's view: what shows at all was fitted with the rest
_LOOSE = 0.02  # stiffness between Gaussians that both show skin alone: moles and pores stay


@dataclass(frozen=True, eq=False)
class SkinOfLayer:
    """The S Gaussians of a layer that lie on the rig's skin."""

    ids: NDArray[np.intp]
    """(S,) index in the layer."""
    rest: FloatArray
    """(S, 3) metres on the template head."""
    parts: FloatArray
    """(S, 3) membership in lips, scalp and body; 0 for plain skin."""


def skin_of(layer: Layer, geometry: PhotoGeometry) -> SkinOfLayer:
    """Find the skin of a layer in the photo's camera frame."""
    ids = np.flatnonzero(np.isin(layer.regions, _SKIN) & (layer.triangles >= 0))
    triangles = geometry.rig.triangles[layer.triangles[ids]]
    offsets = (layer.gaussians.means[ids] - geometry.vertices[triangles].mean(1)) @ geometry.R_cam_head
    parts = layer.regions[ids, None] == np.array([Region.LIPS, Region.SCALP, Region.BODY])
    return SkinOfLayer(ids, geometry.template[triangles].mean(1) + offsets, parts.astype(np.float64))


def color_laplacian(layer: Layer, geometry: PhotoGeometry) -> sp.csr_matrix:
    """(G, G) the mean squared difference between neighbours on the skin, as a quadratic form of a quantity (G, 3).

    Neighbours are tied firmly where the photo shows either of them poorly, and hardly where it shows both well.
    """
    skin, count = skin_of(layer, geometry), len(layer)
    if len(skin.ids) < 2:
        return sp.csr_matrix((count, count), dtype=np.float32)
    graph = surface_graph(skin.rest, skin.parts)
    low, high = _SURE
    sure = np.clip((layer.color_freedom[skin.ids] - low) / (high - low), 0, 1)
    stiffness = (1 - np.minimum(sure[graph.rows], sure[graph.columns])) ** 2 + _LOOSE
    difference = graph.difference
    of_skin = difference.T @ sp.diags(stiffness * graph.weights / (3 * len(graph.rows))) @ difference
    onto = sp.csr_matrix((np.ones(len(skin.ids)), (skin.ids, np.arange(len(skin.ids)))), shape=(count, len(skin.ids)))
    return (onto @ of_skin @ onto.T).tocsr().astype(np.float32)


def with_followed_changes(lifted: Layer, refined: Layer, geometry: PhotoGeometry, camera: Camera) -> Layer:
    """The refined layer, on whose skin what the photo does not show has changed as its neighbours have.

    lifted, refined: the same Gaussians before and after refinement, camera frame.
    """
    skin, g = skin_of(refined, geometry), refined.gaussians
    if len(skin.ids) < 2:
        return refined
    pixels = camera.fx / np.maximum(g.means[:, 2], 1e-6)
    area = 2 * np.pi * g.scales[:, 0] * g.scales[:, 1] * pixels**2
    seen = ramp(contributions(g, camera) / np.maximum(area, 1e-9), *_SEEN)[skin.ids]
    start = lifted.gaussians.colors[skin.ids].astype(np.float64)
    changes = extend_changes(g.colors[skin.ids] - start, seen, skin.rest, skin.parts)
    colors = g.colors.copy()
    colors[skin.ids] = np.clip(start + changes, 0.002, 0.998)
    return replace(refined, gaussians=replace(g, colors=colors))
