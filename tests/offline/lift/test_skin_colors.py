from __future__ import annotations

import numpy as np
import pytest

from offline.lift.skin import pulled_in
from offline.texture.skin_colors import ear_relief, infer_colors


@pytest.fixture(scope="module")
def half_face() -> tuple[np.ndarray, np.ndarray]:
    """Points on a symmetric dome, and whether the photo shows them: all but those far on one side."""
    rng = np.random.default_rng(0)
    plane = rng.uniform([0, -0.05], [0.05, 0.05], (1500, 2))
    plane = np.concatenate([plane, plane * [-1, 1]])
    points = np.column_stack([plane, 0.05 - 8 * (plane**2).sum(1)])
    return points, points[:, 0] > -0.01


def test_a_plain_face_stays_plain(half_face: tuple[np.ndarray, np.ndarray]) -> None:
    points, seen = half_face
    color = np.array([0.7, 0.5, 0.4])
    observed = np.where(seen[:, None], color, [0.0, 0.0, 1.0])  # what the photo shows of the hidden side is something else
    result = infer_colors(observed, seen.astype(float), points, points, np.zeros(len(points)), rng=np.random.default_rng(0))
    assert result.shape == (3000, 3)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, np.broadcast_to(color, result.shape), atol=0.01)


def test_what_is_seen_stays_and_its_detail_is_mirrored(half_face: tuple[np.ndarray, np.ndarray]) -> None:
    points, seen = half_face
    spots = 0.06 * np.sin(points[:, 1] * 600) * np.sin(np.abs(points[:, 0]) * 600)
    light = 1.5 * points[:, 0]  # one side lies in shadow
    truth = 0.5 + spots[:, None] + light[:, None] * np.array([1, 0.9, 0.8])
    observed = np.where(seen[:, None], truth, 0.0)
    result = infer_colors(observed, seen.astype(float), points, points, np.zeros(len(points)), rng=np.random.default_rng(0))
    np.testing.assert_allclose(result[seen], truth[seen], atol=1e-5)
    hidden = points[:, 0] < -0.02
    detail = result[hidden].mean(1) - result[hidden].mean()
    assert np.corrcoef(detail, spots[hidden])[0, 1] > 0.6
    assert abs(result[hidden].mean() - 0.5) < 0.12


def test_lips_and_skin_do_not_mix(half_face: tuple[np.ndarray, np.ndarray]) -> None:
    points, _ = half_face
    lips = (np.abs(points[:, 1]) < 0.01).astype(float)
    truth = np.where(lips[:, None] > 0, [0.8, 0.2, 0.2], [0.6, 0.6, 0.5])
    seen = np.abs(points[:, 0]) > 0.015  # a hand before the middle of the mouth
    observed = np.where(seen[:, None], truth, 0.0)
    result = infer_colors(observed, seen.astype(float), points, points, lips, rng=np.random.default_rng(0))
    assert np.abs(result - truth)[~seen & (lips > 0)].mean() < 0.05
    assert np.abs(result - truth)[~seen & (lips == 0)].mean() < 0.05


def test_half_trusted_colours_are_a_compromise(half_face: tuple[np.ndarray, np.ndarray]) -> None:
    points, seen = half_face
    confidence = np.where(seen, 1.0, 0.4)
    observed = np.where(seen[:, None], 0.6, 0.2)[:, [0, 0, 0]]
    result = infer_colors(observed, confidence, points, points, np.zeros(len(points)), rng=np.random.default_rng(0))
    far = points[:, 0] < -0.03
    assert (result[far] > 0.15).all()
    assert (result[far] < 0.6).all()


def test_a_photo_that_shows_no_skin_gives_some_skin(half_face: tuple[np.ndarray, np.ndarray]) -> None:
    points, _ = half_face
    nothing = np.zeros(len(points))
    result = infer_colors(np.zeros((len(points), 3)), nothing, points, points, nothing, rng=np.random.default_rng(0))
    assert (np.ptp(result, axis=0) == 0).all()
    assert (result[0, 0] > result[0, 2]).all()


def test_the_same_seed_gives_the_same_colours(half_face: tuple[np.ndarray, np.ndarray]) -> None:
    points, seen = half_face
    observed = np.random.default_rng(1).uniform(0.4, 0.6, (len(points), 3))
    no_lips = np.zeros(len(points))
    first, second = (infer_colors(observed, seen.astype(float), points, points, no_lips, rng=np.random.default_rng(seed))
                     for seed in (7, 7))
    np.testing.assert_array_equal(first, second)


def test_skin_that_reaches_out_is_pulled_in_and_what_is_far_off_stays() -> None:
    inside = np.zeros((60, 60), np.bool_)
    inside[:, :30] = True
    pixels = np.array([[10.5, 30.5], [31.0, 30.5], [35.5, 30.5], [50.5, 30.5]])
    moved = pulled_in(pixels, inside, 2.0, 8.0)
    np.testing.assert_array_equal(moved[[0, 1, 3]], pixels[[0, 1, 3]])
    assert 30.0 < moved[2, 0] < 32.5
    assert moved[2, 1] == 30.5


def test_the_hollow_of_an_ear_lies_in_shadow() -> None:
    x, y = (grid.ravel() for grid in np.meshgrid(np.linspace(-0.03, 0.03, 25), np.linspace(-0.03, 0.03, 25)))
    z = -0.008 * np.exp(-0.5 * (x**2 + y**2) / 0.006**2)
    means, normals = np.stack([x, y, z], 1), np.tile([0.0, 0.0, 1.0], (len(x), 1))
    shade = ear_relief(means, normals, np.ones(len(x)))
    middle, rim = np.hypot(x, y) < 0.003, np.hypot(x, y) > 0.025
    assert shade[middle].max() < 0.8
    assert shade[rim].min() > 0.95
    assert (ear_relief(means, normals, np.zeros(len(x))) == 1).all()
