"""Parts of a real portrait on a plain head."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from faces import (
    HAIR,
    SKIN,
    chart_pixels,
    painted_strands,
    repainted,
    require_sound,
    with_rims,
)
from offline.editing.donor import Donor
from offline.editing.other_photo import FromPhoto, attribute_from_photo, part_from, title_for
from offline.editing.part_names import PART_SLOTS, require_part
from offline.images import distance_to
from offline.looks.face.rest_positions import places_at_rest
from offline.looks.measured_head import LUMA, centers_of
from offline.numeric import ramp
from perse_live.arrays import BoolArray
from perse_live.attributes import Attribute
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.errors import UserError
from perse_live.photo import Photo
from perse_live.regions import Region

pytestmark = pytest.mark.slow


def taken(person: Avatar, donor: Donor, part: str) -> Attribute:
    one = part_from(person, donor, part, title_for(part, "a test", None), progress=lambda *_: None)
    assert one.slot == PART_SLOTS[part] and one.name == f"{part}-a-test"
    require_sound(person, one)
    return one


def darker(person: Avatar, one: Attribute) -> np.ndarray:
    """(G,) by how much each of the avatar's Gaussians becomes darker."""
    out = np.zeros(len(person))
    out[one.ids] = (person.colors[one.ids] - one.colors) @ LUMA
    return out


def below_brows(person: Avatar) -> BoolArray:
    places = places_at_rest(person)
    return (person.regions == Region.SKIN) & (places[:, 1] < 0.02) & (places[:, 2] > -0.03)


@pytest.fixture(scope="module")
def hair(person: Avatar, astronaut: Donor) -> Attribute:
    return taken(person, astronaut, "hair")


def test_hair_takes_the_place_of_the_own(person: Avatar, hair: Attribute) -> None:
    own = np.nonzero(person.regions == Region.HAIR)[0]
    left = person.opacities.copy()
    left[hair.ids] = hair.opacities
    assert (left[own] == 0).all()
    assert len(hair.added) > 3000


def test_hair_sits_on_the_head_and_has_the_photo_s_colour(
    person: Avatar, hair: Attribute, astronaut: Donor
) -> None:
    means = hair.added.rigid.means
    crown = neutral_landmarks(person)[10]
    assert np.median(means[:, 1]) > -0.06
    assert 0.0 < means[:, 1].max() - crown[1] < 0.12
    assert np.abs(means[:, 0].mean()) < 0.02
    seen = np.median(astronaut.look.image[astronaut.look.hair > 0.8], 0)
    color = np.median(hair.added.colors, 0)
    assert np.abs(color - seen).max() < 0.15
    assert color[0] > color[2], "brown, not the plain head's black"


def test_hair_leaves_the_face_alone(person: Avatar, hair: Attribute) -> None:
    places, changed = places_at_rest(person), np.zeros(len(person), np.bool_)
    changed[hair.ids] = True
    middle = (
        (np.abs(places[:, 0]) < 0.035)
        & (places[:, 1] < 0.02)
        & (places[:, 1] > -0.09)
        & (places[:, 2] > 0)
    )
    assert not changed[middle & (person.regions == Region.SKIN)].any()


def test_a_beard_is_found_where_it_is_painted(person: Avatar, astronaut: Donor) -> None:
    with pytest.raises(UserError, match="no beard can be seen"):
        taken(person, astronaut, "beard")
    where = chart_pixels(astronaut, "beard", 0.5)
    strands = 0.45 + 0.5 * painted_strands(where, 1.6, 6)
    bearded = repainted(astronaut, where, (0.16, 0.10, 0.07), strands)
    beard = taken(person, bearded, "beard")
    change = darker(person, beard)
    places, face = places_at_rest(person), below_brows(person)
    chin = (
        face
        & (places[:, 1] < -0.085)
        & (places[:, 1] > -0.105)
        & (np.abs(places[:, 0]) < 0.03)
        & (places[:, 2] > 0)
    )
    nose = face & (np.abs(places[:, 0]) < 0.012) & (places[:, 1] > -0.04) & (places[:, 1] < -0.01)
    assert change[chin].mean() > 0.2
    assert np.abs(change[nose]).max() < 0.02
    assert len(beard.added) > 1000
    added = beard.added
    assert (np.ptp(added.surface.positions - added.surface_start, axis=0) > 0).any(), "hairs grow"


def test_shade_on_a_jaw_is_no_beard(person: Avatar, astronaut: Donor) -> None:
    """A moustache is taken alone; of stubble, all of it is."""
    where = chart_pixels(astronaut, "beard", 0.3)
    lower = astronaut.portrait.detection.landmarks[[61, 291], 1].mean()
    shade = 0.62 * ramp(np.arange(len(where))[:, None] * np.ones(where.shape), lower, lower + 25)
    shaded = repainted(astronaut, where, (0.10, 0.06, 0.04), shade.astype(np.float32))
    with pytest.raises(UserError, match="no beard can be seen"):
        taken(person, shaded, "beard")
    places, face = places_at_rest(person), below_brows(person)
    chin = face & (places[:, 1] < -0.09) & (np.abs(places[:, 0]) < 0.03) & (places[:, 2] > 0)
    above = where & (np.arange(len(where))[:, None] < lower - 4)
    moustache = taken(
        person,
        repainted(shaded, above, (0.10, 0.06, 0.04), 0.4 + 0.6 * painted_strands(above, 1.5, 5)),
        "beard",
    )
    change = darker(person, moustache)
    taken_over = change > 0.1
    assert taken_over.sum() > 15 and places[taken_over, 1].min() > -0.08
    assert np.abs(change[chin]).max() < 0.02
    stubble = repainted(
        astronaut, where, (0.15, 0.10, 0.08), 0.8 * painted_strands(where, 2.0, 1.5)
    )
    assert darker(person, taken(person, stubble, "beard"))[chin].mean() > 0.08


