from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribute_toys import toy_attribute, toy_decoder, toy_learned
from corrective_toys import COMPONENTS, doings, toy_deltas, with_own, with_toy_correctives
from hypothesis_profiles import examples
from perse_live.animate import pose_gaussians, pose_vertices
from perse_live.animator import Animator
from perse_live.attribute_blender import AttributeBlender
from perse_live.attribute_blending import blended_numbers, with_attributes
from perse_live.avatar import Avatar, corrected, load_avatar, painted, save_avatar
from perse_live.correctives import (
    GAZE_NAMES,
    INPUT_NAMES,
    MAX_COMPONENTS,
    SECONDARY_NAMES,
    Component,
    Corrected,
    Correctives,
    Curve,
    InvalidCorrectivesError,
    LookCorrectives,
    bump,
    check,
    correct,
    feature_values,
    join,
    kept_by,
    no_correctives,
    no_deltas,
    offsets_in_binding,
    ramp,
    selected,
    sparse,
)
from perse_live.corrector import Corrector
from perse_live.decoder.features import places_at_rest
from perse_live.head.expressions import expression
from runtime.live.thinning import kept_gaussians, thinned
from runtime.stage import facing_pose
from toys import toy_avatar

LOOKING_DOWN = np.array([[0, -0.3], [0, -0.3]], np.float32)
STRAIGHT = np.zeros((2, 2), np.float32)


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return with_toy_correctives(toy_avatar(gaussians=700))


@pytest.fixture(scope="module")
def dressable() -> Avatar:
    toy = toy_avatar(gaussians=500)
    looks = (
        toy_attribute(toy, "beard", "beard"),
        toy_learned(toy, "cap", "hat", seed=1),
        toy_attribute(toy, "hat", "hat", seed=2),
        toy_learned(toy, "hood", "cloth", seed=3, moves_base=True),
    )
    return with_toy_correctives(replace(toy, attributes=looks, decoder=toy_decoder()))


# ----- features


def test_features_are_products_of_clamped_lines() -> None:
    values = feature_values(COMPONENTS, expression(eyeBlinkLeft=0.5, jawOpen=0.3), LOOKING_DOWN)
    np.testing.assert_allclose(values, [0.4 / 0.9, 1.0, 1.0, -0.125, 0.0, 0.0], atol=1e-6)
    values = feature_values(
        COMPONENTS, expression(eyeBlinkLeft=0.25, jawOpen=0.9), LOOKING_DOWN / 2
    )
    np.testing.assert_allclose(values, [0.15 / 0.9, 0.375, 0.25, 1.0, 0.0, 0.0], atol=1e-6)
    values = feature_values(
        COMPONENTS, expression(eyeBlinkLeft=1), np.array([[0, 0.4], [-0.8, 0]], np.float32)
    )
    np.testing.assert_allclose(values, [1, 0, 0, 0, 0, -1], atol=1e-6)


def test_inputs_behind_the_actions_are_gaze_and_secondary_motion() -> None:
    gaze = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)
    components = [
        Component(f"c{k}", (ramp(name, 0.0, 0.5),))
        for k, name in enumerate((*GAZE_NAMES, *SECONDARY_NAMES))
    ]
    np.testing.assert_allclose(
        feature_values(components, expression(), gaze), [0.2, 0.4, 0.6, 0.8, 0, 0, 0, 0], atol=1e-6
    )
    sways = np.array([0.4, 0.3, 0.2, 0.1])
    np.testing.assert_allclose(
        feature_values(components, expression(), STRAIGHT, sways),
        [0, 0, 0, 0, 0.8, 0.6, 0.4, 0.2],
        atol=1e-6,
    )


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    places = draw(st.lists(st.integers(-200, 200), min_size=2, max_size=6, unique=True))
    values = draw(st.lists(st.integers(-10, 10), min_size=len(places), max_size=len(places)))
    knots = tuple(
        (place / 100, value / 10) for place, value in zip(sorted(places), values, strict=True)
    )
    return Curve(draw(st.sampled_from(INPUT_NAMES)), knots)


