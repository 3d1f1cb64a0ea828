from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from offline.looks.assembly import surface_added
from offline.looks.hair.grown_strands import SkinField
from offline.looks.measured_head import head_shape
from offline.looks.registry import TITLES
from offline.looks.with_geometry import BUILT_IN
from offline.rig.photo_geometry import PhotoGeometry
from perse_live.animate import HeadPose, RigidBinding, bind_surface, pose_gaussians, pose_vertices
from perse_live.attribute_blending import with_attributes
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar, LandmarkBinding, neutral_landmarks
from perse_live.gaussians import Gaussians
from perse_live.head.expressions import expression
from perse_live.head.landmarks import INNER_LIP_LOWER, INNER_LIP_UPPER, load_landmark_model
from perse_live.head.rig import Part
from perse_live.regions import Region
from toys import toy_avatar

_SLOT_BUDGET = {"beard": 9000, "hair": 10000}
_GLASSES = [name for name in BUILT_IN if "glasses" in name]
_BEARDS = [name for name in BUILT_IN if name.startswith("beard")]
_HATS = [name for name in BUILT_IN if name.startswith("hat")]
_SYMMETRIC = [*_GLASSES, "headphones", "earrings-pearl", "earrings-hoop"]


@pytest.fixture(scope="module")
def person(mean_head: PhotoGeometry) -> Avatar:
    """The average head: skin in one colour on its rig, and a cap of thick hair."""
    rig, rng = mean_head.rig, np.random.default_rng(0)
    rows = np.nonzero(rig.parts == Part.SKIN)[0].astype(np.int32)
    middles = rig.vertices[rig.triangles[rows]].mean(1)
    count = len(rows)

    def blob(means: np.ndarray, color: tuple[float, float, float]) -> Gaussians:
        n = len(means)
        straight = np.tile(np.array([1, 0, 0, 0], np.float32), (n, 1))
        return Gaussians(
            means.astype(np.float32),
            straight,
            np.full((n, 3), 0.003, np.float32),
            np.full(n, 0.9, np.float32),
            np.tile(np.array(color, np.float32), (n, 1)),
        )

    skin = blob(middles, (0.72, 0.57, 0.49))
    away = rng.standard_normal((1500, 3))
    away = away / np.linalg.norm(away, axis=1, keepdims=True)
    away = away[(away[:, 1] > 0.0) & (away[:, 2] < 0.5)]
    hair = blob(
        np.array([0, 0.02, -0.08]) + away * np.array([0.105, 0.12, 0.125]), (0.25, 0.18, 0.12)
    )
    model = load_landmark_model()
    binding = LandmarkBinding(
        model.vertex_ids, model.barycentrics, np.zeros(1, np.int32), np.zeros((1, 478), np.float32)
    )
    toy = toy_avatar(gaussians=20)
    return replace(
        toy,
        rig=rig,
        surface=bind_surface(
            skin, rows, rig.vertices, rig.triangles, two_sided=np.zeros(count, np.uint8)
        ),
        rigid=RigidBinding(hair.means, hair.quats, hair.scales, np.ones(len(hair), np.float32)),
        opacities=np.concatenate([skin.opacities, hair.opacities]),
        colors=np.concatenate([skin.colors, hair.colors]),
        regions=np.array([int(Region.SKIN)] * count + [int(Region.HAIR)] * len(hair), np.uint8),
        landmarks=binding,
    )


@pytest.fixture(scope="module")
def pieces(person: Avatar) -> dict[str, Attribute]:
    return {name: make(person) for name, make in BUILT_IN.items()}


