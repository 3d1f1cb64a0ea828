from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.spatial import KDTree

from offline.looks.face.rest_positions import (
    along_line,
    depth_inside,
    eyes_closed,
    landmarks_on,
    on_part,
    places_at_rest,
    surface_places,
)
from offline.looks.photo_tones import LUMA, lab_of
from offline.looks.registry import TITLES
from offline.looks.without_geometry import BUILT_IN
from perse_live.arrays import BoolArray, Float32Array, FloatArray
from perse_live.attribute_blending import with_attributes
from perse_live.attributes import SLOTS, Attribute
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.head.landmarks import (
    FACE_OVAL,
    INNER_LIP_RING,
    LEFT_BROW,
    LEFT_EYE,
    OUTER_LIP_RING,
    RIGHT_BROW,
    RIGHT_EYE,
)
from perse_live.head.rig import EYES, Part, vertices_of
from perse_live.regions import Region

pytestmark = pytest.mark.slow
_HAIR = [name for name in BUILT_IN if name.startswith("hair-")]


@pytest.fixture(params=list(BUILT_IN))
def attribute(request: pytest.FixtureRequest, made: dict[str, Attribute]) -> Attribute:
    return made[request.param]


@pytest.fixture(scope="module")
def made(astronaut_avatar: Avatar) -> dict[str, Attribute]:
    return {name: make(astronaut_avatar) for name, make in BUILT_IN.items()}


def _mask(avatar: Avatar, attribute: Attribute) -> BoolArray:
    mask = np.zeros(len(avatar), np.bool_)
    mask[attribute.ids] = True
    return mask


def _full(avatar: Avatar, attribute: Attribute) -> Float32Array:
    """(G, 3) the avatar's own Gaussians' colours at full weight."""
    colors = avatar.colors.copy()
    colors[attribute.ids] = attribute.colors
    return colors


def test_there_are_enough_of_every_kind(made: dict[str, Attribute]) -> None:
    assert len(made) >= 18
    assert {name: (one.label, one.slot) for name, one in made.items()} == {
        name: TITLES[name] for name in made
    }
    assert all(one.name == name for name, one in made.items())
    assert {one.slot for one in made.values()} == {
        "hair",
        "eyes",
        "eyebrows",
        "mouth",
        "make-up",
        "skin",
        "nose",
        "face",
    }


def test_title_and_ranges(
    astronaut_avatar: Avatar, made: dict[str, Attribute], attribute: Attribute
) -> None:
    one = attribute
    assert made[one.name] is one
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one.name)
    assert one.label.strip() and one.label[0].isupper()
    assert one.slot in SLOTS
    assert len(np.unique(one.ids)) == len(one.ids) == len(one.colors) == len(one.opacities)
    assert not len(one.ids) or 0 <= one.ids.min() <= one.ids.max() < len(astronaut_avatar)
    assert one.colors.dtype == one.opacities.dtype == one.vertex_offsets.dtype == np.float32
    assert (
        np.isfinite(one.colors).all()
        and one.colors.min(initial=0) >= 0
        and one.colors.max(initial=0) <= 1
    )
    assert len(np.unique(one.vertex_ids)) == len(one.vertex_ids) == len(one.vertex_offsets)
    assert (
        np.isfinite(one.vertex_offsets).all() and np.abs(one.vertex_offsets).max(initial=0) < 0.02
    )
    added = one.added
    assert ((added.opacities >= 0) & (added.opacities <= 1)).all() and (
        (added.appear >= 0) & (added.appear <= 0.9)
    ).all()
    assert np.isfinite(added.surface.positions).all() and np.isfinite(added.surface.axes).all()
    assert len(one.ids) + len(one.vertex_ids) + len(added) > 0


def test_labels_differ(made: dict[str, Attribute]) -> None:
    assert len({one.label for one in made.values()}) == len(made)


@pytest.mark.parametrize(
    "name",
    [
        "hair-blue",
        "eyes-green",
        "brows-thick",
        "lipstick-red",
        "make-up-smoky",
        "skin-freckles",
        "jaw-wide",
        "age-older",
    ],
)
def test_the_same_twice(astronaut_avatar: Avatar, made: dict[str, Attribute], name: str) -> None:
    again = BUILT_IN[name](astronaut_avatar)
    for one, other in (
        (made[name], again),
        (made[name].added, again.added),
        (made[name].added.surface, again.added.surface),
    ):
        for field, value in vars(one).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(value, getattr(other, field), err_msg=field)


