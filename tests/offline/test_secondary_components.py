from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attribute_toys import toy_attribute
from offline.looks.look_motion import with_look_motion
from offline.secondary_motion import COMPONENTS, with_secondary_motion
from perse_live.arrays import Float32Array
from perse_live.attribute_blending import with_attributes
from perse_live.avatar import Avatar, corrected
from perse_live.correctives import LookCorrectives, check, no_deltas
from perse_live.decoder.features import places_at_rest
from perse_live.head.expressions import expression
from perse_live.regions import Region
from perse_live.rotations import from_axis_angle
from toys import toy_avatar

STRAIGHT = np.zeros((2, 2), np.float32)


def places(avatar: Avatar) -> Float32Array:
    return places_at_rest(avatar.rig, avatar.surface, avatar.rigid)


def moved(avatar: Avatar, *secondary: float) -> Float32Array:
    """How far secondary motion moves the Gaussians, (G, 3) metres."""
    return places(corrected(avatar, expression(), STRAIGHT, np.array(secondary))) - places(avatar)


@pytest.fixture(scope="module")
def long_haired() -> Avatar:
    """The toy with hair of 25 cm, and shoulders below."""
    toy = toy_avatar(gaussians=900)
    rigid, count = toy.rigid, len(toy.surface.triangles)
    random = np.random.default_rng(0)
    means = rigid.means.copy()
    means[:, 1] = random.uniform(-0.25, 0.1, len(means))
    half = len(means) // 2
    weights = np.where(np.arange(len(means)) < half, 1, 0).astype(np.float32)
    regions = toy.regions.copy()
    regions[count : count + half], regions[count + half :] = Region.HAIR, Region.CLOTHES
    rig = replace(toy.rig, head_weights=np.ones_like(toy.rig.head_weights))
    return with_secondary_motion(
        replace(
            toy, rig=rig, rigid=replace(rigid, means=means, head_weights=weights), regions=regions
        )
    )


def test_loose_hair_turns_and_what_is_held_stays(long_haired: Avatar) -> None:
    check(long_haired.correctives, len(long_haired))
    assert long_haired.correctives.components == COMPONENTS
    before, hair = places(long_haired), long_haired.regions == Region.HAIR
    for axis in range(3):
        angle = np.zeros(4)
        angle[axis] = 0.1
        shift = moved(long_haired, *angle)
        loose, held = hair & (before[:, 1] < -0.2), before[:, 1] > -0.05
        np.testing.assert_array_equal(shift[held], 0)
        np.testing.assert_array_equal(shift[~hair], 0)
        arms = before[loose] - [0, -0.02, -0.06]
        turned = arms @ from_axis_angle(0.35 * angle[:3]).T - arms
        seen = np.linalg.norm(turned, axis=1) > 1e-3
        np.testing.assert_allclose(shift[loose][seen], turned[seen], atol=3e-4)
        assert np.abs(moved(long_haired, *(-angle)) + shift).max() < 1e-6


def test_the_photo_s_earrings_swing_about_their_hooks(long_haired: Avatar) -> None:
    loose = np.where(long_haired.regions == Region.HAIR, Region.ACCESSORY, long_haired.regions)
    worn = with_secondary_motion(
        replace(long_haired, regions=loose.astype(np.uint8), correctives=toy_avatar().correctives)
    )
    shift, before = moved(worn, 0.0, 0.0, 0.1, 0.0), places(worn)
    for side in (before[:, 0] < 0, before[:, 0] >= 0):
        own = side & (worn.regions == Region.ACCESSORY)
        hook = np.flatnonzero(own)[before[own, 1].argmax()]
        np.testing.assert_array_equal(shift[hook], 0)
        low = own & (before[:, 1] < before[hook, 1] - 0.02)
        assert low.any()
        np.testing.assert_allclose(
            shift[low, 0], -0.1 * (before[low, 1] - before[hook, 1]), atol=2e-3
        )


def test_shoulders_rise_with_the_breath(long_haired: Avatar) -> None:
    shift = moved(long_haired, 0, 0, 0, 1)
    clothes = long_haired.regions == Region.CLOTHES
    assert (shift[clothes][:, 1] > 0.002).all() and (shift[clothes][:, 1] < 0.004).all()
    np.testing.assert_array_equal(shift[~clothes], 0)


def test_short_hair_does_not_swing() -> None:
    toy = toy_avatar(gaussians=300)
    means = toy.rigid.means.copy()
    means[:, 1] = np.abs(means[:, 1])
    hair = np.full_like(toy.regions, Region.HAIR)
    short = with_secondary_motion(replace(toy, rigid=replace(toy.rigid, means=means), regions=hair))
    count = len(toy.surface.triangles)
    np.testing.assert_array_equal(moved(short, 0.3, 0.3, 0.3, 0)[count:], 0)


def test_added_hair_and_earrings_swing_too(long_haired: Avatar) -> None:
    hair = toy_attribute(long_haired, "hair-long", "hair", seed=3, changed=20, on_surface=0)
    means = (
        np.random.default_rng(1)
        .uniform(-0.2, 0, (len(hair.added.rigid.means), 3))
        .astype(np.float32)
    )
    hair = replace(
        hair,
        added=replace(
            hair.added,
            rigid=replace(
                hair.added.rigid, means=means, head_weights=np.ones(len(means), np.float32)
            ),
        ),
    )
    rings = replace(hair, name="earrings-hoop", slot="earrings")
    for look in (hair, rings):
        nothing = no_deltas(len(COMPONENTS))
        deltas = with_look_motion(long_haired, look, nothing)
        assert len(deltas.ids) and deltas.ids.min() >= len(look.ids)
        own = LookCorrectives(np.ones(len(look.ids), np.float32), deltas)
        blended = with_attributes(long_haired, (replace(look, correctives=own),), {look.name: 1.0})
        shift = moved(blended, 0, 0, 0.2, 0)[-len(means) :]
        lowest, highest = means[:, 1].argmin(), means[:, 1].argmax()
        assert np.linalg.norm(shift[lowest]) > 3e-3 > np.linalg.norm(shift[highest])
    with pytest.raises(ValueError, match="sway of its own"):
        with_look_motion(long_haired, hair, deltas)
    bare = toy_avatar(gaussians=100)
    assert with_look_motion(bare, hair, no_deltas()).ids.size == 0
