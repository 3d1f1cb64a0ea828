"""Colours of all points of the skin from those that the photo shows, by one weighted least-squares problem.

Unknowns are the points' colours r with the light divided out. Four terms hold them:

- data: r is what the photo shows, with a variance that grows as the point is seen less well;
- symmetry: differences between neighbours are those between their mirror points, where these are seen better and where both
  halves, as far as both are seen, agree (Poisson editing, Perez et al., SIGGRAPH 2003, with the other half as the source);
- smoothness: neighbours are alike where neither says anything; edges do not cross the borders of parts;
- expected tones: closed lids, which the photo does not show, have the tone of the skin above and below the eye.

All weights are continuous in the points' visibility, and so in the yaw of the photo: there are no separate cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.spatial import KDTree

from offline.priors import ENOUGH, PATCH, USUAL_SKIN
from offline.texture.light import estimate_light
from offline.texture.surface_graph import NEIGHBOURS, mirror_matrix, solve, surface_graph
from perse_live.arrays import BoolArray, Float32Array, FloatArray

SURE = 0.6
"""The confidence from which a point is reliable."""
_BOTH_SEEN = 0.3  # product of both halves' confidence from which they are compared
# inverse variance of the prior, the face's median albedo: it makes the system definite
_UNTOLD = 1e-3
# The inverse variance that pulls each change to zero, as a share of an edge's, 1 / step**2. Changes fade over some thirty points,
# a few centimetres.
_AT_REST = NEIGHBOURS / 30**2
# fraction of the skin's noise that completed points get: below 1, as Gaussians overlap
_GRAIN = 0.8
# Of lines of least absolute residuals: rounds; sRGB below which residuals count alike; a pull to level, relative to the weights
_LINE_ROUNDS, _LINE_NOISE, _LINE_RIDGE = (12, 0.01, 0.1)
# Standard deviations, sRGB after division by the shading, found on the nine sample portraits by `eval --portraits`: of the
# photo's colour at a point with confidence 1, its noise, and with confidence 0.5, skin mixed with neighbouring parts; of the
# difference between neighbours, and against that of their mirror points (at 0.05 far eyes stay blurred)
_SEEN, _DOUBTFUL, _STEP, _MIRRORED_STEP = 0.02, 0.15, 0.05, 0.025
# Difference between the two halves, where both are seen, at which symmetry counts 1/e: a shadow across one of them
_DISAGREEMENT = 0.12


@dataclass(frozen=True, eq=False)
class ExpectedTone:
    """Points whose tone follows from that of others in the same light: a closed lid's from the skin above and below the eye."""

    holds: FloatArray
    """(N,) in [0, 1]: how far it is known of each point."""
    across: FloatArray
    """(N,) a coordinate along which the tone changes evenly."""
    like: Sequence[BoolArray]
    """Groups of points (N,) seen in the same light; the tone is the mean of theirs. One of fewer than `PATCH` tells nothing."""
    least: float
    """The tone is at least this fraction of the brightest group's."""
    deviation: float
    """Standard deviation of a point's colour without light, sRGB. At 2.4 times `_STEP`, the colour that surrounds
    the points reaches over some six of them."""


def complete_colors(
    observed: FloatArray,  # (N, 3) sRGB
    confidence: FloatArray,  # (N,) in [0, 1]: how well the photo shows each
    positions: FloatArray,  # (N, 3) metres: neighbours here are neighbours on the skin
    rest: FloatArray,  # (N, 3) metres on the template head, for mirror points
    normals: FloatArray,  # (N, 3) unit, head frame
    parts: FloatArray,  # (N, K) memberships in [0, 1] of parts whose colours do not spread to their neighbours
    *,
    expected: Sequence[ExpectedTone] = (),
    rng: np.random.Generator,
) -> Float32Array:
    """Colours (N, 3) in [0, 1] for all points; see the module's text. The same `rng` state gives the same colours."""
    sure = confidence > SURE
    if sure.sum() < PATCH:
        return np.tile(np.array(USUAL_SKIN, np.float32), (len(observed), 1))
    bare = confidence * sure * (1 - parts.max(1, initial=0))
    light = estimate_light(observed, bare if bare.any() else confidence, normals)
    shading = light.shading(normals)
    albedo = observed / shading
    mirror = mirror_matrix(rest)
    mirrored = mirror @ confidence
    asked = np.flatnonzero(mirrored)
    mirrored[asked] *= _agreement(albedo, confidence, mirror, rest, rest[asked])
    tones = _expected_tones(observed, shading, expected)
    solved = _solve(albedo, confidence, mirrored, mirror, positions, parts, tones)
    colors = solved * shading
    invented = np.maximum(confidence, mirrored) < _BOTH_SEEN
    colors[invented] += (
        rng.normal(0, 1, (int(invented.sum()), 1)) * _GRAIN * _grain(observed, sure, positions)
    )
    return np.clip(colors, 0, 1).astype(np.float32)


