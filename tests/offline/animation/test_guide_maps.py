"""The maps of a frame agree with the picture, the mesh and the camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attribute_toys import toy_attribute
from offline.animation.guide_maps import SemanticClass
from offline.animation.guide_renderer import GuideRenderer, part_mask
from offline.animation.motion import training_motion
from offline.editing.contract import View
from offline.editing.look_pictures import LookRenderer, source_view
from offline.looks.registry import builders
from perse_live.animator import Animator
from perse_live.avatar import Avatar
from perse_live.raster import rasterise
from toys import toy_avatar


def test_maps_belong_to_the_picture() -> None:
    avatar = toy_avatar()
    view = source_view(avatar, 128)
    maps = GuideRenderer(avatar, view.camera).maps(view)
    seen = maps.depth > 0
    assert 0.05 < seen.mean() < 0.95
    assert (maps.alpha[seen] >= 25).all() and (maps.rgb[maps.alpha == 0] == 255).all()
    np.testing.assert_allclose(np.linalg.norm(maps.normals[seen], axis=1), 1, atol=1e-3)
    assert not maps.normals[~seen].any()
    assert (maps.normals[seen][:, 2] < 0.3).mean() > 0.95, "surfaces that are seen face the camera"
    distance = float(view.pose.t_cam_head[2])
    assert (np.abs(maps.depth[seen] - distance) < 0.3).all()
    assert (maps.semantic[maps.alpha < 127] == SemanticClass.BACKGROUND).mean() > 0.9
    drawn = LookRenderer(avatar, view.camera).picture(view, background=(1.0, 1.0, 1.0))
    np.testing.assert_allclose(maps.rgb / 255, drawn, atol=1.01 / 255)


def test_the_part_is_where_the_look_changes_the_picture() -> None:
    avatar = toy_avatar()
    look = toy_attribute(avatar, "hat", "hat", moved=0)
    view = source_view(avatar, 128)
    plain = GuideRenderer(avatar, view.camera).frame(view, geometry=False)
    assert plain.part is None and plain.maps is None
    renderer = GuideRenderer(avatar, view.camera, look)
    frame = renderer.frame(view, geometry=False, without=plain.picture)
    assert frame.part is not None
    wanted = LookRenderer(avatar, view.camera, look).mask(view)
    np.testing.assert_allclose(frame.part / 255, wanted, atol=2 / 255)
    whole = renderer.frame(view, geometry=True, without=plain.picture)
    assert whole.part is not None and whole.maps is not None
    np.testing.assert_array_equal(whole.part, frame.part)


def test_nothing_changed_is_no_part() -> None:
    picture = np.random.default_rng(0).uniform(size=(8, 8, 4)).astype(np.float32)
    assert not part_mask(picture, picture, np.ones((8, 8), np.float32)).any()


@pytest.mark.slow
def test_classes_and_depth_of_a_person_in_a_cap(astronaut_avatar: Avatar) -> None:
    avatar = replace(astronaut_avatar, attributes=())
    camera = source_view(avatar).camera
    renderer = GuideRenderer(avatar, camera, builders()["hat-cap"](avatar))
    for moment in training_motion(avatar, 4)[1:]:
        view = View(camera, moment.pose, moment.expression, moment.gaze)
        maps = renderer.maps(view)
        at = np.rint(maps.landmarks[:, :2] - 0.5).astype(int)
        classes = maps.semantic[at[:, 1], at[:, 0]]
        for landmark, found in (
            (4, SemanticClass.NOSE),
            (152, SemanticClass.SKIN),
            (0, SemanticClass.MOUTH),
            (17, SemanticClass.MOUTH),
        ):
            rows, columns = at[landmark, 1] + np.arange(-3, 4), at[landmark, 0] + np.arange(-3, 4)
            assert found in maps.semantic[np.ix_(rows, columns)], (landmark, found)
        assert (classes[[1, 4, 5, 195]] == SemanticClass.NOSE).all()
        shares = np.bincount(maps.semantic.reshape(-1), minlength=16) / maps.semantic.size
        assert shares[SemanticClass.HAT] > 0.03 and shares[SemanticClass.CLOTH] > 0.1
        assert shares[SemanticClass.HAIR] > 0.002
        vertices = Animator(avatar, threads=1).vertices(view.expression, view.gaze, view.pose)
        mesh = rasterise(vertices, avatar.rig.triangles, camera)
        face = np.isin(maps.semantic, [SemanticClass.SKIN, SemanticClass.NOSE]) & mesh.covered
        assert np.median(np.abs(maps.depth - mesh.depth)[face]) < 0.003  # metres