def test_what_is_not_meant_keeps_its_bits(astronaut_avatar: Avatar, attribute: Attribute) -> None:
    blended = with_attributes(astronaut_avatar, [attribute], {attribute.name: 1.0})
    own, count, added = (
        len(astronaut_avatar.surface.triangles),
        len(astronaut_avatar),
        len(attribute.added.surface.triangles),
    )
    kept = ~_mask(astronaut_avatar, attribute)
    places = np.r_[
        np.arange(own), np.arange(own, count) + added
    ]  # the avatar's own among those of the blended one
    np.testing.assert_array_equal(blended.colors[places][kept], astronaut_avatar.colors[kept])
    np.testing.assert_array_equal(blended.opacities[places][kept], astronaut_avatar.opacities[kept])
    still = np.setdiff1d(np.arange(len(astronaut_avatar.rig.vertices)), attribute.vertex_ids)
    np.testing.assert_array_equal(blended.rig.vertices[still], astronaut_avatar.rig.vertices[still])


def test_age_greys_the_temples_most_and_youth_evens_the_skin(
    astronaut_avatar: Avatar, made: dict[str, Attribute]
) -> None:
    avatar, places = astronaut_avatar, places_at_rest(astronaut_avatar)

    def colors_with(name: str) -> FloatArray:
        colors = avatar.colors.astype(np.float64)
        colors[made[name].ids] = made[name].colors
        return colors

    def chroma(colors: FloatArray, where: BoolArray) -> float:
        return float(np.linalg.norm(lab_of(colors[where])[:, 1:], axis=1).mean())

    hair = avatar.regions == Region.HAIR
    brow = float(neutral_landmarks(avatar)[[*LEFT_BROW, *RIGHT_BROW], 1].max())
    temples = hair & (np.abs(places[:, 0]) > 0.065) & (np.abs(places[:, 1] - brow) < 0.03)
    crown = hair & (places[:, 1] > brow + 0.08)
    left = [
        chroma(colors_with("age-older"), where) / chroma(avatar.colors, where)
        for where in (temples, crown)
    ]
    assert left[0] < 0.75 * left[1] < 0.75
    opacities = avatar.opacities.copy()
    opacities[made["age-older"].ids] = made["age-older"].opacities
    lost = (opacities == 0) & (avatar.opacities > 0)
    assert lost.any() and (avatar.regions[lost] >= Region.HAIR).all()
    assert 0.05 < lost[crown].mean() < 0.5, "hair thins, and does not go"
    cheeks = (avatar.regions == Region.SKIN) & (np.abs(places[:, 1] + 0.03) < 0.02)
    ids = np.nonzero(cheeks & (places[:, 2] > -0.02))[0]
    near = KDTree(places[ids]).query(places[ids], k=12)[1]
    uneven = [
        (colors @ LUMA)[ids][near].std(1).mean()
        for colors in (colors_with("age-younger"), avatar.colors)
    ]
    assert uneven[0] < 0.75 * uneven[1]
    assert len(made["age-younger"].vertex_ids)


@pytest.mark.parametrize("name", _HAIR)
def test_hair_is_coloured_and_brows_eyes_mouth_and_clothes_are_not(
    astronaut_avatar: Avatar, made: dict[str, Attribute], name: str
) -> None:
    avatar, touched = astronaut_avatar, _mask(astronaut_avatar, made[name])
    assert touched[avatar.regions == Region.HAIR].mean() > 0.9
    assert not touched[
        ~np.isin(avatar.regions, (Region.HAIR, Region.HAIR_BACK, Region.SCALP, Region.SKIN))
    ].any()
    places, marks = places_at_rest(avatar), neutral_landmarks(avatar)
    for brow in (LEFT_BROW, RIGHT_BROW):
        on_brow = depth_inside(places[:, :2], marks[[*brow[:5], *brow[:4:-1]], :2]) > 0
        assert not touched[on_brow & (places[:, 2] > -0.01)].any()
    face = (
        (depth_inside(places[:, :2], marks[list(FACE_OVAL), :2]) > 0.02)
        & (places[:, 1] < 0)
        & (places[:, 2] > -0.02)
    )
    assert not touched[face].any()