def _solve(
    albedo: FloatArray,
    confidence: FloatArray,
    mirrored: FloatArray,
    mirror: sp.csr_matrix,
    positions: FloatArray,
    parts: FloatArray,
    tones: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """The albedo (N, 3).

    mirrored: (N,) confidence in the mirror points; tones: as of `_expected_tones`.
    """
    count, graph = len(albedo), surface_graph(positions, parts)
    difference = graph.difference
    against_mirror = difference @ (sp.identity(count, format="csr") - mirror)
    seen, other = graph.edge_mean(confidence), graph.edge_mean(mirrored)
    smooth = graph.weights * (1 - 0.98 * np.clip(np.maximum(seen, other), 0, 1)) / _STEP**2
    symmetric = graph.weights * other * (1 - seen) / _MIRRORED_STEP**2
    prior = (
        difference.T @ sp.diags(smooth) @ difference
        + against_mirror.T @ sp.diags(symmetric) @ against_mirror
    )
    typical, (tone, known) = np.median(albedo[confidence > SURE], 0), tones
    data = photo_precision(confidence)
    solved = solve(
        sp.diags(data + known + _UNTOLD) + prior,
        data[:, None] * albedo + known[:, None] * tone + _UNTOLD * typical,
    )
    return confidence[:, None] * albedo + (1 - confidence[:, None]) * solved


def _expected_tones(
    observed: FloatArray, shading: FloatArray, expected: Sequence[ExpectedTone]
) -> tuple[FloatArray, FloatArray]:
    """Expected colours (N, 3) without light, and their inverse variances (N,); 0 where none is known.

    The mean light on the points is that of their groups: what their own normals, of a shape that no photo shows, say of it is
    only how it varies among them.
    """
    tones, precision = np.zeros_like(shading), np.zeros(len(shading))
    for one in expected:
        known = [group for group in one.like if group.sum() >= PATCH]
        if known:
            held = one.holds > 0
            lines = [median_line(one.across[group], observed[group]) for group in known]
            groups = np.stack([start + np.outer(one.across[held], slope) for start, slope in lines])
            lit = np.maximum(groups.mean(0), one.least * groups.max(0))
            tones[held] = lit / np.average(shading[held], axis=0, weights=one.holds[held])
            precision[held] = one.holds[held] / one.deviation**2
    return tones, precision


def median_line(across: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Start and slope, (K,) each, of the lines through K quantities of N points with the least sum of absolute residuals.

    across: (N,); values: (N, K). Half of the points may be anything. By iteratively reweighted least squares.
    """
    middle, spread = float(np.median(across)), float(np.std(across))
    basis = np.stack([np.ones(len(across)), (across - middle) / spread], 1)
    weights, found = np.ones(len(across)), np.zeros((2, values.shape[1]))
    for _ in range(_LINE_ROUNDS):
        weighted = basis * weights[:, None]
        found = np.linalg.solve(
            weighted.T @ basis + _LINE_RIDGE * weights.sum() * np.diag([0, 1]), weighted.T @ values
        )
        weights = 1 / np.maximum(np.linalg.norm(values - basis @ found, axis=1), _LINE_NOISE)
    return found[0] - found[1] * middle / spread, found[1] / spread


def photo_precision(confidence: FloatArray) -> FloatArray:
    """Inverse variances (N,) of what the photo shows: the noise, and the more doubt the lower the confidence."""
    return confidence / (confidence * _SEEN**2 + (1 - confidence) * _DOUBTFUL**2)


def _agreement(
    albedo: FloatArray,
    confidence: FloatArray,
    mirror: sp.csr_matrix,
    rest: FloatArray,
    places: FloatArray,
) -> FloatArray:
    """How alike the two halves are near places (M, 3) on the template head, (M,) in [0, 1]; 1 where too little is seen of both to
    tell.
    """
    both = np.flatnonzero(confidence * (mirror @ confidence) > _BOTH_SEEN)
    if len(both) < ENOUGH:
        return np.ones(len(places))
    unlike = albedo[both] - (mirror @ albedo)[both]
    near = np.asarray(KDTree(rest[both]).query(places, k=ENOUGH)[1])
    return np.exp(-((np.linalg.norm(unlike[near].mean(1), axis=1) / _DISAGREEMENT) ** 2))


def _grain(observed: FloatArray, sure: BoolArray, positions: FloatArray) -> float:
    """Standard deviation of the skin's noise, sRGB: what well seen points differ by from the mean of their neighbours."""
    points, colors = positions[sure], observed[sure]
    near = np.asarray(KDTree(points).query(points, k=min(9, len(points)))[1])
    return float(np.clip((colors - colors[near].mean(1)).mean(1), -0.04, 0.04).std())


def extend_changes(
    changes: FloatArray,  # (N, 3) of colours that refinement has made
    seen: FloatArray,  # (N,) in [0, 1]: how far the photo shows each
    rest: FloatArray,  # (N, 3) metres on the template head
    parts: FloatArray,  # (N, K) as in `complete_colors`
) -> FloatArray:
    """Changes (N, 3) for all points: those that the photo shows keep theirs, the others follow their neighbours' (harmonic).

    Far from all that is seen, changes fade: each is pulled to zero with the inverse variance `_AT_REST / _STEP**2`.
    """
    graph = surface_graph(rest, parts)
    difference = graph.difference
    precision = photo_precision(seen)
    smooth = difference.T @ sp.diags(graph.weights / _STEP**2) @ difference
    system = sp.diags(precision + _AT_REST / _STEP**2) + smooth
    solved = solve(system, precision[:, None] * changes)
    return seen[:, None] * changes + (1 - seen[:, None]) * solved
