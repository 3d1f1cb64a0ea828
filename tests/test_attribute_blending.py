from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribute_toys import toy_attribute, toy_decoder, toy_learned
from corrective_toys import with_toy_correctives
from hypothesis_profiles import examples
from perse_live.animator import Animator
from perse_live.attribute_blender import AttributeBlender
from perse_live.attribute_blending import effective_weights, with_attributes
from perse_live.attributes import Attribute, LearnedAttribute, none_learned, nothing_added
from perse_live.avatar import Avatar
from perse_live.decoder import evaluation
from perse_live.decoder.attribute_change import UNSEEN
from perse_live.gaussians import Gaussians
from perse_live.head.expressions import expression
from perse_live.regions import Region
from runtime.stage import Motion, Stage, facing_pose
from toys import toy_avatar

NAMES = ("beard", "stubble", "hat", "nose", "glasses")
LEARNED = ("goatee", "moustache", "cap", "copper", "chin", "hood", "fringe")
WEIGHTS = st.dictionaries(
    st.sampled_from(NAMES), st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
)
MIXED = st.dictionaries(
    st.sampled_from(NAMES + LEARNED), st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
)
DOING = (expression(jawOpen=0.5, mouthSmileLeft=0.7), np.full((2, 2), 0.1, np.float32))


def learned_looks(toy: Avatar) -> tuple[LearnedAttribute, ...]:
    return (
        toy_learned(toy, "goatee", "beard", seed=10),
        toy_learned(toy, "moustache", "beard", seed=11, free=0),
        toy_learned(toy, "cap", "hat", seed=12, on_surface=0, changed=300),
        replace(toy_learned(toy, "copper", "hair", seed=13, tints_hair=True), added=none_learned()),
        toy_learned(toy, "chin", "face", seed=14, changed=0, on_surface=0, free=0),
        toy_learned(toy, "hood", "cloth", seed=15, moves_base=True, changed=200),
        toy_learned(toy, "fringe", "hair", seed=16),
    )


@pytest.fixture(scope="module")
def decoded() -> Avatar:
    toy = toy_avatar(gaussians=600)
    return replace(toy, attributes=learned_looks(toy), decoder=toy_decoder())


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    toy = toy_avatar(gaussians=600)
    return with_toy_correctives(
        replace(toy, decoder=toy_decoder(), attributes=(*explicit_looks(toy), *learned_looks(toy)))
    )


def explicit_looks(toy: Avatar) -> tuple[Attribute, ...]:
    return (
        toy_attribute(toy, "beard", "beard"),
        toy_attribute(toy, "stubble", "beard", seed=1, free=0),
        toy_attribute(toy, "hat", "hat", seed=2, on_surface=0, changed=300),
        replace(toy_attribute(toy, "nose", "nose", seed=3), added=nothing_added()),
        toy_attribute(toy, "glasses", "glasses", seed=4, changed=0, moved=0),
    )


@pytest.fixture(scope="module")
def blender(avatar: Avatar) -> AttributeBlender:
    return AttributeBlender(avatar)


def assert_alike(quick: Avatar, clear: Avatar) -> None:
    assert len(quick) == len(clear)
    np.testing.assert_allclose(quick.rig.vertices, clear.rig.vertices, atol=1e-6)
    for first, second in ((quick.surface, clear.surface), (quick.rigid, clear.rigid)):
        for name, array in vars(second).items():
            rough = 2e-4 if name == "positions" else 6e-6  # shares of an edge, which may be short
            np.testing.assert_allclose(
                getattr(first, name), array, atol=rough, rtol=1e-5, err_msg=name
            )
            assert getattr(first, name).dtype == array.dtype
            assert getattr(first, name).flags.c_contiguous
    for name in ("opacities", "colors", "regions"):
        np.testing.assert_allclose(
            getattr(quick, name), getattr(clear, name), atol=1e-5, err_msg=name
        )
    for name, array in vars(clear.correctives.deltas).items():
        np.testing.assert_allclose(
            getattr(quick.correctives.deltas, name),
            array,
            atol=1e-6,
            err_msg=f"correctives, {name}",
        )


