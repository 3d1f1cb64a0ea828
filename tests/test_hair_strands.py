from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from perse_live.arrays import FloatArray
from perse_live.hair.guides import (
    POINTS,
    RootedHair,
    fit_guides,
    on_guides,
    partners,
    relative_places,
    way_along,
)
from perse_live.hair.polylines import arc_lengths, between, points_at, resampled

SEEDS = st.integers(0, 2**31)
SHARES = st.floats(0, 1)


def lines(seed: int, *, count: int = 20, points: int = POINTS) -> FloatArray:
    """Smooth random strands from random roots, metres."""
    random = np.random.default_rng(seed)
    direction = random.standard_normal((count, 1, 3)) + 0.4 * np.cumsum(
        random.standard_normal((count, points - 1, 3)), 1
    )
    steps = 0.005 * direction / np.linalg.norm(direction, axis=2, keepdims=True)
    roots = random.uniform(-0.1, 0.1, (count, 1, 3))
    return np.concatenate([roots, roots + np.cumsum(steps, 1)], 1)


@given(SEEDS, st.integers(2, 40))
def test_resampling_keeps_the_ends_and_never_lengthens(seed: int, count: int) -> None:
    before = lines(seed)
    after = resampled(before, count)
    np.testing.assert_allclose(after[:, [0, -1]], before[:, [0, -1]], atol=1e-12)
    assert (arc_lengths(after)[:, -1] <= arc_lengths(before)[:, -1] + 1e-12).all()


@given(SEEDS, SHARES)
def test_a_share_of_the_arc_is_that_far_along(seed: int, share: float) -> None:
    strands = lines(seed)
    place = points_at(strands, np.full((len(strands), 1), share))[:, 0]
    # Where it lies: the segment on which going over the point is no detour
    begin = np.linalg.norm(place[:, None] - strands[:, :-1], axis=2)
    rest = np.linalg.norm(place[:, None] - strands[:, 1:], axis=2)
    detour = begin + rest - np.linalg.norm(np.diff(strands, axis=1), axis=2)
    at = detour.argmin(1)[:, None]
    arcs = arc_lengths(strands)
    gone = np.take_along_axis(arcs, at, 1) + np.take_along_axis(begin, at, 1)
    np.testing.assert_allclose(gone[:, 0], share * arcs[:, -1], atol=1e-9)


@given(SEEDS, SEEDS, SHARES)
def test_lengths_change_evenly_however_strands_turn(first: int, last: int, share: float) -> None:
    a, b = lines(first), lines(last) * 2.5
    mixed = arc_lengths(between(a, b, share))[:, -1]
    wanted = (1 - share) * arc_lengths(a)[:, -1] + share * arc_lengths(b)[:, -1]
    # Opposite directions have no shortest turn, and pass through each other
    assert (mixed <= wanted * (1 + 1e-9)).all()
    assert np.median(mixed / wanted) > 0.999


@given(SEEDS, SEEDS)
def test_the_ends_of_the_way_are_the_strands_themselves(first: int, last: int) -> None:
    a, b = resampled(lines(first), POINTS), resampled(lines(last), POINTS)
    np.testing.assert_allclose(between(a, b, 0.0), a, atol=1e-3)
    np.testing.assert_allclose(between(a, b, 1.0), b, atol=1e-3)


@given(SEEDS, SHARES)
def test_hair_without_a_partner_shrinks_into_its_root_and_keeps_its_shape(
    seed: int, share: float
) -> None:
    strands = lines(seed)
    nothing = np.repeat(strands[:, :1], POINTS, 1)
    there, back = between(strands, nothing, share), between(nothing, strands, 1 - share)
    wanted = strands[:, :1] + (1 - share) * (strands - strands[:, :1])
    np.testing.assert_allclose(there, wanted, atol=1e-9)
    np.testing.assert_allclose(back, wanted, atol=1e-9)