def test_the_shine_on_a_blond_fringe_takes_the_colour(
    astronaut_avatar: Avatar, made: dict[str, Attribute]
) -> None:
    places = places_at_rest(astronaut_avatar)
    brow = float(neutral_landmarks(astronaut_avatar)[[*LEFT_BROW, *RIGHT_BROW], 1].max())
    fringe = (
        (np.abs(places[:, 0]) < 0.03)
        & (places[:, 1] > brow + 0.013)
        & (places[:, 1] < brow + 0.035)
        & (places[:, 2] > 0)
    )
    fringe &= astronaut_avatar.regions == Region.HAIR
    assert fringe.sum() > 50
    blue = made["hair-blue"]
    turned = _full(astronaut_avatar, blue)
    assert (turned[fringe, 2] > turned[fringe, 0]).mean() > 0.95


def test_tints_have_their_order_of_lightness_and_keep_the_strands(
    astronaut_avatar: Avatar, made: dict[str, Attribute]
) -> None:
    hair = np.nonzero(astronaut_avatar.regions == Region.HAIR)[0]
    own = astronaut_avatar.colors[hair] @ LUMA
    light = {name: _full(astronaut_avatar, made[name])[hair] @ LUMA for name in _HAIR}
    natural = ["hair-black", "hair-brown", "hair-chestnut", "hair-blond", "hair-platinum"]
    medians = [float(np.median(light[name])) for name in natural]
    assert medians == sorted(medians)
    for name in _HAIR:
        ranks = np.stack([np.argsort(np.argsort(values)) for values in (own, light[name])])
        centred = ranks - ranks.mean(1, keepdims=True)
        # Spearman's correlation
        assert (centred[0] * centred[1]).sum() > 0.8 * np.linalg.norm(centred, axis=1).prod()
        assert light[name].std() > 0.015


def test_eye_colour_stays_on_the_iris(astronaut_avatar: Avatar, made: dict[str, Attribute]) -> None:
    avatar, one = astronaut_avatar, made["eyes-blue"]
    touched, marks = _mask(avatar, one), neutral_landmarks(avatar)
    assert on_part(avatar, *EYES)[one.ids].all()
    places = places_at_rest(avatar)
    for center, ring in ((473, (474, 475, 476, 477)), (468, (469, 470, 471, 472))):
        radius = np.linalg.norm(marks[list(ring)] - marks[center], axis=1).mean()
        near = np.linalg.norm(places - marks[center], axis=1)
        ball = on_part(avatar, *EYES) & (near < 0.02)
        assert touched[ball & (near > 0.5 * radius) & (near < 0.75 * radius)].mean() > 0.65
        assert not touched[ball & (near > 1.5 * radius)].any()
    changed = _full(avatar, one)[one.ids] - avatar.colors[one.ids]
    assert (changed[:, 2] - changed[:, 0]).mean() > 0.05


def test_irises_differ_in_hue(astronaut_avatar: Avatar, made: dict[str, Attribute]) -> None:
    means = {
        name: made[name].colors.mean(0)
        for name in BUILT_IN
        if name.startswith("eyes-") and name != "eyes-large"
    }
    assert means["eyes-blue"].argmax() == 2 and means["eyes-green"].argmax() == 1
    assert means["eyes-amber"].argmax() == 0 and means["eyes-amber"][0] > means["eyes-brown"][0]