@examples(60)
@given(WEIGHTS)
def test_worn_is_within_range_and_leaves_the_avatar_as_it_was(
    avatar: Avatar, weights: dict[str, float]
) -> None:
    before = [
        array.copy()
        for array in (avatar.colors, avatar.opacities, avatar.rig.vertices, avatar.rigid.means)
    ]
    shown = with_attributes(avatar, avatar.attributes, weights)
    for array, kept in zip(
        (avatar.colors, avatar.opacities, avatar.rig.vertices, avatar.rigid.means),
        before,
        strict=True,
    ):
        np.testing.assert_array_equal(array, kept)
    added = sum(len(one.added) for one in avatar.attributes if weights.get(one.name))
    assert (
        len(shown) == len(avatar) + added == len(shown.surface.triangles) + len(shown.rigid.means)
    )
    for array in (shown.colors, shown.opacities):
        assert array.min() >= 0 and array.max() <= 1
    assert (shown is avatar) == (not any(weights.values()))
    assert shown.rig.actions is avatar.rig.actions and shown.rig.triangles is avatar.rig.triangles
    assert shown.rig.parts is avatar.rig.parts


def test_full_weight_is_the_attribute_itself_and_starts_are_starts(avatar: Avatar) -> None:
    hat = avatar.attributes[2]
    assert isinstance(hat, Attribute)
    full = with_attributes(avatar, avatar.attributes, {"hat": 1.0})
    surface = len(avatar.surface.triangles)
    np.testing.assert_allclose(full.colors[hat.ids], hat.colors, atol=1e-6)
    np.testing.assert_allclose(full.opacities[hat.ids], hat.opacities, atol=1e-6)
    np.testing.assert_allclose(
        full.rig.vertices[hat.vertex_ids],
        avatar.rig.vertices[hat.vertex_ids] + hat.vertex_offsets,
        atol=1e-6,
    )
    base = len(avatar.rigid.means)
    np.testing.assert_allclose(full.rigid.means[base:], hat.added.rigid.means, atol=1e-6)
    np.testing.assert_allclose(full.opacities[surface + base :], hat.added.opacities, atol=1e-5)
    little = with_attributes(avatar, avatar.attributes, {"hat": 1e-4})
    np.testing.assert_allclose(little.rigid.means[base:], hat.added.rigid_start, atol=1e-4)
    np.testing.assert_allclose(
        little.rigid.scales[base:], hat.added.rigid.scales * hat.added.least_size, rtol=1e-3
    )
    assert little.opacities[surface + base :].max() < 1e-3


@given(WEIGHTS)
def test_a_slot_never_has_more_than_the_weight_1(avatar: Avatar, weights: dict[str, float]) -> None:
    shares = effective_weights(avatar.attributes, weights)
    assert shares[0] + shares[1] <= 1 + 1e-9
    for one, share in zip(avatar.attributes, shares, strict=True):
        if one.slot != "beard":
            assert share == weights.get(one.name, 0.0)


@examples(60)
@given(st.lists(MIXED, min_size=1, max_size=5))
def test_the_dresser_shows_what_worn_does_whatever_was_worn_before(
    avatar: Avatar, blender: AttributeBlender, changes: list[dict[str, float]]
) -> None:
    for weights in changes:
        assert_alike(blender.blend(weights), with_attributes(avatar, avatar.attributes, weights))
    assert blender.blend({}) is avatar
    assert blender.blend({"no-such": 1.0}) is avatar


SLOTTED = st.dictionaries(st.sampled_from(LEARNED), st.floats(0, 1))


@examples(40)
@given(SLOTTED)
def test_outside_of_the_supports_nothing_changes_bit_for_bit(
    decoded: Avatar, weights: dict[str, float]
) -> None:
    shown = with_attributes(decoded, decoded.attributes, weights)
    count, total = len(decoded.surface.triangles), len(decoded)
    untouched = np.ones(total, np.bool_)
    still = np.ones(total, np.bool_)
    for one in decoded.attributes:
        if weights.get(one.name):
            untouched[one.ids] = False
            assert isinstance(one, LearnedAttribute)
            still[one.ids] &= not one.moves_base
    shift = len(shown.surface.triangles) - count
    base = np.r_[np.arange(count), np.arange(count, total) + shift]
    for name in ("colors", "opacities"):
        np.testing.assert_array_equal(
            getattr(shown, name)[base][untouched], getattr(decoded, name)[untouched]
        )
    np.testing.assert_array_equal(
        shown.surface.positions[:count][still[:count]], decoded.surface.positions[still[:count]]
    )
    np.testing.assert_array_equal(
        shown.surface.axes[:count][still[:count]], decoded.surface.axes[still[:count]]
    )
    free = len(decoded.rigid.means)
    np.testing.assert_array_equal(
        shown.rigid.means[:free][still[count:]], decoded.rigid.means[still[count:]]
    )
    seen = shown.opacities[(shown.opacities > 0) & ~np.isin(np.arange(len(shown)), base[untouched])]
    assert not len(seen) or seen.min() >= UNSEEN  # what is decoded is there, or exactly absent