def _at_rest(person: Avatar, piece: Attribute, *, doing: np.ndarray | None = None) -> Gaussians:
    """What a piece adds, in the head's frame, under an expression."""
    still = np.eye(3, dtype=np.float32)
    pose = HeadPose(still, np.zeros(3, np.float32), still)
    doing = expression() if doing is None else doing
    vertices = pose_vertices(person.rig, doing, np.zeros((2, 2), np.float32), pose)
    added = piece.added
    return pose_gaussians(
        vertices, person.rig, added.surface, added.rigid, added.opacities, added.colors, pose
    )


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_pieces_are_valid(name: str, person: Avatar, pieces: dict[str, Attribute]) -> None:
    piece = pieces[name]
    assert piece.name == name
    assert (piece.label, piece.slot) == TITLES[name]
    added, count = piece.added, len(piece.added)
    assert 50 < count <= _SLOT_BUDGET.get(piece.slot, 3000)
    assert len(added.surface.triangles) + len(added.rigid.means) == count
    for array, width in ((added.opacities, 1), (added.colors, 3)):
        assert array.dtype == np.float32
        assert array.size == count * width
        assert float(array.min()) >= 0
        assert float(array.max()) <= 1
    assert 0 <= float(added.appear.min()) <= float(added.appear.max()) <= 0.9
    assert 0 < added.least_size <= 1
    assert added.surface_start.shape == added.surface.positions.shape
    assert added.rigid_start.shape == added.rigid.means.shape
    assert np.isfinite(added.surface.positions).all()
    assert np.isfinite(added.surface.axes).all()
    assert np.abs(added.rigid.means).max(initial=0) < 0.4
    assert added.rigid.scales.min(initial=1) > 0
    assert added.rigid.scales.max(initial=0) < 0.03  # no needles
    assert len(np.unique(piece.ids)) == len(piece.ids) == len(piece.colors) == len(piece.opacities)
    assert not len(piece.vertex_ids)
    # A piece hides or shades, it shows nothing anew
    assert (piece.opacities <= person.opacities[piece.ids] + 1e-6).all()
    assert (piece.colors <= person.colors[piece.ids] + 1e-6).all()


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_nothing_is_added_inside_the_head(
    name: str, person: Avatar, pieces: dict[str, Attribute]
) -> None:
    means = _at_rest(person, pieces[name]).means
    shape = head_shape(person)
    height = SkinField(shape).height(means)
    at_ears = np.abs(means[:, 0]) > 0.066  # folds: the nearest skin may be the ear's other side
    deep = (height < -0.0012) & ~(at_ears & (means[:, 2] < -0.05))
    assert deep.mean() < 0.005


@pytest.mark.parametrize("name", ["beard-stubble", "glasses-black", "hat-beanie"])
def test_pieces_are_the_same_twice(name: str, person: Avatar, pieces: dict[str, Attribute]) -> None:
    again = BUILT_IN[name](person).added
    for field in ("opacities", "colors", "appear", "surface_start", "rigid_start"):
        np.testing.assert_array_equal(getattr(again, field), getattr(pieces[name].added, field))


@pytest.mark.parametrize(
    "name", [*_GLASSES, *_HATS, "headphones", "earrings-pearl", "earrings-hoop"]
)
def test_hard_things_turn_with_the_skull(
    name: str, person: Avatar, pieces: dict[str, Attribute]
) -> None:
    added = pieces[name].added
    assert not len(added.surface.triangles)
    assert (added.rigid.head_weights == 1).all()
    still, talking = (
        _at_rest(person, pieces[name], doing=doing).means
        for doing in (expression(), expression(jawOpen=1))
    )
    np.testing.assert_array_equal(still, talking)


@pytest.mark.parametrize("name", _SYMMETRIC)
def test_pairs_are_symmetric(name: str, pieces: dict[str, Attribute]) -> None:
    means = pieces[name].added.rigid.means
    mirrored = means * np.array([-1, 1, 1], np.float32)
    apart = np.sqrt(((means[:, None] - mirrored[None]) ** 2).sum(-1)).min(1)
    assert np.median(apart) < 0.0015  # the head itself is not quite symmetric
    assert abs(float(means[:, 0].mean())) < 0.001