@pytest.mark.parametrize("name", ["lipstick-red", "lipstick-nude", "lipstick-plum"])
def test_lipstick_covers_the_lips_and_nothing_else(
    astronaut_avatar: Avatar, made: dict[str, Attribute], name: str
) -> None:
    avatar, one = astronaut_avatar, made[name]
    touched, marks, places = _mask(avatar, one), neutral_landmarks(avatar), places_at_rest(avatar)
    assert np.isin(avatar.regions[one.ids], (Region.SKIN, Region.LIPS)).all()
    deep = depth_inside(places[:, :2], marks[list(OUTER_LIP_RING), :2])
    assert deep[one.ids].min() > -0.001
    between = depth_inside(places[:, :2], marks[list(INNER_LIP_RING), :2]) > 0
    front = (
        (avatar.regions == Region.LIPS)
        & (deep > 0.0015)
        & (places[:, 2] > marks[[61, 291], 2].mean())
        & ~between
    )
    assert touched[front].mean() > 0.98
    middles = avatar.rig.vertices[avatar.rig.triangles[one.added.surface.triangles]].mean(1)
    assert (
        np.abs(along_line(middles[:, :2], marks[[*OUTER_LIP_RING, OUTER_LIP_RING[0]], :2])[0])
        < 0.008
    ).all()


def test_eye_shadow_darkens_closed_lids_but_not_eyeballs(
    astronaut_avatar: Avatar, made: dict[str, Attribute]
) -> None:
    avatar, one = astronaut_avatar, made["make-up-smoky"]
    closed = eyes_closed(avatar.rig)
    places, marks = surface_places(avatar, closed), landmarks_on(avatar, closed)
    count = len(avatar.surface.triangles)
    # What a blink lowers
    upper = surface_places(avatar, avatar.rig.vertices)[:, 1] - places[:, 1] > 0.002
    before, after = (colors[:count] @ LUMA for colors in (avatar.colors, _full(avatar, one)))
    for eye in (LEFT_EYE, RIGHT_EYE):
        middle = marks[[eye[11], eye[12], eye[13]]].mean(0) + np.array([0, 0.004, 0])
        lid = (
            (np.linalg.norm(places - middle, axis=1) < 0.005)
            & (avatar.regions[:count] == Region.SKIN)
            & upper
        )
        assert lid.sum() > 5
        assert after[lid].mean() < 0.75 * before[lid].mean()
    assert (avatar.regions[one.ids] == Region.SKIN).all()


def test_liner_sits_on_the_upper_lid_only(
    astronaut_avatar: Avatar, made: dict[str, Attribute]
) -> None:
    avatar, added = astronaut_avatar, made["make-up-evening"].added
    surface, vertices = added.surface, avatar.rig.vertices
    v0, v1, v2 = (vertices[avatar.rig.triangles[surface.triangles, corner]] for corner in range(3))
    places = v0 + surface.positions[:, :1] * (v1 - v0) + surface.positions[:, 1:2] * (v2 - v0)
    marks = neutral_landmarks(avatar)
    for eye, side in ((LEFT_EYE, 1), (RIGHT_EYE, -1)):
        inside = (np.abs(places[:, 0] - marks[[eye[0], eye[8]], 0].mean()) < 0.008) & (
            places[:, 0] * side > 0
        )
        assert inside.sum() > 20
        assert (places[inside, 1] > marks[list(eye), 1].mean()).all()


def test_tan_darkens_and_pale_lightens_skin_alone(
    astronaut_avatar: Avatar, made: dict[str, Attribute]
) -> None:
    avatar = astronaut_avatar
    skin = (avatar.regions == Region.SKIN) & (places_at_rest(avatar)[:, 2] > 0)
    own = np.median(avatar.colors[skin] @ LUMA)
    assert np.median(_full(avatar, made["skin-tan"])[skin] @ LUMA) < 0.92 * own
    assert np.median(_full(avatar, made["skin-pale"])[skin] @ LUMA) > 1.04 * own
    for name in ("skin-tan", "skin-pale", "skin-rosy"):
        assert not np.isin(
            avatar.regions[made[name].ids],
            (Region.EYE, Region.TEETH, Region.CLOTHES, Region.TONGUE),
        ).any()


def test_freckles_avoid_eyes_lips_and_brows(
    astronaut_avatar: Avatar, made: dict[str, Attribute]
) -> None:
    avatar, surface = astronaut_avatar, made["skin-freckles"].added.surface
    marks, vertices = neutral_landmarks(avatar), avatar.rig.vertices
    assert 200 < len(surface.triangles) < 1500
    v0, v1, v2 = (vertices[avatar.rig.triangles[surface.triangles, corner]] for corner in range(3))
    places = v0 + surface.positions[:, :1] * (v1 - v0) + surface.positions[:, 1:2] * (v2 - v0)
    for ring in (LEFT_EYE, RIGHT_EYE, OUTER_LIP_RING):
        assert (depth_inside(places[:, :2], marks[list(ring), :2]) < 0).all()
    dense = np.linalg.norm(places[:, None] - marks[None, [50, 280, 195]], axis=2).min(1) < 0.03
    assert dense.mean() > 0.6


