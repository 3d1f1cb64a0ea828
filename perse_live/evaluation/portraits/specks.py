"""Specks: Gaussians whose colour is an outlier among their neighbours of the same region."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perse_live.arrays import Float32Array, FloatArray
from perse_live.avatar import Avatar
from perse_live.evaluation.portraits.views import View, drawn_by, lab_of
from perse_live.extras import missing_extra

_NEIGHBOURS = 24
_ALIKE = 0.4  # share of the neighbours that a colour must be near to: at the edge of a patch nearly half of them are
_TOLERANCE = 8.0  # Delta E; a smaller difference between neighbours is texture
_SPREADS = 3.0  # median absolute deviations of the neighbours, beyond which a colour is an outlier
_SEEN = 0.05  # pixels that a Gaussian must draw in some view to count, also as a neighbour


def specks(avatar: Avatar, turned: Sequence[View], photo: View) -> float:
    """The mean excess of colour differences over the person's picture, Delta E, that the photo does not show.

    For each Gaussian: the 0.4 quantile of the Delta E between its colour and those of its 24 nearest neighbours of the same
    region (at rest, in space), less the larger of 8 and three times the neighbours' median difference from their median
    colour; below 0 counts as 0. So neither texture nor the edge of a patch is a speck. The mean over all Gaussians is weighted
    by the pixels that each draws in the turned views beyond those that it draws in the photo's view: what is seen there, such
    as a pattern of the clothes, is judged by the person's dB.
    """
    drawn = np.mean([drawn_by(one) for one in turned], 0)
    unseen = np.maximum(drawn - drawn_by(photo), 0.0)
    return float((color_excess(avatar, drawn) * unseen).sum() / max(float(drawn.sum()), 1.0))


def color_excess(avatar: Avatar, drawn: FloatArray) -> Float32Array:
    """By how much each Gaussian's colour is an outlier, (G,) Delta E >= 0; drawn: (G,) pixels that each draws."""
    try:
        from scipy.spatial import KDTree
    except ModuleNotFoundError as error:
        raise missing_extra("finding specks", "offline", error) from error

    lab, places = lab_of(avatar.colors), rest_means(avatar)
    excess = np.zeros(len(avatar), np.float32)
    for region in np.unique(avatar.regions):
        ids = np.flatnonzero((avatar.regions == region) & (drawn > _SEEN))
        if len(ids) <= _NEIGHBOURS:
            continue
        found = np.asarray(KDTree(places[ids]).query(places[ids], _NEIGHBOURS + 1)[1])
        around = lab[ids[found[:, 1:]]]
        middle = np.median(around, 1)
        usual = np.median(np.linalg.norm(around - middle[:, None], axis=2), 1)
        apart = np.quantile(np.linalg.norm(around - lab[ids][:, None], axis=2), _ALIKE, axis=1)
        excess[ids] = np.maximum(apart - np.maximum(_TOLERANCE, _SPREADS * usual), 0.0)
    return excess


def rest_means(avatar: Avatar) -> FloatArray:
    """Where the Gaussians lie on the rig at rest, (G, 3) metres, head frame."""
    surface, rig = avatar.surface, avatar.rig
    v0, v1, v2 = (
        rig.vertices[rig.triangles[surface.triangles, corner]].astype(np.float64)
        for corner in range(3)
    )
    e1, e2 = v1 - v0, v2 - v0
    normal = np.cross(e1, e2)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    b1, b2, lift = (surface.positions[:, k : k + 1] for k in range(3))
    return np.concatenate([v0 + b1 * e1 + b2 * e2 + lift * normal, avatar.rigid.means])
