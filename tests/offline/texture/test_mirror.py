from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import KDTree

from offline.gaussian_layer import Layer, join, surface_layer
from offline.rig.photo_geometry import PhotoGeometry, photo_geometry
from offline.texture.mirror import (
    bare_in_mirror,
    mirror_vertices,
    mirrored_share,
    seen_gaze,
    turned_share,
    with_mirrored_hair,
    with_mirrored_offsets,
)
from perse_live.head.expressions import EXPRESSION_COUNT
from perse_live.head.fit import FrameFit
from perse_live.head.landmarks import LEFT_IRIS, RIGHT_IRIS
from perse_live.head.rig import EYES, Part, gaze_rotation
from perse_live.regions import Region
from perse_live.rotations import from_euler_degrees, to_matrix


@pytest.fixture(scope="module")
def from_aside(mean_head: PhotoGeometry) -> PhotoGeometry:
    """The average head turned by 40 degrees."""
    turn = np.diag([1.0, -1.0, -1.0]) @ from_euler_degrees(40.0, 0.0, 0.0)
    return photo_geometry(
        mean_head.camera,
        mean_head.rig,
        mean_head.rig.vertices,
        turn,
        mean_head.t_cam_head,
        mean_head.template,
    )


def test_each_vertex_is_the_mirror_vertex_of_its_mirror_vertex(mean_head: PhotoGeometry) -> None:
    mirror = mirror_vertices(mean_head.template)
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(mirror)))
    np.testing.assert_allclose(
        mean_head.template[mirror], mean_head.template * [-1, 1, 1], atol=2e-3
    )


def test_a_photo_from_the_front_is_left_alone(mean_head: PhotoGeometry) -> None:
    assert not bare_in_mirror(mean_head, np.ones((512, 512), np.bool_), 1.0).any()


@pytest.mark.parametrize("yaw", [-40.0, 24.0, 16.0, 5.0])
def test_an_eye_is_mirrored_as_a_whole_and_the_near_half_never(
    mean_head: PhotoGeometry, yaw: float
) -> None:
    share = mirrored_share(mean_head.triangle_template(), yaw)
    side = np.sign(yaw) * mean_head.triangle_template()[:, 0]
    assert not share[side <= 0].any()
    for eye in EYES:
        ball = mean_head.rig.parts == eye
        np.testing.assert_allclose(share[ball], turned_share(yaw) * (side[ball].mean() > 0))
    assert share.any() == (abs(yaw) > 10)


@given(yaw=st.floats(-60.0, 60.0), place=st.floats(-0.08, 0.08))
def test_no_yaw_is_a_switch(yaw: float, place: float) -> None:
    points = np.array([[place, 0.0, 0.0]])
    here, there = (mirrored_share(points, angle)[0] for angle in (yaw, yaw + 0.1))
    assert abs(here - there) < 0.02
    assert mirrored_share(points, yaw) == mirrored_share(points * [-1, 1, 1], -yaw)


def test_a_far_half_is_bent_as_the_near_one(mean_head: PhotoGeometry) -> None:
    template = mean_head.template
    offsets = np.random.default_rng(0).normal(0, 0.002, template.shape).astype(np.float32)
    bent = with_mirrored_offsets(offsets, template, 40.0)
    near = template[:, 0] < -0.015
    np.testing.assert_array_equal(bent[near], offsets[near])
    far = mirror_vertices(template)[near]
    far, there = far[template[far, 0] > 0.015], offsets[near][template[far, 0] > 0.015]
    np.testing.assert_allclose(bent[far], there * [-1, 1, 1], atol=1e-6)
    np.testing.assert_array_equal(with_mirrored_offsets(offsets, template, 5.0), offsets)


def test_the_gaze_of_a_head_from_aside_is_where_its_near_iris_lies(
    from_aside: PhotoGeometry,
) -> None:
    assert from_aside.yaw > 30
    looking = np.array([-0.15, 0.1])
    rig, camera, fitted = from_aside.rig, from_aside.camera, np.array([[0.02, 0.0], [0.05, 0.02]])
    frame = FrameFit(
        from_aside.R_cam_head,
        from_aside.t_cam_head,
        np.zeros(EXPRESSION_COUNT, np.float32),
        fitted.astype(np.float32),
        np.zeros((478, 3), np.float32),
        np.zeros((478, 2), np.float32),
        0.0,
    )
    landmarks = np.zeros((478, 3), np.float32)
    for iris, center in ((LEFT_IRIS, rig.eye_centers[0]), (RIGHT_IRIS, rig.eye_centers[1])):
        on_ball = center + gaze_rotation(looking)[:, 2] * rig.eye_radius
        at = from_aside.R_cam_head @ on_ball + from_aside.t_cam_head
        landmarks[list(iris), :2] = camera.project(at[None].astype(np.float32))[0]
    landmarks[list(LEFT_IRIS), :2] += 3  # the far one is guessed
    np.testing.assert_allclose(
        seen_gaze(camera, rig, frame, landmarks), [looking, looking], atol=2e-3
    )
    landmarks[:, :2] = 0  # beside the eye
    np.testing.assert_allclose(seen_gaze(camera, rig, frame, landmarks), fitted, atol=1e-6)