def test_hair_that_grows_hangs_as_the_longer_strand_does() -> None:
    """Its old tip stands to the side; what grows beyond it must not go on sideways."""
    sideways = np.stack([np.linspace(0, 0.05, POINTS), *np.zeros((2, POINTS))], 1)[None]
    down = np.stack([np.zeros(POINTS), -np.linspace(0, 0.25, POINTS), np.zeros(POINTS)], 1)[None]
    half = between(sideways, down, 0.5)[0]
    assert half[:, 0].max() < 0.05
    assert half[-1, 1] < -0.1
    assert (np.diff(half[4:, 1]) < 0).all() and np.abs(np.diff(half[5:, 0])).max() < 1e-6


def bundle(seed: int, direction: FloatArray, length: float, count: int = 400) -> RootedHair:
    """Straight hair from a flat scalp of 10 by 10 cm; Gaussians anywhere along it."""
    random = np.random.default_rng(seed)
    roots = np.concatenate([random.uniform(-0.05, 0.05, (count, 2)), np.zeros((count, 1))], 1)
    tips = roots + random.uniform(0.2, 1, (count, 1)) * length * direction
    return RootedHair(roots, resampled(np.stack([roots, tips], 1), POINTS))


GRID = np.stack(
    [*np.meshgrid(np.linspace(-0.04, 0.04, 9), np.linspace(-0.04, 0.04, 9)), np.zeros((9, 9))], -1
).reshape(-1, 3)


def test_guides_are_as_long_and_run_as_the_hair_and_gaussians_lie_on_them() -> None:
    direction = np.array([0.6, 0.0, 0.8])
    hair = bundle(0, direction, 0.1)
    guides = fit_guides(GRID, hair)
    along = guides.strands[:, -1] / guides.lengths[:, None]
    np.testing.assert_allclose(along, np.tile(direction, (len(GRID), 1)), atol=1e-6)
    assert guides.lengths.min() > 0.07 and guides.lengths.max() <= 0.1 + 1e-9
    at = on_guides(hair, guides)
    off = hair.places - hair.roots - relative_places(guides.strands, at)
    assert (
        np.linalg.norm(off, axis=1).max() < 0.03 and np.median(np.linalg.norm(off, axis=1)) < 1e-6
    )


def test_where_no_hair_grows_guides_have_no_length() -> None:
    bare = GRID + np.array([0.3, 0, 0])
    assert (fit_guides(bare, bundle(0, np.array([0, 0, 1.0]), 0.1)).lengths == 0).all()
    nobody = RootedHair(np.zeros((0, 3)), np.zeros((0, POINTS, 3)))
    assert (fit_guides(GRID, nobody).lengths == 0).all()


def test_gaussians_go_from_one_hairstyle_to_the_other() -> None:
    up, sideways = bundle(1, np.array([0, 0, 1.0]), 0.05), bundle(2, np.array([1.0, 0, 0]), 0.2)
    first, last = fit_guides(GRID, up), fit_guides(GRID, sideways)
    at = on_guides(up, first)
    way = way_along(at, first, last, np.array([0, 0.5, 1]))
    places, lengths = way.places, way.lengths
    assert np.abs(places[0][:, 0]).max() < 1e-9 and np.abs(places[2][:, 2]).max() < 1e-3
    np.testing.assert_allclose(lengths[1], (lengths[0] + lengths[2]) / 2, rtol=0.01)
    np.testing.assert_allclose(way.directions[0], np.tile([0, 0, 1.0], (len(up), 1)), atol=1e-6)
    np.testing.assert_allclose(way.directions[2], np.tile([1.0, 0, 0], (len(up), 1)), atol=1e-2)
    found = partners(up, at, sideways, on_guides(sideways, last), count=3)
    assert found.shape == (len(up), 3)
    near = np.linalg.norm(up.roots_template - sideways.roots_template[found[:, 0]], axis=1)
    assert np.median(near) < 0.015