@pytest.mark.parametrize("name", _GLASSES)
def test_lenses_are_before_the_eyes(
    name: str, person: Avatar, pieces: dict[str, Attribute]
) -> None:
    added = pieces[name].added
    front = added.rigid.means[added.rigid.means[:, 2] > 0.012]
    for eye in person.rig.eye_centers:
        own = front[front[:, 0] * eye[0] > 0]
        middle = (own.min(0) + own.max(0)) / 2
        assert abs(middle[0] - eye[0]) < 0.008
        assert abs(middle[1] - eye[1]) < 0.008
        near = own[np.hypot(own[:, 0] - eye[0], own[:, 1] - eye[1]) < 0.008]
        clearance = near[:, 2] - (eye[2] + person.rig.eye_radius)
        assert len(near) > 5
        # Beyond the lashes, not on the nose's tip
        assert 0.006 < float(clearance.min()) < float(clearance.max()) < 0.024


@pytest.mark.parametrize("name", _GLASSES)
def test_arms_end_behind_the_ears(name: str, person: Avatar, pieces: dict[str, Attribute]) -> None:
    means = pieces[name].added.rigid.means
    ears = person.rig.vertices[head_shape(person).charts.ears > 0.5]
    assert means[:, 2].min() < ears[:, 2].mean()
    assert means[:, 2].min() > ears[:, 2].min() - 0.03


def test_sunglasses_are_dark_but_translucent(pieces: dict[str, Attribute]) -> None:
    def lens(name: str) -> np.ndarray:
        added = pieces[name].added
        means = added.rigid.means
        return added.opacities[
            (np.hypot(np.abs(means[:, 0]) - 0.034, means[:, 1]) < 0.010) & (means[:, 2] > 0.01)
        ]

    assert 0.2 < lens("sunglasses").mean() < 0.8
    assert lens("glasses-black").mean() < 0.06


@pytest.mark.parametrize("name", _BEARDS)
def test_beards_keep_off_the_lips(name: str, person: Avatar, pieces: dict[str, Attribute]) -> None:
    shape = head_shape(person)
    means = _at_rest(person, pieces[name]).means
    lips = SkinField(shape).lips(means)
    assert (lips > 0.5).mean() < 0.01
    seam = neutral_landmarks(person)[[*INNER_LIP_UPPER, *INNER_LIP_LOWER]]
    assert np.sqrt(((means[:, None] - seam[None]) ** 2).sum(-1)).min() > 0.002


@pytest.mark.parametrize("name", _BEARDS)
def test_beards_grow_from_their_roots(
    name: str, person: Avatar, pieces: dict[str, Attribute]
) -> None:
    piece = pieces[name]
    added = piece.added
    assert not len(added.rigid.means)
    begin = replace(
        piece, added=replace(added, surface=replace(added.surface, positions=added.surface_start))
    )
    roots = SkinField(head_shape(person)).height(_at_rest(person, begin).means)
    assert np.abs(roots).max() < 0.002
    assert added.appear.std() > 0.1  # strand by strand


def test_the_chin_s_hair_follows_the_jaw_and_the_moustache_does_not(
    person: Avatar, pieces: dict[str, Attribute]
) -> None:
    jaw = expression(jawOpen=0.8)

    def drop(name: str, middle: float) -> np.ndarray:
        piece = pieces[name]
        rest = _at_rest(person, piece).means
        return (rest - _at_rest(person, piece, doing=jaw).means)[np.abs(rest[:, 0]) < middle, 1]

    assert np.percentile(drop("beard-goatee", 0.02), 90) > 0.010
    assert np.percentile(np.abs(drop("beard-moustache", 0.008)), 90) < 0.003


