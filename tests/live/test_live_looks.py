from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_avatars import dressable_avatar, places_of

from perse_live.avatar import Avatar
from perse_live.errors import UserError
from perse_live.regions import Region
from runtime.live.looks import Look, blended, dressed, hair_gaussians, iris_gaussians, looks_of
from toys import toy_avatar

NAMES = ("hair-copper", "hair-blond", "hair-raven", "hair-blue", "eyes-blue", "eyes-green", "eyes-amber")
WEIGHTS = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1))


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return dressable_avatar(gaussians=12_000)


@pytest.fixture(scope="module")
def looks(avatar: Avatar) -> tuple[Look, ...]:
    return looks_of(avatar)


def test_hair_and_eyes_can_be_changed_and_what_is_not_there_cannot(looks: tuple[Look, ...]) -> None:
    assert tuple(look.name for look in looks) == NAMES
    assert all(look.label and look.slot in ("hair", "eyes") and look.name.startswith(look.slot) for look in looks)
    assert looks_of(toy_avatar()) == ()


def test_only_hair_and_irises_are_concerned(avatar: Avatar, looks: tuple[Look, ...]) -> None:
    places = places_of(avatar)
    for look in looks:
        assert len(look.ids) == len(np.unique(look.ids)) == len(look.colors)
        allowed = (Region.HAIR, Region.HAIR_BACK, Region.SCALP) if look.slot == "hair" else (Region.EYE,)
        assert np.isin(avatar.regions[look.ids], allowed).all()
        assert look.colors.min() >= 0 and look.colors.max() <= 1
    for center in avatar.rig.eye_centers:
        near = np.linalg.norm(places[iris_gaussians(avatar)] - center, axis=1) < 0.03
        assert near.sum() >= 5, "both eyes"
    assert (avatar.colors[iris_gaussians(avatar)] < 0.5).mean() > 0.3, "it is the dark of the eye"


def test_a_stray_hair_on_the_face_keeps_its_colour(avatar: Avatar) -> None:
    places = places_of(avatar)
    cheek = int(np.argmin(np.linalg.norm(places - np.array([0.04, -0.05, 0.0]), axis=1)))
    crown = int(np.argmax(places[:, 1]))
    regions = avatar.regions.copy()
    regions[[cheek, crown]] = Region.HAIR
    found = hair_gaussians(replace(avatar, regions=regions))
    assert cheek not in found
    assert crown in found


@given(st.permutations(range(7)), st.booleans())
def test_without_weights_nothing_is_copied(avatar: Avatar, looks: tuple[Look, ...], order: list[int], named: bool) -> None:
    weights = {looks[i].name: 0.0 for i in order} if named else {}
    assert blended(avatar.colors, looks, weights) is avatar.colors


@settings(max_examples=40, deadline=None)
@given(WEIGHTS)
def test_any_weights_give_colours_and_touch_nothing_else(avatar: Avatar, looks: tuple[Look, ...],
                                                         weights: dict[str, float]) -> None:
    before = avatar.colors.copy()
    colors = blended(avatar.colors, looks, weights)
    np.testing.assert_array_equal(avatar.colors, before)
    assert colors.dtype == np.float32 and colors.shape == before.shape
    assert colors.min() >= 0 and colors.max() <= 1
    concerned = np.zeros(len(before), np.bool_)
    slots: defaultdict[str, float] = defaultdict(float)
    for look in looks:
        weight = weights.get(look.name, 0.0)
        slots[look.slot] += weight
        concerned[look.ids] |= weight > 0
    np.testing.assert_array_equal(colors[~concerned], before[~concerned])
    for look in looks:  # the sum of shares in a slot is at most 1: no colour lies beyond those that are mixed
        mixed = np.stack([before[look.ids], *(other.colors for other in looks if other.slot == look.slot)])
        assert (colors[look.ids] >= mixed.min(0) - 1e-5).all() and (colors[look.ids] <= mixed.max(0) + 1e-5).all()


def test_weights_of_one_slot_that_sum_to_more_than_1_share_it(avatar: Avatar, looks: tuple[Look, ...]) -> None:
    copper, blue = looks[0], looks[3]
    np.testing.assert_allclose(blended(avatar.colors, looks, {copper.name: 1.0})[copper.ids], copper.colors, atol=1e-6)
    both = blended(avatar.colors, looks, {copper.name: 1.0, blue.name: 1.0})
    np.testing.assert_allclose(both[copper.ids], (copper.colors + blue.colors) / 2, atol=1e-5)
    half = blended(avatar.colors, looks, {copper.name: 0.5})
    np.testing.assert_allclose(half[copper.ids], (copper.colors + avatar.colors[copper.ids]) / 2, atol=1e-5)
    apart = blended(avatar.colors, looks, {copper.name: 1.0, "eyes-blue": 1.0})
    np.testing.assert_allclose(apart[copper.ids], copper.colors, atol=1e-6)
    np.testing.assert_allclose(apart[looks[4].ids], looks[4].colors, atol=1e-6)


def test_an_attribute_looks_like_its_name(looks: tuple[Look, ...]) -> None:
    mean = {look.name: look.colors.mean(0) for look in looks}
    assert mean["hair-blue"][2] > mean["hair-blue"][0] and mean["eyes-blue"][2] > mean["eyes-blue"][0]
    assert mean["hair-copper"][0] > mean["hair-copper"][2] + 0.1
    assert mean["eyes-green"].argmax() == 1
    assert mean["hair-raven"].mean() < mean["hair-copper"].mean() < mean["hair-blond"].mean()


def test_strands_keep_their_light_and_dark(avatar: Avatar, looks: tuple[Look, ...]) -> None:
    luma = np.array([0.299, 0.587, 0.114])
    before, after = avatar.colors[looks[0].ids] @ luma, looks[0].colors @ luma
    assert np.corrcoef(before, after)[0, 1] > 0.8


def test_to_be_dressed_for_good(avatar: Avatar, looks: tuple[Look, ...]) -> None:
    assert dressed(avatar, ()) is avatar
    worn = dressed(avatar, ("hair-copper=0.7", "eyes-green=1"))
    np.testing.assert_array_equal(worn.colors, blended(avatar.colors, looks, {"hair-copper": 0.7, "eyes-green": 1.0}))
    assert worn.rig is avatar.rig


@pytest.mark.parametrize(("wish", "what"), [
    ("beard=1", "there is no attribute 'beard': there are hair-copper"), ("hair-copper", "not a number from 0 to 1"),
    ("hair-copper=2", "not a number"), ("hair-copper=-0.1", "not a number"), ("hair-copper=nan", "not a number"),
    ("hair-copper=a", "write hair-copper=0.7"), ("", "there is no attribute ''"),
])
def test_wishes_that_are_not_understood(avatar: Avatar, wish: str, what: str) -> None:
    with pytest.raises(UserError) as caught:
        dressed(avatar, (wish,))
    assert what in str(caught.value)
    with pytest.raises(UserError, match="there are none"):
        dressed(toy_avatar(), ("hair-copper=1",))