@pytest.mark.slow
@examples(80)
@given(
    st.lists(st.lists(curves(), min_size=1, max_size=2), min_size=1, max_size=6),
    st.integers(0, 1000),
)
def test_the_fast_features_are_those_of_the_reference(drawn: list[list[Curve]], seed: int) -> None:
    components: list[Component] = []
    for k, pair in enumerate(drawn):
        try:
            components.append(Component(f"c{k}", tuple(pair)))
        except InvalidCorrectivesError:
            rest = [np.array(curve.knots).T for curve in pair]
            assert all(np.interp(0, places, values) != 0 for places, values in rest)
    if not components:
        return
    # one Gaussian for each component, whose colour is the feature
    colors = np.zeros((len(components), len(components), 3), np.float32)
    colors[np.arange(len(components)), np.arange(len(components))] = 0.5
    toy = toy_avatar(gaussians=40)
    toy = replace(toy, colors=np.full_like(toy.colors, 0.5))
    deltas = np.zeros((len(components), len(toy), 3), np.float32)
    deltas[:, : len(components)] = colors
    toy = replace(toy, correctives=sparse(components, deltas, deltas[..., 0]))
    random = np.random.default_rng(seed)
    doing, gaze = (
        random.random(52).astype(np.float32),
        random.normal(0, 0.4, (2, 2)).astype(np.float32),
    )
    found = Corrector(toy, threads=1)(doing, gaze).colors[: len(components), 0]
    np.testing.assert_allclose(
        found, 0.5 + 0.5 * feature_values(components, doing, gaze), atol=1e-4
    )


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Curve("eyeBlink", ((0, 0), (1, 1))), "unknown input"),
        (lambda: Curve("jawOpen", ((0, 0),)), "1 knots"),
        (lambda: Curve("jawOpen", tuple((k / 10, 0.0) for k in range(7))), "7 knots"),
        (lambda: Curve("jawOpen", ((0.5, 0), (0.2, 1))), "do not rise"),
        (lambda: Curve("jawOpen", ((0.5, 0), (0.5001, 1))), "do not rise"),
        (lambda: Curve("jawOpen", ((0, 0), (1, 1.5))), "out of range"),
        (lambda: Curve("jawOpen", ((0, 0), (1, float("nan")))), "out of range"),
        (lambda: Curve("jawOpen", ((0, 0), (float("inf"), 1))), "out of range"),
        (lambda: Component("Lid", (ramp("jawOpen", 0, 1),)), "name is 'Lid'"),
        (lambda: Component("lid", ()), "0 curves"),
        (lambda: Component("lid", (ramp("jawOpen", 0, 1),) * 3), "3 curves"),
        (lambda: Component("lid", (Curve("jawOpen", ((0, 0.5), (1, 1))),)), "not 0 at rest"),
    ],
)
def test_a_feature_that_cannot_be_is_refused(make: object, what: str) -> None:
    assert callable(make)
    with pytest.raises(InvalidCorrectivesError, match=what):
        make()


# ----- making them


def test_at_rest_nothing_is_changed(avatar: Avatar) -> None:
    rest = corrected(avatar, expression(), STRAIGHT)
    for name in ("colors", "opacities"):
        np.testing.assert_array_equal(getattr(rest, name), getattr(avatar, name))
    animated = Animator(avatar, threads=1).pose(expression(), STRAIGHT, facing_pose(avatar))
    assert animated.colors is avatar.colors


def test_the_sum_is_the_definition(avatar: Avatar) -> None:
    doing = expression(eyeBlinkLeft=0.6, jawOpen=0.5)
    values, deltas = feature_values(COMPONENTS, doing, LOOKING_DOWN), avatar.correctives.deltas
    colors, offsets = avatar.colors.astype(np.float64), np.zeros((len(avatar), 3))
    for k, (first, last) in enumerate(pairwise(deltas.starts)):
        for n in range(first, last):
            colors[deltas.ids[n]] += values[k] * deltas.colors[n]
            offsets[deltas.ids[n]] += values[k] * deltas.offsets[n]
    found = corrected(avatar, doing, LOOKING_DOWN)
    np.testing.assert_allclose(found.colors, np.clip(colors, 0, 1), atol=1e-6)
    count = len(avatar.surface.triangles)
    np.testing.assert_allclose(
        found.surface.positions - avatar.surface.positions, offsets[:count], atol=1e-5
    )
    np.testing.assert_allclose(found.rigid.means - avatar.rigid.means, offsets[count:], atol=1e-5)
    assert not len(found.correctives)