def test_slots_add_up_on_the_avatars_own_gaussians(decoded: Avatar) -> None:
    plain = replace(
        decoded,
        colors=np.full_like(decoded.colors, 0.5),
        opacities=np.full_like(decoded.opacities, 0.5),
    )
    mild = tuple(
        replace(one, adapter=replace(one.adapter, alpha=0.01)) for one in learned_looks(plain)[:3:2]
    )
    both = with_attributes(plain, mild, {"goatee": 0.7, "cap": 1.0})
    alone = [
        with_attributes(plain, mild, {name: weight})
        for name, weight in (("goatee", 0.7), ("cap", 1.0))
    ]
    count = len(plain.surface.triangles)
    changes = [one.colors[:count] - plain.colors[:count] for one in alone]
    assert all(np.abs(change).max() > 1e-5 for change in changes)
    np.testing.assert_allclose(
        both.colors[:count] - plain.colors[:count], changes[0] + changes[1], atol=1e-6
    )


def test_between_two_looks_of_a_slot_each_has_its_share_of_its_full_change(decoded: Avatar) -> None:
    """Own hair that both looks take away does not come back half-way, and skin that both change does not change twice."""
    plain = replace(decoded, colors=np.full_like(decoded.colors, 0.5))
    mild = tuple(
        replace(one, adapter=replace(one.adapter, alpha=0.01), pace=None)
        for one in learned_looks(plain)[:2]
    )
    ends, between = (
        [with_attributes(plain, mild, {"goatee": 1 - w, "moustache": w}) for w in weights]
        for weights in ((0.0, 1.0), (0.25, 0.5))
    )
    count = len(plain.surface.triangles)
    first, last = (one.colors[:count] for one in ends)
    assert np.abs(last - first).max() > 1e-5
    for share, shown in zip((0.25, 0.5), between, strict=True):
        np.testing.assert_allclose(
            shown.colors[:count], (1 - share) * first + share * last, atol=1e-6
        )


def test_a_tint_reaches_hair_of_other_slots_and_nothing_else(decoded: Avatar) -> None:
    cap = decoded.attributes[2]
    regions = cap.added.regions.copy()
    regions[::2] = Region.ACCESSORY
    assert isinstance(cap, LearnedAttribute)
    avatar = replace(
        decoded,
        attributes=(
            replace(cap, added=replace(cap.added, regions=regions)),
            *decoded.attributes[3:4],
        ),
    )
    plain, tinted = (
        with_attributes(avatar, avatar.attributes, {"cap": 1.0, "copper": weight})
        for weight in (0.0, 1.0)
    )
    changed = (plain.colors[-len(cap.added) :] != tinted.colors[-len(cap.added) :]).any(1)
    assert not changed[::2].any() and changed[1::2].mean() > 0.5
    np.testing.assert_array_equal(plain.rigid.means, tinted.rigid.means)


def test_parts_of_one_slot_see_each_other_in_the_network(decoded: Avatar) -> None:
    goatee = decoded.attributes[0]
    alone, mixed = (
        with_attributes(decoded, decoded.attributes, {"goatee": 0.5, "moustache": other})
        for other in (0.0, 0.5)
    )
    first = len(decoded.surface.triangles)
    here = slice(first, first + len(goatee.added.surface.triangles))
    assert np.abs(alone.surface.positions[here] - mixed.surface.positions[here]).max() > 1e-4


