"""What pictures with depth show before the avatar becomes Gaussians where it is, whatever they are bound to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_set_toys import CENTRE, RADIUS, TRAIN, depth_of, hat, write_data_set
from offline.dataset.reading import read_dataset
from offline.editing.contract import View
from offline.training.dataset_learning import from_all_sides, looks_to_learn, seen_frames
from offline.training.start_from_frames import SeenFrame, teacher_from_frames
from perse_live.avatar import Avatar
from perse_live.decoder.features import places_at_rest
from perse_live.poses import facing_pose
from toys import toy_avatar

_SIZE = 0.016  # metres: twice the size of the ball's Gaussians


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return toy_avatar(gaussians=600)


@pytest.fixture(scope="module")
def seen(avatar: Avatar, tmp_path_factory: pytest.TempPathFactory) -> list[SeenFrame]:
    root = tmp_path_factory.mktemp("set")
    write_data_set(root, avatar, hat(avatar))
    (look,) = looks_to_learn(read_dataset(root))
    assert len(seen_frames(look, "train", 4, slot="hat")) == 4
    return seen_frames(look, "train", 100, slot="hat")


@pytest.mark.parametrize("slot", ["hat", "beard"])
def test_points_lie_where_the_thing_is(avatar: Avatar, seen: list[SeenFrame], slot: str) -> None:
    assert len(seen) == TRAIN, "the train split alone"
    teacher = teacher_from_frames(avatar, "ball", "Ball", slot, seen, seen)
    look = teacher.look
    assert not teacher.known and look.slot == slot and len(look.ids) > 10
    added = look.added
    assert len(added) > 100
    assert (len(added.surface.triangles) > 0) == (slot == "beard")
    assert (len(added.rigid.means) > 0) == (slot == "hat")
    ball = added.colors[:, 0] > added.colors[:, 1] + 0.4
    assert ball.mean() > 0.5
    if slot == "hat":  # what is bound to the face moves with its expressions
        places = places_at_rest(avatar.rig, added.surface, added.rigid)[ball]
        off = np.abs(np.linalg.norm(places - np.array(CENTRE), axis=1) - RADIUS)
        assert np.percentile(off, 90) < _SIZE


def test_pictures_without_depth_change_what_is_there(avatar: Avatar, seen: list[SeenFrame]) -> None:
    blind = [replace(one, depth=None) for one in seen]
    look = teacher_from_frames(avatar, "ball", "Ball", "hat", blind, blind).look
    assert len(look.ids) > 10 and not len(look.added)
    with pytest.raises(ValueError, match="no pictures"):
        teacher_from_frames(avatar, "ball", "Ball", "hat", [], [])


def test_what_pictures_see_through_starts_hidden_however_deep(
    avatar: Avatar, seen: list[SeenFrame]
) -> None:
    empty: list[SeenFrame] = []
    for one in seen:
        assert one.depth is not None
        everywhere = replace(one.frame, part_mask=np.ones_like(one.frame.part_mask))
        empty.append(SeenFrame(everywhere, np.zeros_like(one.depth)))
    look = teacher_from_frames(avatar, "gone", "Gone", "hat", empty, empty).look
    assert len(look.ids) > 0.9 * len(avatar)  # also what is behind other Gaussians in every picture
    assert not look.opacities.any()


def test_pictures_that_show_nothing_of_a_gaussian_do_not_keep_it(
    avatar: Avatar, seen: list[SeenFrame]
) -> None:
    """An empty pixel outside the part says nothing: the avatar is not seen there without the look either."""
    pictures: list[SeenFrame] = []
    for number, one in enumerate(seen):
        assert one.depth is not None
        mask = np.full_like(one.frame.part_mask, float(number % 2 == 0))
        pictures.append(SeenFrame(replace(one.frame, part_mask=mask), np.zeros_like(one.depth)))
    look = teacher_from_frames(avatar, "gone", "Gone", "hat", pictures, pictures).look
    assert len(look.ids) > 0.9 * len(avatar) and not look.opacities.any()


def test_the_background_at_an_outline_becomes_nothing(
    avatar: Avatar, seen: list[SeenFrame]
) -> None:
    color = np.array([0.1, 0.6, 0.3], np.float32)
    for alpha in (0.5, 0.8):
        pictures: list[SeenFrame] = []
        for one in seen:
            backdrop = np.array(one.frame.backdrop, np.float32)
            image = np.ones_like(one.frame.image) * (alpha * color + (1 - alpha) * backdrop)
            share = np.full_like(one.frame.part_mask, alpha)
            pictures.append(replace(one, frame=replace(one.frame, image=image), alpha=share))
        added = teacher_from_frames(avatar, "ball", "Ball", "hat", pictures, pictures).look.added
        if alpha < 0.75:
            assert not len(added)
        else:
            assert len(added) > 50
            np.testing.assert_allclose(added.colors, np.tile(color, (len(added), 1)), atol=1e-3)


def test_what_a_class_calls_a_thing_is_added_at_the_avatar_s_own_depth(
    avatar: Avatar, seen: list[SeenFrame]
) -> None:
    """A hat that presses hair flat lies in places where the hair was."""
    pictures: list[SeenFrame] = []
    for one in seen:
        view = View(one.frame.camera, one.frame.pose, one.frame.expression, one.frame.gaze)
        depth, alpha = depth_of(avatar, view)
        mask = (alpha > 0.9).astype(np.float32)
        pictures.append(SeenFrame(replace(one.frame, part_mask=mask), depth.astype(np.float32)))
    assert not len(teacher_from_frames(avatar, "a", "A", "hat", pictures, pictures).look.added)
    called = [replace(one, thing=one.frame.part_mask > 0) for one in pictures]
    look = teacher_from_frames(avatar, "a", "A", "hat", called, called).look
    assert len(look.added) > 50
    assert (look.opacities == 0).sum() > 50, "and hides what lies in its surface"


def test_points_come_from_pictures_of_all_sides(avatar: Avatar, seen: list[SeenFrame]) -> None:
    yaws = [0.0, 1.0, 2.0, -30.0, 1.5, 0.5, 28.0, 3.0]
    turned = [
        replace(seen[0], frame=replace(seen[0].frame, pose=facing_pose(avatar, yaw=yaw)))
        for yaw in yaws
    ]
    chosen = from_all_sides(turned, 3)
    assert [turned.index(one) for one in chosen] == [0, 3, 6]
    assert len(from_all_sides([turned[0]] * 4, 3)) == 3 and len(from_all_sides(turned, 20)) == 8
