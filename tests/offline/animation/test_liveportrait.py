from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stand_ins import KEYPOINTS, write_networks

from attribute_toys import toy_attribute
from offline.animation.frames import training_frames
from offline.animation.liveportrait import (
    Keypoints,
    LivePortrait,
    animate_by_liveportrait,
    face_crop,
    head_rotation,
    pasted,
    relative_motion,
    warped_crop,
)
from offline.animation.motion import training_motion
from offline.editing.contract import EditedPortrait
from offline.editing.look_pictures import own_portrait, source_view
from offline.training.contract import TeacherAttribute
from perse_live.avatar import Avatar
from perse_live.errors import UserError
from toys import toy_avatar


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> LivePortrait:
    folder = tmp_path_factory.mktemp("liveportrait")
    write_networks(folder)
    return LivePortrait(folder)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> LivePortrait:
    """The same without stitching."""
    folder = tmp_path_factory.mktemp("plain")
    write_networks(folder, stitching=False)
    return LivePortrait(folder)


def crop_of(red: float, green: float) -> np.ndarray:
    crop = np.zeros((256, 256, 3), np.uint8)
    crop[..., 0], crop[..., 1] = round(255 * red), round(255 * green)
    return crop


def test_angles_come_from_bins_and_turn_as_the_paper_says(networks: LivePortrait) -> None:
    found = networks.keypoints(crop_of(0.6, 0.2))
    yaw = np.radians((20 + 20 * 0.6) * 3 - 97.5)
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    assert np.abs(found.rotation - about_y.T).max() < 2e-3
    assert found.canonical.shape == found.expression.shape == (KEYPOINTS, 3)
    assert found.scale == pytest.approx(1.5) and found.translation == pytest.approx(
        [0.2] * 3, abs=2e-3
    )
    expected = 1.5 * (found.canonical @ found.rotation + 0.006) + np.array([0.2, 0.2, 0])
    assert np.abs(found.posed() - expected).max() < 3e-3


def test_rotations_are_rotations() -> None:
    turn = head_rotation(10, -20, 30)
    assert np.abs(turn @ turn.T - np.eye(3)).max() < 1e-6 and np.linalg.det(turn) > 0
    assert (
        np.abs(head_rotation(0, 0, 90) - np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])).max() < 1e-6
    )


def test_motion_is_relative_to_the_first_frame(networks: LivePortrait) -> None:
    source, first, later = (
        networks.keypoints(crop_of(*color)) for color in ((0.3, 0.1), (0.5, 0.4), (0.7, 0.6))
    )
    still = relative_motion(source, first, first)
    assert np.abs(still.posed() - source.posed()).max() < 1e-5
    moved = relative_motion(source, later, first)
    assert np.abs(moved.rotation - later.rotation @ first.rotation.T @ source.rotation).max() < 1e-6
    assert moved.translation == pytest.approx(source.translation + 0.2, abs=5e-3)
    assert moved.expression == pytest.approx(source.expression + 0.002, abs=1e-4)
    twice = relative_motion(source, replace(first, scale=2 * first.scale), first)
    assert twice.scale == pytest.approx(2 * source.scale)


def test_the_generator_draws_features_by_both_sets_of_keypoints(
    networks: LivePortrait, plain: LivePortrait
) -> None:
    crop = crop_of(0.5, 0.3)
    source = networks.keypoints(crop)
    shifted = Keypoints(
        source.canonical, source.rotation, source.expression, source.scale, source.translation + 0.1
    )
    assert plain.picture(plain.features(crop), source, shifted).shape == (512, 512, 3)
    drawn = plain.picture(plain.features(crop), source, shifted)[256, 256]
    assert drawn == pytest.approx([0.6, 0.4, 0.1], abs=0.01)
    stitched = networks.picture(networks.features(crop), source, shifted)[256, 256]
    assert stitched == pytest.approx([0.85, 0.65, 0.35], abs=0.01)


def test_a_crop_goes_back_where_it_came_from() -> None:
    rng = np.random.default_rng(0)
    avatar, small = toy_avatar(), rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)
    view = source_view(avatar, 256)
    rgb = np.repeat(np.repeat(small, 16, 0), 16, 1)
    crop = face_crop(avatar, view)
    same = pasted(rgb, (warped_crop(rgb, crop) / 255).astype(np.float32), crop)
    assert np.abs(same - rgb / 255).mean() < 0.03
    white = pasted(rgb, np.ones((512, 512, 3), np.float32), crop)
    changed = np.abs(white - rgb / np.float32(255)).max(2) > 0
    assert changed.any() and not changed.all()
    corners = crop.matrix @ np.array([[128.0, 128.0, 1.0]]).T
    assert (corners > 0).all() and (corners < 256).all()


def edited(avatar: Avatar) -> EditedPortrait:
    view = source_view(avatar, 128)
    look = toy_attribute(avatar, "hat", "hat")
    return EditedPortrait(
        own_portrait(avatar, view),
        np.zeros((128, 128), np.float32),
        view,
        TeacherAttribute(look, known=False),
    )


def test_frames_know_their_pose_and_leave_the_rest_of_the_picture(networks: LivePortrait) -> None:
    avatar = toy_avatar()
    portrait = edited(avatar)
    motion = training_motion(avatar, 3)
    seen: list[float] = []
    frames = animate_by_liveportrait(
        avatar, portrait, motion, networks, progress=lambda _, share: seen.append(share)
    )
    assert len(frames) == 3 and seen[-1] == 1.0
    for frame, moment in zip(frames, motion, strict=True):
        assert frame.pose is moment.pose and frame.expression is moment.expression
        assert frame.image.shape == (128, 128, 3) and frame.part_mask.shape == (128, 128)
        assert frame.image.min() >= 0 and frame.image.max() <= 1 and 0 < frame.weight < 1
    assert frames[0].part_mask.max() > 0.5


def test_training_gets_both_animators_frames(networks: LivePortrait) -> None:
    avatar = toy_avatar()
    portrait = edited(avatar)
    both = training_frames(avatar, portrait, networks, progress=lambda *_: None)
    rig_alone = training_frames(avatar, portrait, None, progress=lambda *_: None)
    assert len(both) == len(rig_alone) + 8 and len(rig_alone) == 12
    assert {frame.weight for frame in both[12:]}.isdisjoint({frame.weight for frame in rig_alone})
    known = replace(portrait, teacher=TeacherAttribute(portrait.teacher.look, known=True))
    assert training_frames(avatar, known, None, progress=lambda *_: None) == []


def test_wrong_files_are_one_line(tmp_path: Path, networks: LivePortrait) -> None:
    with pytest.raises(UserError, match=r"no appearance_feature_extractor\.onnx"):
        LivePortrait(tmp_path)
    write_networks(tmp_path)
    (tmp_path / "motion_extractor.onnx").write_bytes(b"not a network")
    with pytest.raises(UserError, match=r"motion_extractor\.onnx: cannot be loaded") as caught:
        LivePortrait(tmp_path)
    assert "\n" not in str(caught.value)
    (tmp_path / "motion_extractor.onnx").write_bytes((tmp_path / "stitching.onnx").read_bytes())
    with pytest.raises(UserError, match="has 1 outputs, LivePortrait's has 7"):
        LivePortrait(tmp_path)
    source = networks.keypoints(crop_of(0.1, 0.1))
    few = replace(source, canonical=source.canonical[:5], expression=source.expression[:5])
    with pytest.raises(UserError, match="does not take LivePortrait's inputs"):
        networks.picture(networks.features(crop_of(0.1, 0.1)), few, few)