def test_sparse_keeps_what_can_be_seen() -> None:
    colors, opacities, offsets = (
        np.zeros((2, 9, 3), np.float32),
        np.zeros((2, 9), np.float32),
        np.zeros((2, 9, 3), np.float32),
    )
    colors[0, 4, 1], opacities[1, 2], offsets[1, 7, 2], colors[1, 8] = 0.1, -0.2, 1e-4, 1e-4
    made = sparse(COMPONENTS[:2], colors, opacities, offsets)
    assert made.deltas.starts.tolist() == [0, 1, 3] and made.deltas.ids.tolist() == [4, 2, 7]
    assert made.deltas.colors[0, 1] == np.float32(0.1) and made.deltas.opacities[1] == np.float32(
        -0.2
    )


def test_offsets_in_metres_move_by_as_much_at_rest(avatar: Avatar) -> None:
    random = np.random.default_rng(4)
    ids = np.sort(random.choice(len(avatar), 50, replace=False)).astype(np.int32)
    metres = random.normal(0, 0.001, (50, 3)).astype(np.float32)
    offsets = np.zeros((1, len(avatar), 3), np.float32)
    offsets[0, ids] = offsets_in_binding(avatar.rig, avatar.surface, ids, metres)
    made = sparse(COMPONENTS[:1], np.zeros_like(offsets), np.zeros_like(offsets[..., 0]), offsets)
    moved = corrected(replace(avatar, correctives=made), expression(eyeBlinkLeft=1), STRAIGHT)
    before, after = (places_at_rest(one.rig, one.surface, one.rigid) for one in (avatar, moved))
    expected = np.zeros_like(before)
    expected[ids] = metres
    np.testing.assert_allclose(after - before, expected, atol=2e-6)


def test_joined_ones_add_up(avatar: Avatar) -> None:
    random = np.random.default_rng(5)
    whole = avatar.correctives
    ends = whole.deltas.starts[2]
    first = Correctives(
        COMPONENTS[:2],
        replace(
            selected(whole.deltas, np.arange(len(avatar), dtype=np.int32)),
            starts=whole.deltas.starts[:3],
            ids=whole.deltas.ids[:ends],
            colors=whole.deltas.colors[:ends],
            opacities=whole.deltas.opacities[:ends],
            offsets=whole.deltas.offsets[:ends],
        ),
    )
    second = Correctives(
        (Component("smile", (ramp("mouthSmileLeft", 0, 1),)),),
        replace(
            no_deltas(1),
            starts=np.array([0, 1], np.int32),
            ids=np.array([3], np.int32),
            colors=random.random((1, 3), np.float32),
            opacities=np.ones(1, np.float32),
            offsets=np.zeros((1, 3), np.float32),
        ),
    )
    both = join(first, second)
    check(both, len(avatar))
    base = Corrected(avatar.surface.positions, avatar.rigid.means, avatar.opacities, avatar.colors)
    doing = expression(eyeBlinkLeft=0.4, mouthSmileLeft=1)

    def applied(one: Correctives, to: Corrected) -> Corrected:
        return correct(one, to, feature_values(one.components, doing, STRAIGHT))

    # Clipped in between, which only Gaussian 3 can show
    twice = applied(second, applied(first, base)).colors
    np.testing.assert_allclose(
        np.delete(applied(both, base).colors, 3, 0), np.delete(twice, 3, 0), atol=1e-6
    )
    with pytest.raises(InvalidCorrectivesError, match="same name"):
        join(first, first)
    many = Correctives(
        tuple(Component(f"c{k}", (bump("jawOpen", 0, 0.5, 1),)) for k in range(MAX_COMPONENTS)),
        no_deltas(MAX_COMPONENTS),
    )
    with pytest.raises(InvalidCorrectivesError, match="25 components"):
        join(many, second)


