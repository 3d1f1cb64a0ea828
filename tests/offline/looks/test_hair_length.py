"""Hair shaved, buzz-cut, short and long, on a plain head with a cap of black hair."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faces import plain_person, require_sound
from offline.looks.edit import taught
from offline.looks.face.rest_positions import places_at_rest
from offline.looks.hair import hair_length
from offline.looks.hair.grown_strands import SkinField
from offline.looks.measured_head import LUMA, head_shape
from offline.looks.registry import TITLES
from offline.rig.photo_geometry import PhotoGeometry
from perse_live.arrays import Float32Array
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.regions import Region
from perse_live.rotations import to_matrix

_MAKERS = hair_length.BUILT_IN


@pytest.fixture(scope="module")
def person(mean_head: PhotoGeometry) -> Avatar:
    return plain_person(mean_head)


@pytest.fixture(scope="module")
def cuts(person: Avatar) -> dict[str, Attribute]:
    return {name: make(person) for name, make in _MAKERS.items()}


@pytest.mark.parametrize("name", list(_MAKERS))
def test_the_own_hair_is_gone_and_the_face_as_it_was(
    name: str, person: Avatar, cuts: dict[str, Attribute]
) -> None:
    one = cuts[name]
    assert (one.name, one.label, one.slot) == (name, *TITLES[name])
    require_sound(person, one)
    left = person.opacities.copy()
    left[one.ids] = one.opacities
    assert (left[person.regions == Region.HAIR] == 0).all()
    places = places_at_rest(person)
    face = (person.regions == Region.SKIN) & (places[:, 2] > 0.01) & (places[:, 1] < 0.03)
    assert not np.isin(np.nonzero(face)[0], one.ids).any()


def test_skin_that_the_photo_shows_between_strands_goes_with_them(person: Avatar) -> None:
    places, regions = places_at_rest(person), person.regions.copy()
    between = np.nonzero((regions == Region.HAIR) & (places[:, 1] > -0.08))[0][::40]
    assert len(between) > 3
    regions[between] = Region.SKIN
    one = hair_length.shaved(replace(person, regions=regions))
    left = person.opacities.copy()
    left[one.ids] = one.opacities
    assert (left[between] == 0).all()
    on_the_head = np.arange(len(person.surface.triangles))
    np.testing.assert_array_equal(left[on_the_head], person.opacities[on_the_head])


def test_fragments_between_hanging_strands_go_but_not_the_shoulders_behind_them(
    person: Avatar,
) -> None:
    on = len(person.surface.triangles)
    hair = np.nonzero(person.regions == Region.HAIR)[0]
    hanging, apart = hair[hair >= on][:200], hair[hair >= on][200:206]
    means, regions = person.rigid.means.copy(), person.regions.copy()
    means[hanging - on] = np.linspace((0.05, -0.10, 0), (0.09, -0.13, 0), 200)
    means[apart - on] = np.linspace((0.05, -0.105, -0.01), (0.09, -0.135, -0.01), 6)
    regions[apart] = np.tile([Region.CLOTHES, Region.BODY], 3)
    one = hair_length.shaved(
        replace(person, regions=regions, rigid=replace(person.rigid, means=means))
    )
    left = person.opacities.copy()
    left[one.ids] = one.opacities
    assert (left[hanging] == 0).all() and (left[apart[::2]] == 0).all()
    np.testing.assert_array_equal(left[apart[1::2]], person.opacities[apart[1::2]])


def test_a_shaved_head_is_skin_all_over(person: Avatar, cuts: dict[str, Attribute]) -> None:
    one = cuts["hair-shaved"]
    assert len(one.added) == 0 and not taught(one).tints_hair
    colors = person.colors.copy()
    colors[one.ids] = one.colors
    skin = person.regions == Region.SKIN
    assert np.abs(colors[skin] - np.median(colors[skin], 0)).max() < 0.12


@pytest.mark.parametrize(
    ("name", "low", "high"), [("hair-buzz", 0.0, 0.006), ("hair-short", 0.0, 0.03)]
)
def test_cropped_hair_stays_close_to_the_skull(
    name: str, low: float, high: float, person: Avatar, cuts: dict[str, Attribute]
) -> None:
    means = cuts[name].added.rigid.means.astype(np.float64)
    height = SkinField(head_shape(person)).height(means)
    assert np.percentile(height, 2) > low - 0.002 and np.percentile(height, 98) < high
    assert means[:, 1].min() > -0.12
    forehead = neutral_landmarks(person)[[9, 151]]
    assert np.sqrt(((means[:, None] - forehead[None]) ** 2).sum(-1)).min() > 0.01, (
        "the forehead is free"
    )


def test_long_hair_falls_to_the_shoulders_and_not_over_the_face(
    person: Avatar, cuts: dict[str, Attribute]
) -> None:
    added = cuts["hair-long"].added
    means = added.rigid.means
    assert -0.22 < means[:, 1].min() < -0.16
    assert (means[:, 1] < -0.12).mean() > 0.1
    before = (np.abs(means[:, 0]) < 0.035) & (means[:, 1] < 0.03) & (means[:, 2] > 0.0)
    assert before.mean() < 0.01
    hanging = means[:, 1] < -0.12
    assert (
        (means[hanging, 0] < -0.02).any()
        and (means[hanging, 0] > 0.02).any()
        and (means[hanging, 2] < -0.09).any()
    )
    assert (added.rigid.head_weights[means[:, 1] > 0] > 0.98).all()
    assert added.rigid.head_weights[hanging].min() < 0.9, "what lies on the shoulders turns less"


def test_no_lock_sticks_out_at_the_ears(cuts: dict[str, Attribute]) -> None:
    """Where the nearest skin is an ear's edge, whose normal runs along the lock."""
    rigid = cuts["hair-long"].added.rigid
    longest = np.take_along_axis(to_matrix(rigid.quats), rigid.scales.argmax(1)[:, None, None], 2)[
        :, :, 0
    ]
    beside = (np.abs(rigid.means[:, 0]) > 0.075) & (rigid.means[:, 1] < 0.04)
    out = (np.abs(longest[:, 0]) > 0.7) & (rigid.scales.max(1) > 0.002)
    assert beside.sum() > 500 and not (beside & out).any()


