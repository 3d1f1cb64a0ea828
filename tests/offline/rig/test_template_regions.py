from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from offline.rig.identity import load_identity_model
from offline.rig.photo_geometry import PhotoGeometry
from offline.rig.template_regions import (
    BEHIND_JAW,
    CHIN_HEIGHT,
    COLLAR,
    EAR_LOBES,
    FACE_MIDDLE,
    NECK_AXIS_DEPTH,
    NECK_TOP,
    REGIONS,
    THROAT,
    neck_radius,
)
from perse_live.head.landmarks import CHIN, FACE_SIDES, load_landmark_model, mesh_landmarks

COORDINATES = st.floats(-0.3, 0.3)


@given(st.tuples(COORDINATES, COORDINATES, COORDINATES))
def test_regions_are_the_same_on_both_sides(place: tuple[float, float, float]) -> None:
    here = np.array(place)
    for region in REGIONS.values():
        assert region.contains(here) == region.contains(here * np.array([-1, 1, 1]))


def test_every_region_holds_some_of_the_head_and_not_all() -> None:
    mean = load_identity_model().mean
    for name, region in REGIONS.items():
        assert 0.001 < region.contains(mean).mean() < 0.9, name
        assert region.shows


def test_pixels_without_a_head_are_in_no_region() -> None:
    nothing = np.full((4, 5, 3), np.nan, np.float32)
    for region in REGIONS.values():
        assert region.contains(nothing).shape == (4, 5) and not region.contains(nothing).any()


def test_landmarks_are_where_their_names_say() -> None:
    neutral = load_landmark_model().neutral
    nose_tip, mouth, chin = neutral[1], neutral[13], neutral[152]
    assert FACE_MIDDLE.contains(nose_tip) and FACE_MIDDLE.contains(mouth)
    assert not THROAT.contains(nose_tip) and not THROAT.contains(mouth)
    assert THROAT.contains(chin - np.array([0.0, 0.01, 0.01]))


def test_the_neck_s_axis_runs_through_the_neck() -> None:
    mean = load_identity_model().mean
    neck = mean[(np.abs(mean[:, 1] + 0.13) < 0.01) & (neck_radius(mean) < 0.09)]
    front, back = neck[:, 2].max(), neck[:, 2].min()
    assert back < NECK_AXIS_DEPTH < front
    assert abs((front + back) / 2 - NECK_AXIS_DEPTH) < 0.02
    np.testing.assert_allclose(
        neck_radius(np.array([[0.03, 0.0, NECK_AXIS_DEPTH + 0.05]]), depth_scale=0.8), [0.05]
    )


def test_named_heights_lie_where_their_names_say(mean_head: PhotoGeometry) -> None:
    places = mesh_landmarks(load_landmark_model(), load_identity_model().mean)
    assert abs(places[CHIN, 1] - CHIN_HEIGHT) < 0.001
    assert COLLAR < CHIN_HEIGHT < NECK_TOP < EAR_LOBES < places[list(FACE_SIDES), 1].min()
    assert places[list(FACE_SIDES), 2].max() < BEHIND_JAW
    axis = mean_head.to_head(mean_head.neck_axis(COLLAR))
    np.testing.assert_allclose(axis, [0, COLLAR, NECK_AXIS_DEPTH], atol=1e-7)
