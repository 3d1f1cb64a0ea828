from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import KDTree

from hypothesis_profiles import examples
from offline.sampling import poisson_disk


def _patch(seed: int, size: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A bumpy sheet of 2 size^2 triangles, about 1 across."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : size + 1, 0 : size + 1] / size
    vertices = np.stack([x, y, 0.2 * rng.random(x.shape)], -1).reshape(-1, 3)
    a = (np.arange(size)[:, None] * (size + 1) + np.arange(size)).reshape(-1)
    b, c, d = a + 1, a + size + 1, a + size + 2
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
    return vertices, triangles.astype(np.int32)


@examples(25)
@given(st.integers(0, 2**32 - 1), st.floats(0.04, 0.3), st.floats(1.0, 4.0))
def test_points_lie_on_the_mesh_and_keep_their_distance(
    seed: int, finest: float, ratio: float
) -> None:
    vertices, triangles = _patch(seed)
    rng = np.random.default_rng(seed)
    spacing = rng.uniform(finest, finest * ratio, len(triangles))
    spacing[::3] = 0
    points = poisson_disk(vertices, triangles, spacing, rng=rng)
    assert len(points) > 0
    assert (points.barycentric >= 0).all()
    np.testing.assert_allclose(points.barycentric.sum(1), 1, atol=1e-5)
    assert not (points.triangle % 3 == 0).any()  # those triangles are to stay empty
    np.testing.assert_allclose(points.spacing, spacing[points.triangle], rtol=1e-6)
    positions = points.interpolate(vertices, triangles).astype(np.float64)
    pairs = KDTree(positions).query_pairs(float(spacing.max()), output_type="ndarray")
    apart = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    assert (apart >= points.spacing[pairs].min(1) * (1 - 1e-4)).all()


@examples(10)
@given(st.integers(0, 2**32 - 1))
def test_hardly_a_gap_is_left(seed: int) -> None:
    vertices, triangles = _patch(seed)
    points = poisson_disk(
        vertices, triangles, np.full(len(triangles), 0.08), rng=np.random.default_rng(seed)
    )
    positions = points.interpolate(vertices, triangles)
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet([1, 1, 1], 2000)
    anywhere = (
        vertices[triangles[rng.integers(0, len(triangles), 2000)]] * weights[..., None]
    ).sum(1)
    distance, _ = KDTree(positions).query(anywhere)
    assert (distance < 0.08).mean() > 0.98
    assert distance.max() < 0.13


def test_the_same_seed_gives_the_same_points() -> None:
    vertices, triangles = _patch(0)
    spacing = np.full(len(triangles), 0.1)
    first, second, other = (
        poisson_disk(vertices, triangles, spacing, rng=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.barycentric, second.barycentric)
    assert len(first) != len(other) or (first.barycentric != other.barycentric).any()


def test_nothing_where_no_triangle_is_to_be_filled() -> None:
    vertices, triangles = _patch(0)
    for spacing in (np.zeros(len(triangles)), np.full(len(triangles), -1.0)):
        points = poisson_disk(vertices, triangles, spacing, rng=np.random.default_rng(0))
        assert len(points) == 0
        assert points.interpolate(vertices, triangles).shape == (0, 3)


def test_interpolation_and_selection() -> None:
    vertices, triangles = _patch(3)
    points = poisson_disk(
        vertices, triangles, np.full(len(triangles), 0.15), rng=np.random.default_rng(0)
    )
    x, positions = (
        points.interpolate(vertices[:, 0], triangles),
        points.interpolate(vertices, triangles),
    )
    np.testing.assert_allclose(x, positions[:, 0], atol=1e-6)
    upper = points.interpolate(vertices[:, 1], triangles) > 0.5
    chosen = points.select(upper)
    assert 0 < len(chosen) == int(upper.sum())
    assert (chosen.interpolate(vertices[:, 1], triangles) > 0.5).all()