def test_what_a_look_hides_keeps_no_correctives() -> None:
    opacities, changed = (
        np.array([0.8, 0.8, 0.8, 0.0, 0.5], np.float32),
        np.array([0.8, 0.0, 0.4, 0.0, 0.9], np.float32),
    )
    np.testing.assert_allclose(kept_by(opacities, changed), [1, 0, 0.5, 1, 1])


def test_a_mask_is_the_same_in_every_expression(avatar: Avatar) -> None:
    values = np.random.default_rng(0).random(len(avatar)).astype(np.float32)
    mask = painted(avatar, values)
    for doing, gaze in doings(2):
        now, full = corrected(mask, doing, gaze), corrected(avatar, doing, gaze)
        np.testing.assert_array_equal(now.colors, np.repeat(values[:, None], 3, 1))
        np.testing.assert_array_equal(now.opacities, full.opacities)
        np.testing.assert_array_equal(now.surface.positions, full.surface.positions)


# ----- drawn


@pytest.mark.parametrize("threads", [1, 2])
def test_the_animator_corrects_as_the_reference_does(avatar: Avatar, threads: int) -> None:
    animator, pose = Animator(avatar, threads=threads), facing_pose(avatar, yaw=20)
    for doing, gaze in doings(4):
        now, vertices = corrected(avatar, doing, gaze), pose_vertices(avatar.rig, doing, gaze, pose)
        expected = pose_gaussians(
            vertices, now.rig, now.surface, now.rigid, now.opacities, now.colors, pose
        )
        found = animator.pose(doing, gaze, pose)
        np.testing.assert_allclose(found.colors, expected.colors, atol=1e-5)
        np.testing.assert_allclose(found.means, expected.means, atol=5e-6)
        at_edge = (found.opacities == 0) != (expected.opacities == 0)
        assert at_edge.mean() < 0.005
        np.testing.assert_allclose(
            found.opacities[~at_edge], expected.opacities[~at_edge], atol=1e-5
        )


NAMES = ("beard", "cap", "hat", "hood")
WEIGHTS = st.dictionaries(st.sampled_from(NAMES), st.one_of(st.just(1.0), st.floats(0, 1)))


@examples(30)
@given(st.lists(WEIGHTS, min_size=1, max_size=4))
def test_looks_fade_with_their_correctives(
    dressable: Avatar, changes: list[dict[str, float]]
) -> None:
    blender, animator, pose = (
        AttributeBlender(dressable),
        Animator(dressable, threads=1),
        facing_pose(dressable),
    )
    for k, weights in enumerate(changes):
        animator.set_avatar(blender.blend(weights))
        clear = with_attributes(dressable, dressable.attributes, weights)
        for doing, gaze in doings(1, seed=k):
            now = corrected(clear, doing, gaze)
            found = animator.pose(doing, gaze, pose)
            np.testing.assert_allclose(found.colors, now.colors, atol=3e-5)
            vertices = pose_vertices(now.rig, doing, gaze, pose)
            expected = pose_gaussians(
                vertices, now.rig, now.surface, now.rigid, now.opacities, now.colors, pose
            )
            np.testing.assert_allclose(found.means, expected.means, atol=3e-5)


def test_a_worn_look_replaces_what_it_says(dressable: Avatar) -> None:
    hat = next(one for one in dressable.attributes if one.name == "hat")
    base = LookCorrectives(np.zeros(len(hat.ids), np.float32), no_deltas(len(COMPONENTS)))
    other = replace(dressable, attributes=(replace(hat, correctives=base),))
    doing = expression(eyeBlinkLeft=1)
    for weight in (0.5, 1.0):
        look = with_attributes(other, other.attributes, {"hat": weight})
        change = corrected(look, doing, STRAIGHT).surface.positions - look.surface.positions
        full = corrected(dressable, doing, STRAIGHT).surface.positions - dressable.surface.positions
        count = len(dressable.surface.triangles)
        here = hat.ids[hat.ids < count]
        np.testing.assert_allclose(change[here], (1 - weight) * full[here], atol=1e-5)
        elsewhere = np.setdiff1d(np.arange(count), here)
        np.testing.assert_allclose(change[elsewhere], full[elsewhere], atol=1e-5)


