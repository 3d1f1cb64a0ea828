"""Colours of a half-seen face: what is seen stays, what is not is completed from the other half and the surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from offline.numeric import ramp
from offline.texture.completion import (
    ExpectedTone,
    complete_colors,
    extend_changes,
    median_line,
)
from offline.texture.surface_graph import mirror_matrix, solve, surface_graph

SKIN = np.array([0.7, 0.5, 0.4])


@dataclass(frozen=True)
class Dome:
    """A symmetric dome of points."""

    points: np.ndarray  # (N, 3) metres
    normals: np.ndarray  # (N, 3)

    def completed(
        self,
        observed: np.ndarray,
        confidence: np.ndarray,
        parts: np.ndarray | None = None,
        *,
        expected: Sequence[ExpectedTone] = (),
        seed: int = 0,
    ) -> np.ndarray:
        parts = np.zeros((len(self.points), 1)) if parts is None else parts
        return complete_colors(
            observed,
            confidence,
            self.points,
            self.points,
            self.normals,
            parts,
            expected=expected,
            rng=np.random.default_rng(seed),
        )


@pytest.fixture(scope="module")
def dome() -> Dome:
    plane = np.random.default_rng(0).uniform([0, -0.05], [0.05, 0.05], (3000, 2))
    plane = np.concatenate([plane, plane * [-1, 1]])
    points = np.column_stack([plane, 0.05 - 8 * (plane**2).sum(1)])
    normals = np.column_stack([16 * plane, np.ones(len(plane))])
    return Dome(points, normals / np.linalg.norm(normals, axis=1, keepdims=True))


def test_a_plain_face_stays_plain(dome: Dome) -> None:
    seen = dome.points[:, 0] > -0.01
    # What the photo shows of the hidden side is something else
    observed = np.where(seen[:, None], SKIN, [0.0, 0.0, 1.0])
    result = dome.completed(observed, seen.astype(float))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, np.broadcast_to(SKIN, result.shape), atol=0.015)


def test_a_lid_has_the_tone_of_the_skin_above_and_below_and_no_edge(dome: Dome) -> None:
    from_eye = np.hypot(dome.points[:, 0] - 0.03, dome.points[:, 1])
    lid, socket = from_eye < 0.012, (from_eye > 0.012) & (from_eye < 0.016)
    seen, middle = np.where(lid, 0.0, 1.0), from_eye < 0.003
    up, ring = dome.points[:, 1] > 0, (from_eye > 0.016) & (from_eye < 0.025)
    few = ring & (np.cumsum(ring) < 5)

    def lid_of(shade: float, *groups: np.ndarray, least: float = 0.0) -> np.ndarray:
        """Below a brow bone of 0.8 of the cheek's colour, in a dark ring."""
        skin = np.where(up, 0.8, 1.0)[:, None] * SKIN
        observed = np.where(socket[:, None], shade * SKIN, np.where(lid[:, None], 0.0, skin))
        tone = ExpectedTone(
            1 - ramp(from_eye, 0.008, 0.012), dome.points[:, 0], groups, least, 0.12
        )
        return dome.completed(observed, seen, expected=[tone])

    assert lid_of(0.4, few)[middle].mean() < 0.55 * SKIN.mean()  # the ring's dark fills it
    told = lid_of(0.4, ring & up, ring & ~up)
    assert 0.65 * SKIN.mean() < told[middle].mean() < 0.9 * SKIN.mean()
    bright = lid_of(0.4, ring & up, ring & ~up, least=1.0)
    assert bright[middle].mean() > 1.02 * told[middle].mean()
    beside = (from_eye > 0.0105) & lid
    assert abs(told[beside].mean() - 0.4 * SKIN.mean()) < 0.45 * abs(
        told[middle].mean() - 0.4 * SKIN.mean()
    )


