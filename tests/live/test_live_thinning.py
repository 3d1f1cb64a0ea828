from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_avatars import dressable_avatar

from attribute_toys import toy_attribute
from perse_live.attribute_blender import AttributeBlender
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar
from perse_live.regions import Region
from runtime.live.thinning import kept_gaussians, share_for, thinned
from toys import toy_avatar

FACE = (Region.SKIN, Region.LIPS, Region.EYE, Region.TEETH, Region.TONGUE, Region.MOUTH)


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    toy = dressable_avatar()
    regions = toy.regions.copy()
    regions[: len(regions) // 3] = Region.CLOTHES  # also some of what lies on the surface
    return replace(toy, regions=regions)


def face_of(avatar: Avatar) -> int:
    return int(np.isin(avatar.regions, FACE).sum())


@given(st.floats(0.05, 1))
def test_the_face_is_kept_and_about_the_share_of_the_rest(avatar: Avatar, share: float) -> None:
    kept = kept_gaussians(avatar, share)
    assert (np.diff(kept) > 0).all()
    face = np.isin(avatar.regions, FACE)
    assert np.isin(np.nonzero(face)[0], kept).all()
    rest = len(avatar) - face.sum()
    assert len(kept) - face.sum() == pytest.approx(share * rest, abs=0.01 * rest + 3)


def test_a_whole_share_is_everything(avatar: Avatar) -> None:
    np.testing.assert_array_equal(kept_gaussians(avatar, 1.0), np.arange(len(avatar)))
    assert len(thinned(avatar, 1.0)) == len(avatar)
    np.testing.assert_array_equal(thinned(avatar, 1.0).rigid.scales, avatar.rigid.scales)


@given(st.integers(0, 5000))
def test_no_more_than_asked_as_far_as_that_is_possible(avatar: Avatar, most: int) -> None:
    share = share_for(avatar, most)
    assert 0.1 <= share <= 1
    count = len(kept_gaussians(avatar, share))
    face = face_of(avatar)
    if most >= len(avatar):
        assert share == 1
    elif most >= face + 0.11 * (len(avatar) - face):
        assert count == most
    else:
        assert count <= face + 0.11 * (len(avatar) - face)


def test_an_avatar_that_is_all_face_is_left_alone() -> None:
    toy = toy_avatar()
    assert len(thinned(toy, share_for(toy, 10))) == len(toy)


@pytest.mark.parametrize("share", [0.7, 0.3])
def test_what_is_left_covers_as_much_and_belongs_together(avatar: Avatar, share: float) -> None:
    fewer, kept = thinned(avatar, share), kept_gaussians(avatar, share)
    assert len(fewer) == len(kept) == len(fewer.surface.triangles) + len(fewer.rigid.means)
    np.testing.assert_array_equal(fewer.colors, avatar.colors[kept])
    np.testing.assert_array_equal(fewer.regions, avatar.regions[kept])
    np.testing.assert_array_equal(fewer.opacities, avatar.opacities[kept])
    count = len(avatar.surface.triangles)
    on_surface, free = kept[kept < count], kept[kept >= count] - count
    np.testing.assert_array_equal(fewer.surface.triangles, avatar.surface.triangles[on_surface])
    np.testing.assert_array_equal(fewer.rigid.means, avatar.rigid.means[free])
    grown = np.where(np.isin(avatar.regions[on_surface], FACE), 1.0, share**-0.5)[:, None]
    np.testing.assert_allclose(
        fewer.surface.axes, avatar.surface.axes[on_surface] * grown, rtol=1e-5
    )
    before, after = (
        (scales[:, 1] * scales[:, 2]).sum() for scales in (avatar.rigid.scales, fewer.rigid.scales)
    )
    assert after == pytest.approx(before, rel=0.05)


@pytest.mark.parametrize("share", [0.7, 0.3])
def test_a_thinned_avatar_has_the_same_attributes_thinned(avatar: Avatar, share: float) -> None:
    hat = toy_attribute(avatar, "hat", "hat", on_surface=300, free=500, changed=400)
    regions = hat.added.regions.copy()
    regions[:100] = Region.SKIN
    regions[-100:] = Region.ACCESSORY
    hat = replace(hat, added=replace(hat.added, regions=regions))
    (fewer,) = thinned(replace(avatar, attributes=(hat,)), share).attributes
    assert isinstance(fewer, Attribute)
    kept = kept_gaussians(avatar, share)
    there = np.isin(hat.ids, kept)
    np.testing.assert_array_equal(kept[fewer.ids], hat.ids[there])
    np.testing.assert_array_equal(fewer.colors, hat.colors[there])
    assert (
        (fewer.added.regions == Region.SKIN).sum()
        == (fewer.added.regions == Region.ACCESSORY).sum()
        == 100
    )
    assert (fewer.added.regions == Region.HAIR).sum() == pytest.approx(share * 600, abs=10)
    assert len(fewer.added.surface_start) == len(fewer.added.surface.triangles)
    np.testing.assert_array_equal(fewer.added.rigid_start[-100:], hat.added.rigid_start[-100:])
    np.testing.assert_array_equal(fewer.added.rigid.scales[-100:], hat.added.rigid.scales[-100:])
    before, after = (
        scales[:-100].mean() for scales in (hat.added.rigid.scales, fewer.added.rigid.scales)
    )
    assert after == pytest.approx(before * share**-0.5, rel=0.1)
    shown = AttributeBlender(thinned(replace(avatar, attributes=(hat,)), share)).blend({"hat": 1.0})
    assert len(shown) == len(kept) + len(fewer.added)
    np.testing.assert_array_equal(
        thinned(replace(avatar, attributes=(hat,)), 1.0).attributes[0].ids, hat.ids
    )
