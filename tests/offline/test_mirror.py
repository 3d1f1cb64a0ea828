from __future__ import annotations

import numpy as np
import pytest

from offline.geometry import PhotoGeometry, photo_geometry
from offline.layers import surface_layer
from offline.mirror import bare_by_twin, lent_share, mirrored_layer, mirrored_view, vertex_twins, with_twin_eye
from perse_live.head.landmarks import LEFT_EYE, RIGHT_EYE
from perse_live.head.rig import EYES, Part
from perse_live.regions import Region
from perse_live.rotations import from_euler_degrees


@pytest.fixture(scope="module")
def from_aside(mean_head: PhotoGeometry) -> PhotoGeometry:
    """The average head turned by 40 degrees."""
    turn = np.diag([1.0, -1.0, -1.0]) @ from_euler_degrees(40.0, 0.0, 0.0)
    return photo_geometry(mean_head.camera, mean_head.rig, mean_head.rig.vertices, turn, mean_head.t_cam_head, mean_head.template)


def test_each_vertex_is_its_twin_s_twin_on_the_other_side(mean_head: PhotoGeometry) -> None:
    twins = vertex_twins(mean_head.template)
    np.testing.assert_array_equal(twins[twins], np.arange(len(twins)))
    np.testing.assert_allclose(mean_head.template[twins], mean_head.template * [-1, 1, 1], atol=2e-3)


def test_a_photo_from_the_front_is_left_alone(mean_head: PhotoGeometry) -> None:
    assert mirrored_view(mean_head) is None
    assert not bare_by_twin(mean_head, np.ones((512, 512), np.bool_), 1.0).any()


def test_a_mirrored_view_sees_each_point_where_its_twin_is(from_aside: PhotoGeometry) -> None:
    mirrored = mirrored_view(from_aside)
    assert mirrored is not None
    place, twin_place = from_aside.template_map(), mirrored.template_map()
    seen = from_aside.part_map(Part.SKIN)
    np.testing.assert_allclose(twin_place[seen], place[seen] * [-1, 1, 1], atol=2e-3)


def test_only_what_is_seen_badly_and_its_twin_well_is_lent() -> None:
    facing, twin = np.array([0.9, 0.2, 0.2, 0.2]), np.array([0.95, 0.9, 0.3, 0.9])
    share = lent_share(facing, np.full(4, 50.0), twin, np.array([1.0, 1.0, 1.0, 0.0]))
    np.testing.assert_allclose(share, [0, 1, 0, 0], atol=1e-6)
    near_outline = lent_share(np.array([0.65]), np.array([2.0]), np.array([0.98]), np.ones(1))
    assert near_outline[0] > 0.2


def test_a_mirrored_layer_lies_on_the_other_side_facing_out(mean_head: PhotoGeometry) -> None:
    rig = mean_head.rig
    middle = mean_head.triangle_template()
    rows = np.nonzero((rig.parts == Part.SKIN) & (middle[:, 0] > 0.02) & (middle[:, 2] > 0.0))[0][::20].astype(np.int32)
    corners = mean_head.vertices[rig.triangles[rows]].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    layer = surface_layer(corners.mean(1) + 0.001 * normals, normals, np.full((len(rows), 2), [0.002, 0.001]),
                          np.full((len(rows), 3), 0.5), Region.SKIN, triangles=rows)
    there = mirrored_layer(layer, mean_head)
    np.testing.assert_allclose(there.gaussians.means, layer.gaussians.means * [-1, 1, 1], atol=2e-3)
    np.testing.assert_allclose(there.gaussians.scales, layer.gaussians.scales, rtol=0.15)
    assert (middle[there.triangles, 0] < 0).all()
    assert not there.freedom.any()


def test_an_eye_turned_far_away_is_the_other_s_mirror_image(mean_head: PhotoGeometry) -> None:
    rig = mean_head.rig
    rows = np.concatenate([np.nonzero(rig.parts == eye)[0][:50] for eye in EYES]).astype(np.int32)
    corners = mean_head.vertices[rig.triangles[rows]]
    colors = np.repeat([[0.2, 0.4, 0.6], [0.9, 0.1, 0.1]], 50, axis=0)
    eyes = surface_layer(corners.mean(1), np.tile([0.0, 0.0, -1.0], (100, 1)), np.full(100, 0.001), colors, Region.EYE,
                         triangles=rows)
    landmarks = np.zeros((478, 2), np.float32)
    landmarks[list(LEFT_EYE)] = np.linspace([300, 200], [340, 200], len(LEFT_EYE))
    landmarks[list(RIGHT_EYE)] = np.linspace([200, 200], [235, 200], len(RIGHT_EYE))
    assert with_twin_eye(eyes, mean_head, landmarks) is eyes
    landmarks[list(RIGHT_EYE)] = np.linspace([200, 200], [215, 200], len(RIGHT_EYE))
    both = with_twin_eye(eyes, mean_head, landmarks)
    assert len(both) == 100
    np.testing.assert_allclose(both.gaussians.colors, np.tile([0.2, 0.4, 0.6], (100, 1)), atol=1e-6)
    assert (rig.parts[both.triangles[:50]] == EYES[0]).all()
    assert (rig.parts[both.triangles[50:]] == EYES[1]).all()


def test_hair_before_the_far_eye_is_none_where_the_near_one_is_bare(from_aside: PhotoGeometry) -> None:
    place = from_aside.template_map()
    with np.errstate(invalid="ignore"):
        far = np.isfinite(place[..., 0]) & (np.abs(place[..., 1]) < 0.03) & (place[..., 2] > 0.0)
    near_side = np.sign(np.nanmedian(place[..., 0]))
    far &= np.nan_to_num(place[..., 0]) * near_side < -0.025
    assert far.sum() > 50
    assert bare_by_twin(from_aside, far, 1.0)[far].mean() > 0.7  # the rest lies at the very outline, its twin behind the jaw
    both = np.isfinite(place[..., 0])
    assert not bare_by_twin(from_aside, both, 1.0)[far].any()