def test_a_lid_is_lit_as_the_skin_above_and_below_however_it_is_turned(dome: Dome) -> None:
    from_eye = np.hypot(dome.points[:, 0] - 0.03, dome.points[:, 1])
    lid, ring, up = from_eye < 0.012, (from_eye > 0.012) & (from_eye < 0.025), dome.points[:, 1] > 0
    observed = np.where(lid[:, None], 0.0, (0.8 + 0.5 * dome.normals[:, 1:2]) * SKIN)
    down = Dome(dome.points, np.where(lid[:, None], [0.0, -0.6, 0.8], dome.normals))
    holds = 1 - ramp(from_eye, 0.008, 0.012)
    tone = ExpectedTone(holds, dome.points[:, 0], (ring & up, ring & ~up), 0.0, 0.03)
    found = down.completed(observed, np.where(lid, 0.0, 1.0), expected=[tone])
    around = np.mean([observed[ring & side].mean(0) for side in (up, ~up)], axis=0)
    np.testing.assert_allclose(found[from_eye < 0.006].mean(0), around, atol=0.03)


@settings(max_examples=30, deadline=None)
@given(start=st.floats(0.2, 0.8), slope=st.floats(-5, 5), seed=st.integers(0, 1000))
def test_outliers_on_either_side_do_not_move_a_median_line(
    start: float, slope: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    across = rng.uniform(0.01, 0.05, 200)
    values = (start + slope * across)[:, None] + rng.normal(0, 0.005, (200, 3))
    values[:60] -= 0.4  # lashes
    first, rise = median_line(across, values)
    np.testing.assert_allclose(first + 0.03 * rise, start + 0.03 * slope, atol=0.02)


def test_what_is_seen_stays_to_the_bit_of_its_confidence(dome: Dome) -> None:
    observed = np.clip(
        SKIN + 0.05 * np.random.default_rng(1).normal(size=(len(dome.points), 3)), 0, 1
    )
    np.testing.assert_allclose(
        dome.completed(observed, np.ones(len(observed))), observed, atol=1e-6
    )


def test_a_mole_of_the_seen_half_is_mirrored_onto_the_unseen_one(dome: Dome) -> None:
    x, y = dome.points[:, 0], dome.points[:, 1]
    mole = np.hypot(np.abs(x) - 0.03, y) < 0.006
    truth = np.where(mole[:, None], 0.5 * SKIN, SKIN)
    seen = x > -0.012
    result = dome.completed(np.where(seen[:, None], truth, 0.0), seen.astype(float))
    core = (np.hypot(x + 0.03, y) < 0.004) & ~seen
    assert core.sum() > 10
    np.testing.assert_allclose(result[core].mean(0), 0.5 * SKIN, atol=0.06)


def test_light_from_aside_goes_on_round_the_unseen_half(dome: Dome) -> None:
    light = np.exp(0.5 * dome.normals[:, 0])
    truth = SKIN * light[:, None] * 0.8
    seen = dome.points[:, 0] > -0.012
    result = dome.completed(np.where(seen[:, None], truth, 0.0), seen.astype(float))
    hidden = dome.points[:, 0] < -0.03
    mirrored = truth[dome.points[:, 0] > 0.03].mean()
    assert abs(result[hidden].mean() - truth[hidden].mean()) < 0.4 * abs(
        mirrored - truth[hidden].mean()
    )


def test_halves_that_do_not_agree_do_not_colour_each_other(dome: Dome) -> None:
    x, y = dome.points[:, 0], dome.points[:, 1]
    shadow = x > 0  # a hat's shadow on one half, with a sharp edge across it
    truth = np.where((shadow & (y > 0))[:, None], 0.35 * SKIN, SKIN)
    unseen = (x < -0.035) & (np.abs(y) < 0.02)
    result = dome.completed(np.where(unseen[:, None], 0.0, truth), (~unseen).astype(float))
    np.testing.assert_allclose(result[unseen], np.broadcast_to(SKIN, (unseen.sum(), 3)), atol=0.08)


def test_lips_and_skin_do_not_mix(dome: Dome) -> None:
    lips = (np.abs(dome.points[:, 1]) < 0.01).astype(float)
    truth = np.where(lips[:, None] > 0, [0.8, 0.2, 0.2], [0.6, 0.6, 0.5])
    seen = np.abs(dome.points[:, 0]) > 0.015  # a hand before the middle of the mouth
    result = dome.completed(np.where(seen[:, None], truth, 0.0), seen.astype(float), lips[:, None])
    assert np.abs(result - truth)[~seen & (lips > 0)].mean() < 0.05
    assert np.abs(result - truth)[~seen & (lips == 0)].mean() < 0.05


def test_a_beard_that_is_seen_well_stays_though_it_is_dark(dome: Dome) -> None:
    beard = dome.points[:, 1] < -0.02
    observed = np.where(beard[:, None], 0.15, SKIN)
    np.testing.assert_allclose(
        dome.completed(observed, np.full(len(observed), 0.95))[beard], 0.15, atol=0.05
    )


def test_a_photo_that_shows_no_skin_gives_some_skin(dome: Dome) -> None:
    nothing = np.zeros(len(dome.points))
    result = dome.completed(np.zeros((len(nothing), 3)), nothing)
    assert (np.ptp(result, axis=0) == 0).all()
    assert (result[0, 0] > result[0, 2]).all()


def test_the_same_seed_gives_the_same_colours(dome: Dome) -> None:
    seen = (dome.points[:, 0] > -0.01).astype(float)
    observed = np.random.default_rng(1).uniform(0.4, 0.6, (len(seen), 3))
    np.testing.assert_array_equal(
        dome.completed(observed, seen, seed=7), dome.completed(observed, seen, seed=7)
    )


def test_changes_of_what_the_photo_shows_stay_and_their_surroundings_follow(dome: Dome) -> None:
    told = (dome.points[:, 0] > 0).astype(float)
    changes = np.where(told[:, None] > 0, [0.1, -0.05, 0.0], 0.0)
    result = extend_changes(changes, told, dome.points, np.zeros((len(told), 1)))
    np.testing.assert_allclose(result[told > 0], changes[told > 0], atol=1e-6)
    beside = (dome.points[:, 0] < 0) & (dome.points[:, 0] > -0.004)
    np.testing.assert_allclose(result[beside].mean(0), [0.1, -0.05, 0.0], atol=0.02)
    far = dome.points[:, 0] < -0.045
    assert np.abs(result[far]).mean() < np.abs(result[beside]).mean()


def test_the_mirror_of_a_symmetric_quantity_is_itself(dome: Dome) -> None:
    mirror = mirror_matrix(dome.points)
    np.testing.assert_allclose(np.asarray(mirror.sum(1)).ravel(), 1, atol=1e-9)
    np.testing.assert_allclose(mirror @ dome.points[:, 1], dome.points[:, 1], atol=2e-3)
    np.testing.assert_allclose(mirror @ dome.points[:, 0], -dome.points[:, 0], atol=2e-3)
    lonely = np.concatenate([dome.points[dome.points[:, 0] > 0.01], [[-0.5, 0.0, 0.0]]])
    assert mirror_matrix(lonely)[-1].nnz == 0 or abs(mirror_matrix(lonely)[-1].sum()) == 0


def test_edges_are_weak_across_borders_and_whole_within(dome: Dome) -> None:
    part = (dome.points[:, :1] > 0).astype(float)
    graph = surface_graph(dome.points, part)
    across = part[graph.rows, 0] != part[graph.columns, 0]
    assert across.any()
    assert graph.weights[across].max() < 0.01
    assert (graph.weights[~across] == 1).all()
    np.testing.assert_allclose(graph.difference @ np.ones(len(part)), 0, atol=1e-12)


def test_the_solver_solves_each_channel() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(30, 30))
    system, right = root @ root.T + 10 * np.eye(30), rng.normal(size=(30, 3))
    solved = solve(sp.csr_matrix(system), right)
    np.testing.assert_allclose(system @ solved, right, atol=1e-9)