def test_the_network_is_asked_again_only_when_weights_change(
    decoded: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    kernel = evaluation.decode_rows

    def counted(*arrays: object) -> None:
        asked.append(1)
        kernel(*arrays)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(evaluation, "decode_rows", counted)
    blender = AttributeBlender(decoded)
    blender.blend({"goatee": 0.5, "cap": 0.5})
    asked.clear()
    blender.blend({"goatee": 0.5, "cap": 0.5})
    assert asked == []
    blender.blend({"goatee": 0.6, "cap": 0.5})
    assert len(asked) == 2  # the goatee's support and what it adds


def test_an_avatar_without_attributes_has_nothing_to_wear() -> None:
    toy = toy_avatar(gaussians=300)
    assert AttributeBlender(toy).blend({"hat": 1.0}) is toy


def test_attributes_of_another_avatar_are_refused(avatar: Avatar) -> None:
    hat, cap = avatar.attributes[2], avatar.attributes[7]
    assert isinstance(hat, Attribute) and isinstance(cap, LearnedAttribute)
    for wrong in (
        replace(hat, ids=hat.ids + len(avatar)),
        replace(hat, colors=hat.colors[:3]),
        replace(hat, vertex_ids=hat.vertex_ids - 10**5),
    ):
        with pytest.raises(ValueError, match="'hat' does not belong"):
            AttributeBlender(replace(avatar, attributes=(wrong,)))
    for bad in (
        replace(cap, ids=cap.ids + len(avatar)),
        replace(cap, codes=cap.codes[:3]),
        replace(cap, added=replace(cap.added, codes=cap.added.codes[:3])),
    ):
        with pytest.raises(ValueError, match="'cap' does not belong"):
            AttributeBlender(replace(avatar, attributes=(bad,)))
    with pytest.raises(ValueError, match="without a decoder"):
        AttributeBlender(replace(avatar, attributes=(cap,), decoder=None))
    with pytest.raises(ValueError, match="without a decoder"):
        with_attributes(replace(avatar, decoder=None), (cap,), {"cap": 1.0})
    with pytest.raises(ValueError, match="10 colours"):
        AttributeBlender(replace(avatar, colors=avatar.colors[:10]))


# ----- in the animator


def copied(gaussians: Gaussians) -> Gaussians:
    return Gaussians(*(array.copy() for array in vars(gaussians).values()))


@pytest.mark.slow
@examples(25)
@given(st.lists(WEIGHTS, min_size=1, max_size=4))
def test_who_changes_clothes_looks_as_one_who_came_in_them(
    avatar: Avatar, blender: AttributeBlender, changes: list[dict[str, float]]
) -> None:
    animator, pose = Animator(avatar, threads=1), facing_pose(avatar, yaw=15, pitch=-5)
    residual = np.random.default_rng(0).normal(0, 1e-3, (478, 3)).astype(np.float32)
    for weights in changes:
        animator.set_avatar(blender.blend(weights))
        changed = copied(animator.pose(*DOING, pose, residual=residual))
        fresh = Animator(with_attributes(avatar, avatar.attributes, weights), threads=1).pose(
            *DOING, pose, residual=residual
        )
        # At the very edge of facing away
        hidden_in_one = (changed.opacities == 0) != (fresh.opacities == 0)
        assert hidden_in_one.sum() <= 2
        for name in ("means", "scales", "colors"):
            np.testing.assert_allclose(
                getattr(changed, name), getattr(fresh, name), atol=2e-5, err_msg=name
            )
        np.testing.assert_allclose(
            changed.opacities[~hidden_in_one], fresh.opacities[~hidden_in_one], atol=2e-5
        )


def test_buffers_are_kept_while_there_is_room(avatar: Avatar) -> None:
    animator, pose = Animator(avatar, threads=1), facing_pose(avatar)
    animator.set_avatar(with_attributes(avatar, avatar.attributes, dict.fromkeys(NAMES, 1.0)))
    most = animator.pose(*DOING, pose).means
    animator.set_avatar(avatar)
    least = animator.pose(*DOING, pose).means
    assert len(least) == len(avatar) < len(most)
    assert np.shares_memory(least, most)


def test_a_stage_draws_what_is_worn(avatar: Avatar) -> None:
    motion, camera = Motion(*DOING, facing_pose(avatar)), avatar.source.camera
    stage = Stage(avatar, camera, threads=1)
    bare = stage.draw(motion, background=(1, 1, 1)).copy()
    blended = with_attributes(avatar, avatar.attributes, {"hat": 1.0, "beard": 0.6})
    stage.set_avatar(blended)
    np.testing.assert_array_equal(
        stage.draw(motion, background=(1, 1, 1)),
        Stage(blended, camera, threads=1).draw(motion, background=(1, 1, 1)),
    )
    stage.set_avatar(avatar)
    np.testing.assert_array_equal(stage.draw(motion, background=(1, 1, 1)), bare)


def test_another_rig_is_no_clothing(avatar: Avatar) -> None:
    other = replace(avatar, rig=replace(avatar.rig, actions=avatar.rig.actions.copy()))
    with pytest.raises(ValueError, match="another avatar's rig"):
        Animator(avatar, threads=1).set_avatar(other)