def test_fewer_gaussians_keep_their_correctives(dressable: Avatar) -> None:
    regions = np.random.default_rng(3).integers(0, 12, len(dressable)).astype(np.uint8)
    whole = replace(dressable, regions=regions)
    few, kept = thinned(whole, 0.5), kept_gaussians(whole, 0.5)
    assert len(few) < len(whole)
    check(few.correctives, len(few))
    for doing, gaze in doings(2):
        np.testing.assert_allclose(
            corrected(few, doing, gaze).colors,
            corrected(whole, doing, gaze).colors[kept],
            atol=1e-6,
        )
    everything: dict[str, float] = dict.fromkeys(NAMES, 1.0)
    look, before = (with_attributes(one, one.attributes, everything) for one in (few, whole))
    base, theirs = blended_numbers(whole, whole.attributes)
    rows = [
        base[kept],
        *(
            numbers[len(one.ids) :][kept_gaussians(replace(whole, regions=one.added.regions), 0.5)]
            for one, numbers in zip(whole.attributes, theirs, strict=True)
        ),
    ]
    order = np.sort(np.concatenate(rows))
    for doing, gaze in doings(1):
        np.testing.assert_allclose(
            corrected(look, doing, gaze).colors,
            corrected(before, doing, gaze).colors[order],
            atol=1e-5,
        )


def test_another_avatars_correctives_are_no_clothing(avatar: Avatar) -> None:
    with pytest.raises(ValueError, match="correctives"):
        Animator(avatar, threads=1).set_avatar(replace(avatar, correctives=no_correctives()))


# ----- in files


def test_they_come_back_from_a_file(dressable: Avatar, tmp_path: Path) -> None:
    learned = tuple(one for one in dressable.attributes if one.name in ("cap", "hood"))
    one = replace(dressable, attributes=(learned[0], replace(learned[1], correctives=None)))
    save_avatar(tmp_path / "me.perse", one)
    again = load_avatar(tmp_path / "me.perse")
    assert again.correctives.components == COMPONENTS
    assert again.attributes[1].correctives is None and again.attributes[0].correctives is not None
    its = learned[0].correctives
    assert its is not None
    np.testing.assert_allclose(again.attributes[0].correctives.kept, its.kept, atol=1e-6)
    found = (again.correctives.deltas, again.attributes[0].correctives.deltas)
    for first, second in zip((dressable.correctives.deltas, its.deltas), found, strict=True):
        for name, array in vars(first).items():
            np.testing.assert_array_equal(getattr(second, name), array, err_msg=name)


def test_deltas_that_do_not_belong_are_not_saved(
    avatar: Avatar, dressable: Avatar, tmp_path: Path
) -> None:
    deltas = avatar.correctives.deltas
    cap = next(one for one in dressable.attributes if one.name == "cap")
    for bad in (
        replace(deltas, ids=deltas.ids + len(avatar)),
        replace(deltas, starts=deltas.starts[:-1]),
        replace(deltas, colors=deltas.colors[:-1]),
        replace(deltas, ids=deltas.ids[::-1].copy()),
    ):
        with pytest.raises(ValueError, match="not saved"):
            save_avatar(
                tmp_path / "bad.perse", replace(avatar, correctives=Correctives(COMPONENTS, bad))
            )
    with pytest.raises(ValueError, match=r"above 1|below -1"):
        save_avatar(
            tmp_path / "bad.perse",
            replace(
                avatar,
                correctives=Correctives(COMPONENTS, replace(deltas, colors=4 * deltas.colors)),
            ),
        )
    wrong = replace(
        with_own(cap, seed=1), correctives=LookCorrectives(np.ones(3, np.float32), toy_deltas(3))
    )
    with pytest.raises(ValueError, match="'cap' leaves"):
        save_avatar(tmp_path / "bad.perse", replace(dressable, attributes=(wrong,)))
    assert not list(tmp_path.iterdir())
