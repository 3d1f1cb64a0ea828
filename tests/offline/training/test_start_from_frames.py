"""What pictures with depth show before the avatar becomes Gaussians where it is, whatever they are bound to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_set_toys import CENTRE, RADIUS, TRAIN, hat, write_data_set
from offline.dataset.reading import read_dataset
from offline.training.dataset_learning import looks_to_learn, seen_frames
from offline.training.start_from_frames import SeenFrame, teacher_from_frames
from perse_live.avatar import Avatar
from perse_live.decoder.features import places_at_rest
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
    assert len(seen_frames(look, "train", 4)) == 4
    return seen_frames(look, "train", 100)


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