def test_strands_hold_together_while_the_mouth_moves(
    person: Avatar, pieces: dict[str, Attribute]
) -> None:
    piece = pieces["beard-full"]
    chains = np.count_nonzero(piece.added.appear > 0)
    for doing in (
        expression(jawOpen=1),
        expression(mouthPucker=1),
        expression(mouthSmileLeft=1, mouthSmileRight=1),
    ):
        rest, moved = (
            _at_rest(person, piece, doing=one).means[:chains] for one in (expression(), doing)
        )
        same = (
            piece.added.surface.triangles[1:chains] == piece.added.surface.triangles[: chains - 1]
        )
        step, now = (
            np.linalg.norm(np.diff(places, axis=0), axis=1)[same] for places in (rest, moved)
        )
        assert np.percentile(now[step < 0.01] / step[step < 0.01], 99) < 2.5


@pytest.mark.parametrize("name", _HATS)
def test_hats_contain_the_skull_and_hide_the_hair_under_them(
    name: str, person: Avatar, pieces: dict[str, Attribute]
) -> None:
    piece = pieces[name]
    top = person.rig.vertices[:, 1].max()
    assert piece.added.rigid.means[:, 1].max() > top
    hair = person.regions == Region.HAIR
    high = np.nonzero(
        hair & (np.concatenate([np.zeros(int((~hair).sum())), person.rigid.means[:, 1]]) > 0.06)
    )[0]
    hidden = dict(zip(piece.ids.tolist(), piece.opacities.tolist(), strict=True))
    assert len(high) > 100
    assert all(hidden.get(one, 1.0) == 0 for one in high.tolist())


def test_pieces_of_all_slots_are_worn_together(
    person: Avatar, pieces: dict[str, Attribute]
) -> None:
    chosen = [pieces[name] for name in ("beard-full", "glasses-black", "hat-cap", "earrings-hoop")]
    blended = with_attributes(person, chosen, {one.name: 0.5 for one in chosen})
    assert len(blended) == len(person) + sum(len(one.added) for one in chosen)
    assert np.isfinite(blended.surface.positions).all()
    assert np.isfinite(blended.rigid.means).all()


def test_pieces_are_darker_in_a_dark_photo(person: Avatar) -> None:
    dim = replace(person, colors=person.colors * np.float32(0.5))
    bright, dark = (BUILT_IN["hat-beanie"](one).added.colors.mean() for one in (person, dim))
    assert 0.5 * bright < dark < 0.85 * bright


def test_a_cap_s_brim_slopes_down_and_does_not_hang_over_the_temples(
    pieces: dict[str, Attribute],
) -> None:
    """A level brim is a line from the front, and one whose ends hang lower than its tip looks like a helmet's rim."""
    means = pieces["hat-cap"].added.rigid.means[pieces["hat-cap"].added.regions != Region.HAIR]
    x, y, z = means.T
    tip = y[z > z.max() - 0.004].mean()
    behind = np.abs(z - (z.max() - 0.055)) < 0.006
    assert y[behind & (np.abs(x) < 0.02)].min() > tip + 0.010
    assert y[z > z.max() - 0.09].min() > tip - 0.015


def test_binding_to_the_surface_gives_back_what_was_bound(person: Avatar) -> None:
    rows = np.nonzero(person.rig.parts == Part.SKIN)[0][:5].astype(np.int32)
    means = person.rig.vertices[person.rig.triangles[rows]].mean(1)
    straight = np.tile(np.array([1, 0, 0, 0], np.float32), (5, 1))
    shaped = Gaussians(
        means,
        straight,
        np.full((5, 3), 0.001, np.float32),
        np.ones(5, np.float32),
        np.zeros((5, 3), np.float32),
    )
    added = surface_added(
        person, shaped, rows, means, appear=0.0, least_size=0.5, region=Region.HAIR
    )
    corners = person.rig.vertices[person.rig.triangles[rows]]
    b1, b2 = added.surface.positions[:, :1], added.surface.positions[:, 1:2]
    back = (
        corners[:, 0] + b1 * (corners[:, 1] - corners[:, 0]) + b2 * (corners[:, 2] - corners[:, 0])
    )
    np.testing.assert_allclose(back, means, atol=1e-6)
    assert {field.name for field in fields(added)} >= {"surface_start", "rigid_start"}
