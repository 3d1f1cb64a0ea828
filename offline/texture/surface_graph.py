"""Points of a surface as a graph: differences between neighbours, and the mean over mirror points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu
from scipy.spatial import KDTree

from offline.numeric import ratio
from offline.priors import SAME_PLACE
from perse_live.arrays import Float64Array, FloatArray

NEIGHBOURS = 8
"""Edges of each point."""
_BARRIER = 6.0  # logarithm by which an edge between different parts is weaker: colours hardly spread between lips and skin
_MIRRORS = 3  # nearest points of a mirrored place that are mixed


@dataclass(frozen=True, eq=False)
class SurfaceGraph:
    """N points, each with edges to its k nearest neighbours."""

    rows: NDArray[np.intp]
    """(N k,) the point of each edge."""
    columns: NDArray[np.intp]
    """(N k,) its neighbour."""
    weights: Float64Array
    """(N k,) 1 within a part, less across a border."""

    @property
    def difference(self) -> sp.csr_matrix:
        """(N k, N) takes values at the points to their differences along the edges."""
        edges, ones = np.arange(len(self.rows)), np.ones(len(self.rows))
        return sp.csr_matrix(
            (np.r_[ones, -ones], (np.r_[edges, edges], np.r_[self.rows, self.columns]))
        )

    def edge_mean(self, values: FloatArray) -> FloatArray:
        """Mean (N k,) of a quantity (N,) over the two points of each edge."""
        return 0.5 * (values[self.rows] + values[self.columns])


def surface_graph(positions: FloatArray, parts: FloatArray) -> SurfaceGraph:
    """Connect points (N, 3), metres, to their nearest neighbours.

    parts: (N, K) memberships in [0, 1] of K parts whose borders colours do not cross.
    """
    count = len(positions)
    found = np.asarray(KDTree(positions).query(positions, k=min(NEIGHBOURS + 1, count))[1])
    columns = found[:, 1:].reshape(-1)
    rows = np.repeat(np.arange(count), found.shape[1] - 1)
    return SurfaceGraph(
        rows,
        columns,
        np.exp(-_BARRIER * np.abs(parts[rows] - parts[columns]).sum(1)).astype(np.float64),
    )


def mirror_matrix(rest: FloatArray) -> sp.csr_matrix:
    """(N, N) takes values at points to those at their mirror places: a row is 0 where no point lies near.

    rest: (N, 3) metres on the template head, whose symmetry plane is x = 0.
    """
    count = len(rest)
    distance, found = KDTree(rest).query(rest * np.array([-1, 1, 1]), k=min(_MIRRORS, count))
    share = np.exp(-((distance / SAME_PLACE) ** 2)) / (distance + 1e-4)
    share = np.where(distance[:, :1] < SAME_PLACE, ratio(share, share.sum(1, keepdims=True)), 0)
    rows = np.repeat(np.arange(count), share.shape[1])
    return sp.csr_matrix((share.ravel(), (rows, np.asarray(found).ravel())), shape=(count, count))


def solve(system: sp.csr_matrix, right: FloatArray) -> Float64Array:
    """Solve normal equations by sparse LU decomposition, whose cost hardly depends on the weights.

    system: (N, N) symmetric, positive definite; right: (N, C). Returns (N, C).
    """
    factors = splu(
        sp.csc_matrix(system), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}
    )
    return np.asarray(factors.solve(np.asarray(right, np.float64)), np.float64)