@pytest.mark.parametrize("name", ["hair-long", "hair-side-part"])
def test_locks_taper_where_they_are_cut_and_end_at_different_heights(
    name: str, cuts: dict[str, Attribute]
) -> None:
    added = cuts[name].added
    wide = added.rigid.scales[:, 1] > 0.0008  # ribbons, not the thin strands on them
    _, lock = np.unique(added.rigid_start[wide], axis=0, return_inverse=True)
    heights, widths = added.rigid.means[wide, 1], added.rigid.scales[wide, 1]
    order = np.lexsort((heights, lock.reshape(-1)))
    lowest = order[np.unique(lock.reshape(-1)[order], return_index=True)[1]]
    ends = lowest[heights[lowest] < -0.12]
    assert len(ends) > 50
    assert np.median(widths[ends]) < 0.6 * np.percentile(widths, 90)
    assert heights[ends].std() > 0.014


@pytest.mark.parametrize("name", ["hair-long", "hair-side-part"])
def test_no_lock_is_pushed_away_from_the_head_by_an_ear(
    name: str, person: Avatar, cuts: dict[str, Attribute]
) -> None:
    means, shape = cuts[name].added.rigid.means, head_shape(person)
    skull = shape.skin & (shape.charts.ears < 0.05) & (shape.template[:, 1] > 0)
    beside = means[:, 1] > -0.05
    assert np.abs(means[beside, 0]).max() < np.abs(shape.vertices[skull, 0]).max() + 0.036


def test_waves_curls_and_partings_are_what_they_are_called(
    person: Avatar, cuts: dict[str, Attribute]
) -> None:
    def means_of(name: str) -> Float32Array:
        return cuts[name].added.rigid.means

    def turns(name: str) -> float:
        """How far neighbouring Gaussians of a lock, which share a root, turn: mean angle, radians."""
        rigid, roots = cuts[name].added.rigid, cuts[name].added.rigid_start
        axes = to_matrix(rigid.quats)[:, :, 0]
        same = (roots[1:] == roots[:-1]).all(1)
        cosine = np.abs((axes[1:] * axes[:-1]).sum(1))[same]
        return float(np.arccos(np.clip(cosine, 0, 1)).mean())

    assert turns("hair-long") < 0.7 * turns("hair-wavy") < 0.7 * turns("hair-curly")
    crown = [
        float(means[means[:, 1] > 0.09, 0].mean())
        for means in (means_of("hair-long"), means_of("hair-side-part"))
    ]
    assert 2.5 * abs(crown[0]) < abs(crown[1])
    length = np.linalg.norm(
        cuts["hair-undercut"].added.rigid.means - cuts["hair-undercut"].added.rigid_start, axis=1
    )
    low = cuts["hair-undercut"].added.rigid_start[:, 1] < 0.02
    assert length[low].max() < 0.01 < length[~low].max()


def test_hair_grows_along_strands_in_its_own_colour(
    person: Avatar, cuts: dict[str, Attribute]
) -> None:
    for name in ("hair-buzz", "hair-short", "hair-long"):
        added = cuts[name].added
        roots = SkinField(head_shape(person)).height(added.rigid_start.astype(np.float64))
        assert np.abs(roots).max() < 0.004
        assert 0.02 < float(np.median(added.colors @ LUMA)) < 0.25, "black, as the cap is"
    lengths = [
        np.linalg.norm(cuts[name].added.rigid.means - cuts[name].added.rigid_start, axis=1).max()
        for name in ("hair-buzz", "hair-short", "hair-long")
    ]
    assert lengths[0] < 0.008 < lengths[1] < 0.06 < lengths[2]