def test_brows_fade_or_darken(astronaut_avatar: Avatar, made: dict[str, Attribute]) -> None:
    avatar = astronaut_avatar
    places, marks = places_at_rest(avatar), neutral_landmarks(avatar)
    brow = np.zeros(len(avatar), np.bool_)
    for ids in (LEFT_BROW, RIGHT_BROW):
        brow |= depth_inside(places[:, :2], marks[[*ids[:5], *ids[:4:-1]], :2]) > 0.0004
    brow &= (avatar.regions == Region.SKIN) & (places[:, 2] > 0)
    own = (avatar.colors[brow] @ LUMA).mean()
    assert (_full(avatar, made["brows-dark"])[brow] @ LUMA).mean() < 0.93 * own
    assert (_full(avatar, made["brows-thick"])[brow] @ LUMA).mean() < 0.93 * own
    assert (_full(avatar, made["brows-fair"])[brow] @ LUMA).mean() > own


@pytest.mark.parametrize(
    ("name", "moving", "resting"),
    [
        ("nose-small", (4, 48, 278), (13, 14, 159, 386, 152, 33, 263)),
        ("nose-large", (4, 48, 278), (13, 14, 159, 386, 152, 33, 263)),
        ("nose-narrow", (48, 278), (13, 14, 159, 386, 152)),
        ("chin-long", (152,), (13, 14, 0, 4, 159, 386)),
        ("chin-short", (152,), (13, 14, 0, 4, 159, 386)),
        ("jaw-wide", (172, 397), (13, 4, 159, 386, 152)),
        ("jaw-narrow", (172, 397), (13, 4, 159, 386, 152)),
        ("lips-full", (0, 17), (61, 291, 4, 159, 386)),
        ("eyes-large", (159, 386), (13, 14, 4, 152, 0)),
    ],
)
def test_shapes_move_their_part_only(
    astronaut_avatar: Avatar,
    made: dict[str, Attribute],
    name: str,
    moving: tuple[int, ...],
    resting: tuple[int, ...],
) -> None:
    avatar, one = astronaut_avatar, made[name]
    changed = with_attributes(avatar, [one], {name: 1.0})
    moved = np.linalg.norm(neutral_landmarks(changed) - neutral_landmarks(avatar), axis=1)
    assert moved[list(moving)].min() > 0.0006
    assert moved[list(resting)].max() < 0.25 * moved[list(moving)].min()
    still = vertices_of(avatar.rig, *EYES, Part.TEETH_UPPER, Part.TEETH_LOWER, Part.TONGUE)
    assert not still[one.vertex_ids].any()
    assert not len(one.ids) and not len(one.added)


@pytest.mark.parametrize(
    "name", [name for name in BUILT_IN if name.split("-")[0] in ("nose", "chin", "jaw", "lips")]
)
def test_shapes_turn_no_triangle_over(
    astronaut_avatar: Avatar, made: dict[str, Attribute], name: str
) -> None:
    rig = astronaut_avatar.rig
    triangles = rig.triangles[rig.parts == Part.SKIN]

    def normals(vertices: Float32Array) -> Float32Array:
        a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
        normal = np.cross(b - a, c - a)
        return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)

    changed = with_attributes(astronaut_avatar, [made[name]], {name: 1.0}).rig.vertices
    turned = (normals(rig.vertices) * normals(changed)).sum(1) < 0
    assert turned.mean() < 0.002


def test_larger_eyes_still_close(astronaut_avatar: Avatar, made: dict[str, Attribute]) -> None:
    changed = with_attributes(astronaut_avatar, [made["eyes-large"]], {"eyes-large": 1.0})
    marks = landmarks_on(changed, eyes_closed(changed.rig))
    for upper, lower in ((159, 145), (158, 153), (386, 374), (385, 380)):
        assert marks[upper, 1] < marks[lower, 1] + 0.0008