def test_brows_replace_the_own(person: Avatar, astronaut: Donor) -> None:
    one = taken(person, astronaut, "brows")
    change = darker(person, one)
    cheeks = below_brows(person) & (places_at_rest(person)[:, 1] < -0.02)
    assert change.max() > 0.08
    assert np.abs(change[cheeks]).max() < 1e-6
    light = repainted(astronaut, chart_pixels(astronaut, "brows", 0.01), (0.85, 0.70, 0.60))
    with pytest.raises(UserError, match="no eyebrows"):
        taken(person, light, "brows")


def test_irises_take_the_photo_s_colour(person: Avatar, astronaut: Donor) -> None:
    landmarks = astronaut.portrait.detection.landmarks
    disc = np.zeros(astronaut.look.alpha.shape, np.uint8)
    for iris in (468, 473):
        radius = np.linalg.norm(landmarks[iris + 1, :2] - landmarks[iris, :2])
        cv2.circle(
            disc,
            tuple(np.round(landmarks[iris, :2]).astype(int).tolist()),
            round(float(radius)),
            1,
            -1,
        )
    green = taken(person, repainted(astronaut, disc > 0, (0.1, 0.5, 0.15)), "eyes")
    assert (person.regions[green.ids] == Region.EYE).all()
    assert len(green.ids) > 40
    color = np.median(green.colors, 0)
    assert color[1] > color[0] + 0.1 and color[1] > color[2] + 0.1


def test_make_up_colours_lips_and_lids(person: Avatar, astronaut: Donor) -> None:
    made_up = repainted(astronaut, chart_pixels(astronaut, "lips", 0.5), (0.62, 0.05, 0.12), 0.9)
    one = taken(person, made_up, "makeup")
    places = places_at_rest(person)
    lip = np.linalg.norm(places[one.ids] - neutral_landmarks(person)[17], axis=1) < 0.006
    assert lip.sum() > 3
    color = np.median(one.colors[lip], 0)
    assert color[0] - color[1] > 0.25 > SKIN[0] - SKIN[1]


def test_glasses_are_found_only_where_there_are_rims(person: Avatar, astronaut: Donor) -> None:
    with pytest.raises(UserError, match="no glasses can be made out"):
        taken(person, astronaut, "glasses")
    one = taken(person, with_rims(astronaut), "glasses")
    frame = one.added.rigid.means[(one.added.colors @ LUMA) < 0.25]
    eyes = person.rig.eye_centers
    around = np.linalg.norm(
        frame[frame[:, 2] > 0.02][:, :2] - eyes[0, :2] - np.array([0.003, -0.003]), axis=1
    )
    near = around[around < 0.03]
    assert len(near) > 50
    assert abs(float(np.median(near)) - 0.0225) < 0.004, "as large as the drawn rims"
    assert frame[:, 2].min() < -0.06, "arms reach the ears"


def test_a_hat_is_told_from_hair(person: Avatar, astronaut: Donor) -> None:
    with pytest.raises(UserError, match="no hat"):
        taken(person, astronaut, "hat")
    landmarks = astronaut.portrait.detection.landmarks
    rows = np.arange(512)[:, None]
    above = (astronaut.look.alpha > 0.5) & (rows < landmarks[10, 1] + 8)
    hatted = repainted(astronaut, above, (0.1, 0.2, 0.6))
    hat = taken(person, hatted, "hat")
    color = np.median(hat.added.colors[hat.added.regions == Region.ACCESSORY], 0)
    assert color[2] > color[0] + 0.25
    top = (person.regions == Region.HAIR) & (centers_of(person)[:, 1] > 0.09)
    hidden = np.ones(len(person))
    hidden[hat.ids] = hat.opacities / person.opacities[hat.ids]
    assert hidden[top].mean() < 0.2
    assert np.abs(np.median(person.colors[top], 0) - HAIR).max() < 1e-3


def test_an_editor_gives_the_portrait_with_the_part_and_nothing_else_changed(
    person: Avatar, astronaut: Donor
) -> None:
    backed = replace(
        person, source=replace(person.source, backdrop=np.full((8, 8, 3), 200, np.uint8))
    )
    edited = FromPhoto(astronaut.photo, "hair")(backed, progress=lambda *_: None)
    from offline.editing.look_pictures import own_portrait

    before = own_portrait(backed, edited.view)
    outside = edited.mask == 0
    assert outside.mean() > 0.2
    assert np.array_equal(edited.rgb[outside], before[outside])
    assert np.abs(edited.rgb[edited.mask > 0.9].astype(int) - before[edited.mask > 0.9]).mean() > 8
    assert edited.teacher.known and edited.teacher.look.slot == "hair"
    assert distance_to(edited.mask > 0.5)[500, 256] > 50, "the shoulders are outside"


def test_what_cannot_be_taken_is_one_line(person: Avatar, astronaut: Donor) -> None:
    with pytest.raises(UserError, match="unknown part 'nose': there are hair, "):
        require_part("nose")
    grey = Photo(np.full((300, 300, 3), 128, np.uint8), "0" * 64, "wall.jpg")
    with pytest.raises(UserError, match=r"wall\.jpg: no human face found"):
        attribute_from_photo(person, grey, "hair", progress=lambda *_: None)
    other = replace(
        person, rig=replace(person.rig, triangles=person.rig.triangles[:, [1, 2, 0]].copy())
    )
    with pytest.raises(UserError, match="another mesh"):
        part_from(other, astronaut, "hair", title_for("hair", "x", None), progress=lambda *_: None)
