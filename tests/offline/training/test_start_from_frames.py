"""What pictures with depth show before the avatar becomes Gaussians where it is, whatever they are bound to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import KDTree

from data_set_toys import CENTRE, RADIUS, TRAIN, depth_of, hat, write_data_set
from offline.dataset.reading import read_dataset
from offline.editing.contract import View
from offline.looks.assembly import flat
from offline.training.contract import TrainingFrame
from offline.training.dataset_learning import from_all_sides, looks_to_learn, seen_frames
from offline.training.posed_avatar import SeenFrame
from offline.training.rebinding import rebound
from offline.training.start_from_frames import teacher_from_frames
from offline.training.unprojection import Points
from perse_live.animate import SurfaceBinding, bind_surface, pose_gaussians, pose_vertices
from perse_live.arrays import Float32Array
from perse_live.attributes import nothing_added
from perse_live.avatar import Avatar
from perse_live.decoder.features import places_at_rest
from perse_live.gaussians import Gaussians
from perse_live.head.rig import Part
from perse_live.poses import facing_pose
from perse_live.splatting.cpu import CpuRasterizer
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


def test_points_are_bound_to_what_they_move_with_though_other_triangles_are_nearer(
    avatar: Avatar,
) -> None:
    """Dots of many colours before the face, seen in several expressions; a further expression tells how far off they are."""
    generator = np.random.default_rng(4)
    # waves of 5 cm over the face, 5 mm high
    waves = generator.normal(size=(52, 3)) * 2 * np.pi / 0.05
    phases = avatar.rig.vertices @ waves.T
    ways = generator.normal(size=(52, 1, 3)) * 0.005 / 3**0.5
    actions = np.sin(phases.T)[..., None] * ways
    rig = replace(avatar.rig, actions=actions.astype(np.float32))
    avatar = replace(avatar, rig=rig)
    camera = avatar.source.camera
    still = np.zeros((2, 2), np.float32)
    moods = list(np.eye(52, dtype=np.float32)[:10])
    moods[0] = np.zeros(52, np.float32)
    moods[-1] = 0.6 * (moods[2] + moods[4])
    pose = facing_pose(avatar)
    rest, *_, unseen = (pose_vertices(rig, mood, still, pose) for mood in moods)
    skin = np.nonzero(rig.parts == Part.SKIN)[0]
    centres = rest[rig.triangles[skin]].mean(1)
    front = np.argsort(centres[:, 2])[: len(skin) // 3]
    dots = centres[front[generator.permutation(len(front))[:60]]] - np.array(
        [0, 0, 0.01], np.float32
    )
    ranked = skin[KDTree(centres).query(dots, k=30)[1]]
    shaped = flat(
        dots,
        np.tile([0.0, 0.0, -1.0], (len(dots), 1)),
        np.full((len(dots), 2), 0.002),
        generator.uniform(0, 1, (len(dots), 3)).astype(np.float32),
        opacity=0.95,
    )
    two_sided = np.ones(len(dots), np.uint8)
    truth, nearest = (
        bind_surface(shaped, ranked[:, rank], rest, rig.triangles, two_sided=two_sided)
        for rank in (29, 0)
    )
    none = nothing_added()

    def posed(surface: SurfaceBinding, vertices: Float32Array) -> Gaussians:
        shown = np.full(len(dots), 0.95, np.float32)
        return pose_gaussians(vertices, rig, surface, none.rigid, shown, shaped.colors, pose)

    pictures: list[SeenFrame] = []
    rasterizer = CpuRasterizer(camera.width, camera.height, threads=1)
    for mood in moods[:-1]:
        gaussians = posed(truth, pose_vertices(rig, mood, still, pose))
        image = rasterizer.render_float(gaussians, camera, background=(0.0, 0.0, 0.0)).copy()
        deep = replace(gaussians, colors=np.repeat(gaussians.means[:, 2:], 3, 1))
        z = rasterizer.render_float(deep, camera, background=(0.0, 0.0, 0.0))[..., 0]
        alpha = image[..., 3]
        frame = TrainingFrame(
            image[..., :3].copy(), alpha, camera, pose, mood, still, backdrop=(0.0, 0.0, 0.0)
        )
        pictures.append(SeenFrame(frame, z / np.maximum(alpha, 1e-3), alpha))
    points = Points(
        nearest, none.rigid, shaped.colors, two_sided.astype(np.float32), 0 * ranked[:, 0]
    )
    found = rebound(avatar, points, pictures[:1], pictures[1:])
    goal = posed(truth, unseen).means
    off = [
        np.linalg.norm(posed(one, unseen).means - goal, axis=1).mean() for one in (nearest, found)
    ]
    assert off[1] < 0.6 * off[0]
