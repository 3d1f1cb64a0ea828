from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from live_avatars import dressable_avatar, places_of

from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.regions import Region
from runtime.tints import hair_gaussians, iris_gaussians, tints_of
from toys import toy_avatar

NAMES = (
    "hair-copper",
    "hair-blond",
    "hair-raven",
    "hair-blue",
    "eyes-blue",
    "eyes-green",
    "eyes-amber",
)


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return dressable_avatar(gaussians=12_000)


@pytest.fixture(scope="module")
def tints(avatar: Avatar) -> tuple[Attribute, ...]:
    return tints_of(avatar)


def test_hair_and_eyes_can_be_changed_and_what_is_not_there_cannot(
    tints: tuple[Attribute, ...],
) -> None:
    assert tuple(tint.name for tint in tints) == NAMES
    assert all(
        tint.label and tint.slot in ("hair", "eyes") and tint.name.startswith(tint.slot)
        for tint in tints
    )
    assert tints_of(toy_avatar()) == ()


def test_a_tint_changes_nothing_but_colours(avatar: Avatar, tints: tuple[Attribute, ...]) -> None:
    for tint in tints:
        assert len(tint.added) == len(tint.vertex_ids) == 0
        np.testing.assert_array_equal(tint.opacities, avatar.opacities[tint.ids])


def test_only_hair_and_irises_are_concerned(avatar: Avatar, tints: tuple[Attribute, ...]) -> None:
    places = places_of(avatar)
    for tint in tints:
        assert len(tint.ids) == len(np.unique(tint.ids)) == len(tint.colors)
        allowed = (
            (Region.HAIR, Region.HAIR_BACK, Region.SCALP) if tint.slot == "hair" else (Region.EYE,)
        )
        assert np.isin(avatar.regions[tint.ids], allowed).all()
        assert tint.colors.min() >= 0 and tint.colors.max() <= 1
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


def test_an_attribute_looks_like_its_name(tints: tuple[Attribute, ...]) -> None:
    mean = {tint.name: tint.colors.mean(0) for tint in tints}
    assert (
        mean["hair-blue"][2] > mean["hair-blue"][0] and mean["eyes-blue"][2] > mean["eyes-blue"][0]
    )
    assert mean["hair-copper"][0] > mean["hair-copper"][2] + 0.1
    assert mean["eyes-green"].argmax() == 1
    assert mean["hair-raven"].mean() < mean["hair-copper"].mean() < mean["hair-blond"].mean()


def test_strands_keep_their_light_and_dark(avatar: Avatar, tints: tuple[Attribute, ...]) -> None:
    luma = np.array([0.299, 0.587, 0.114])
    before, after = avatar.colors[tints[0].ids] @ luma, tints[0].colors @ luma
    assert np.corrcoef(before, after)[0, 1] > 0.8