def test_hair_before_the_far_eye_is_none_where_the_near_one_is_bare(
    from_aside: PhotoGeometry,
) -> None:
    place = from_aside.template_map()
    with np.errstate(invalid="ignore"):
        far = np.isfinite(place[..., 0]) & (np.abs(place[..., 1]) < 0.03) & (place[..., 2] > 0.0)
    near_side = np.sign(np.nanmedian(place[..., 0]))
    far &= np.nan_to_num(place[..., 0]) * near_side < -0.025
    assert far.sum() > 50
    # The rest lies at the very outline
    assert bare_in_mirror(from_aside, far, 1.0)[far].mean() > 0.7
    both = np.isfinite(place[..., 0])
    assert not bare_in_mirror(from_aside, both, 1.0)[far].any()


def _side_hair(head: PhotoGeometry, side: float) -> Layer:
    """A sheet of hair standing a centimetre off one side of the head, in stripes of light and dark."""
    y, z = (axis.reshape(-1) for axis in np.mgrid[-0.03:0.08:30j, -0.14:-0.05:25j])
    place = np.stack([np.full_like(y, 0.095 * side), y, z], 1)
    means = place @ head.R_cam_head.T + head.t_cam_head
    normals = np.tile(head.R_cam_head @ [side, 0.0, 0.0], (len(y), 1))
    light = 0.2 + 0.1 * np.sin(z * 400)
    return surface_layer(
        means,
        normals,
        np.full((len(y), 2), [0.004, 0.002]),
        light[:, None].repeat(3, 1),
        Region.HAIR,
        along=np.tile(head.R_cam_head @ [0.0, 1.0, 0.5], (len(y), 1)),
    )


def test_the_far_side_s_hair_is_the_near_side_s_where_the_photo_does_not_see_it(
    from_aside: PhotoGeometry,
) -> None:
    rig = from_aside.rig
    corners = from_aside.vertices[rig.triangles[rig.parts == Part.SKIN]]
    skin = surface_layer(
        corners.mean(1),
        np.tile([0.0, 0.0, -1.0], (len(corners), 1)),
        np.full(len(corners), 0.002),
        np.full((len(corners), 3), 0.6),
        Region.SKIN,
    )
    hair = _side_hair(from_aside, -1.0)
    hair.gaussians.colors[::97] = 0.9  # skin that was taken for hair
    before, everywhere, rng = (
        join(skin, hair),
        np.ones((512, 512), np.bool_),
        np.random.default_rng(0),
    )
    whole = with_mirrored_hair(before, from_aside, everywhere, 5000, rng)
    added = whole.select(np.arange(len(whole)) >= len(before))
    assert len(added) > 0.5 * len(hair)
    assert (added.regions == Region.HAIR).all()
    assert not added.color_freedom.any()
    assert added.gaussians.colors.max() < 0.5
    places = from_aside.to_head(added.gaussians.means)
    np.testing.assert_allclose(places[:, 0], 0.095, atol=1e-3)
    there = from_aside.to_head(hair.gaussians.means) * [-1, 1, 1]
    distance, mirrored = KDTree(there).query(places)
    assert distance.max() < 1e-4
    np.testing.assert_allclose(added.gaussians.colors, hair.gaussians.colors[mirrored], atol=1e-6)
    along = to_matrix(added.gaussians.quats.astype(np.float64))[:, :, 0] @ from_aside.R_cam_head
    np.testing.assert_allclose(
        np.abs(along @ np.array([0.0, 1.0, 0.5]) / np.sqrt(1.25)), 1, atol=1e-3
    )
    assert len(with_mirrored_hair(before, from_aside, everywhere, 100, rng)) == len(before) + 100
    # It would show beside the person
    assert len(with_mirrored_hair(before, from_aside, ~everywhere, 5000, rng)) == len(before)
