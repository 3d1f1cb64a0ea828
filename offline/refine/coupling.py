"""Coupling of neighbours' colours in refinement; Gaussians that the photo does not show follow those that it shows.

Refinement sees one side of the head only. Without coupling, the cheek would change its tone at the limit of visibility, single
Gaussians at the silhouette would take the colours of hair, collar and background that share their pixels, and single ones of
lips and teeth would compensate for errors of fixed neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from offline.gaussian_layer import COLOR_RANGE, Layer
from offline.numeric import ramp, ratio
from offline.rig.photo_geometry import PhotoGeometry
from offline.texture.completion import extend_changes
from offline.texture.surface_graph import surface_graph
from perse_live.arrays import FloatArray
from perse_live.camera import Camera
from perse_live.regions import Region
from perse_live.splatting.contributions import contributions

# With hair too, specks of a portrait with blond strands (s7) rise from 2.6 to 3.2; with clothes, the astronaut's from 1.9 to 2.4.
_COUPLED = np.array([Region.SKIN, Region.LIPS, Region.SCALP, Region.BODY, Region.TEETH])
# Freedom of colour below which a Gaussian's pixels mix skin with other parts, and above which they show skin alone
_SURE = (0.3, 0.95)
# Visible fraction of a Gaussian's ellipse in the photo's view, from which it was fitted with the rest
_SEEN = (0.0, 0.05)
_LOOSE = 0.02  # stiffness between Gaussians that both show skin alone: moles and pores stay
_DOUBT = 10.0  # stiffness between a colour that the photo does not show at all and its completed one; at 1.3 the astronaut's face
# gains 1 dB, and has a dark spot on the lip at the corner of the smiling mouth
_MOUTH = 0.3  # least stiffness within lips and teeth; at 5 the astronaut's face loses 0.5 dB, at 0 teeth have yellow points


@dataclass(frozen=True, eq=False)
class CoupledSurface:
    """The S Gaussians of a layer whose colours are coupled to those of neighbours in the same region."""

    ids: NDArray[np.intp]
    """(S,) index in the layer."""
    rest: FloatArray
    """(S, 3) metres: on the template head where the rig carries them, else in the head frame."""
    parts: FloatArray
    """(S, K) membership in the K regions that are coupled, 0 or 1."""


def coupled_surface(layer: Layer, geometry: PhotoGeometry) -> CoupledSurface:
    """The coupled Gaussians of a layer in the photo's camera frame: skin, lips and teeth, where neighbours are similar."""
    on_rig, ids = layer.triangles >= 0, np.flatnonzero(np.isin(layer.regions, _COUPLED))
    triangles, means = (
        geometry.rig.triangles[np.maximum(layer.triangles[ids], 0)],
        layer.gaussians.means[ids],
    )
    offsets = (means - geometry.vertices[triangles].mean(1)) @ geometry.R_cam_head
    rest = np.where(
        on_rig[ids, None], geometry.template[triangles].mean(1) + offsets, geometry.to_head(means)
    )
    parts = layer.regions[ids, None] == _COUPLED
    return CoupledSurface(ids, rest, parts.astype(np.float64))


def color_prior(layer: Layer, geometry: PhotoGeometry) -> sp.csr_matrix:
    """(G, G) prior of the colours' changes (G, 3), as a quadratic form.

    The mean squared difference between neighbours of a region, with a high weight where the photo shows either of them poorly,
    and a low one where it shows both well; and the mean squared change of Gaussians that it shows poorly, which would compensate
    for errors of fixed neighbours.
    """
    surface, count = coupled_surface(layer, geometry), len(layer)
    if len(surface.ids) < 2:
        return sp.csr_matrix((count, count), dtype=np.float32)
    graph = surface_graph(surface.rest, surface.parts)
    low, high = _SURE
    freedom = layer.color_freedom[surface.ids]
    sure = np.clip((freedom - low) / (high - low), 0, 1)
    mouth = np.isin(layer.regions[surface.ids], (Region.LIPS, Region.TEETH))[graph.rows]
    stiffness = np.maximum(
        (1 - np.minimum(sure[graph.rows], sure[graph.columns])) ** 2 + _LOOSE, _MOUTH * mouth
    )
    difference = graph.difference
    of_surface = (
        difference.T @ sp.diags(stiffness * graph.weights / (3 * len(graph.rows))) @ difference
    )
    of_surface += sp.diags(_DOUBT * (1 - freedom) ** 2 / (3 * count))
    onto = sp.csr_matrix(
        (np.ones(len(surface.ids)), (surface.ids, np.arange(len(surface.ids)))),
        shape=(count, len(surface.ids)),
    )
    return (onto @ of_surface @ onto.T).tocsr().astype(np.float32)


def with_followed_changes(
    lifted: Layer, refined: Layer, geometry: PhotoGeometry, camera: Camera
) -> Layer:
    """The refined layer in which Gaussians that the photo does not show take the change of their neighbours in the same region.

    lifted, refined: the same Gaussians before and after refinement, camera frame.
    """
    surface, g = coupled_surface(refined, geometry), refined.gaussians
    if len(surface.ids) < 2:
        return refined
    area = 2 * np.pi * g.scales[:, 0] * g.scales[:, 1] * (camera.fx / g.means[:, 2]) ** 2
    seen = ramp(ratio(contributions(g, camera), area), *_SEEN)[surface.ids]
    start = lifted.gaussians.colors[surface.ids].astype(np.float64)
    changes = extend_changes(g.colors[surface.ids] - start, seen, surface.rest, surface.parts)
    colors = g.colors.copy()
    colors[surface.ids] = np.clip(start + changes, *COLOR_RANGE)
    return replace(refined, gaussians=replace(g, colors=colors))
