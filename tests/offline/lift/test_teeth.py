"""Rows of teeth on the mean head, and in its mouth."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline.images import polygon
from offline.lift.mouth import flesh_color, flesh_tone, light_on_teeth, mouth_layer
from offline.lift.teeth import (
    ENAMEL,
    LOWER,
    ROWS,
    UPPER,
    Row,
    crown_color,
    individual_row,
    longer_row,
    painted_row,
    row_mesh,
    strokes,
)
from offline.looks.photo_tones import lab_of
from offline.rig.photo_geometry import PhotoGeometry, photo_geometry
from offline.segment.appearance import Appearance
from perse_live.arrays import FloatArray
from perse_live.head.expressions import expression
from perse_live.head.landmarks import (
    INNER_LIP_RING,
    OUTER_LIP_RING,
    load_landmark_model,
    mesh_landmarks,
)
from perse_live.head.rig import Part, expressed, vertices_of
from perse_live.raster import rasterise
from perse_live.regions import Region

_FLESH = np.array([0.6, 0.3, 0.3])
_SKIN = np.array([0.72, 0.55, 0.36])


def _color(row: Row, along: float, height: float) -> FloatArray:
    return crown_color(row, np.array([along]), np.array([height]))[0]


@pytest.mark.parametrize("row", ROWS)
def test_teeth_are_pale_and_part_softly(row: Row) -> None:
    width = row.crowns[0][0]
    tooth, between, flesh = (
        _color(row, *place) for place in ((width / 2, 2.5), (0.0, 2.5), (width / 2, 14.0))
    )
    assert tooth.min() > 0.45
    assert 0.7 < between.mean() / tooth.mean() < 0.9  # a soft line, not a dark bar
    assert flesh[0] > 1.4 * flesh[1]
    np.testing.assert_allclose(_color(row, 7.0, 3.0), _color(row, -7.0, 3.0))


@pytest.mark.parametrize("row", ROWS)
def test_teeth_darken_towards_the_corners_and_under_the_lip(row: Row) -> None:
    middles = np.cumsum([crown[0] for crown in row.crowns]) - [crown[0] / 2 for crown in row.crowns]
    light = [
        _color(row, middle, 0.4 * crown[1]).mean()
        for middle, crown in zip(middles, row.crowns, strict=True)
    ]
    assert all(nearer >= 0.99 * farther for nearer, farther in itertools.pairwise(light))
    assert light[-1] < 0.5 * light[0]
    assert _color(row, middles[0], 8.0).mean() < 0.9 * _color(row, middles[0], 4.0).mean()


@pytest.mark.parametrize("row", ROWS)
def test_a_row_s_cutting_edge_has_no_gaps(row: Row) -> None:
    drawn = strokes(row)
    face = np.abs(drawn.normals[:, 1]) < 0.5
    low = np.abs(drawn.places[:, 1] - row.edge) < 0.0022  # the strokes that end there
    front = face & low & (np.abs(drawn.places[:, 0]) < 0.016)
    columns = np.unique(np.round(drawn.places[front, 0], 6))
    assert np.diff(columns).max() < 0.0008
    assert np.diff(columns).max() < 2.2 * drawn.sigma[front, 0].min()


@pytest.mark.slow
def test_the_upper_row_stays_and_the_lower_goes_with_the_jaw(mean_head: PhotoGeometry) -> None:
    rig = mean_head.rig
    opened = expressed(rig, expression(jawOpen=0.6))
    wide = photo_geometry(
        mean_head.camera,
        rig,
        opened,
        mean_head.R_cam_head,
        mean_head.t_cam_head,
        mean_head.template,
    )
    upper, lower = (
        painted_row(wide, row, np.ones(3)).gaussians.means
        - painted_row(mean_head, row, np.ones(3)).gaussians.means
        for row in (UPPER, LOWER)
    )
    assert np.abs(upper).max() < 1e-4
    jaw = (opened - rig.vertices)[vertices_of(rig, Part.TEETH_LOWER)]
    assert lower[:, 1].max() > 0.8 * -jaw[:, 1].min()  # down in the picture
    assert (painted_row(wide, UPPER, np.ones(3)).triangles < 0).all()
    carried = painted_row(wide, LOWER, np.ones(3)).triangles
    assert (rig.parts[carried] == Part.TEETH_LOWER).all()


@pytest.mark.slow
def test_crowns_stand_before_the_rows_mesh_nowhere(mean_head: PhotoGeometry) -> None:
    """What the photo shows is laid on the mesh, so both must be one surface, to half a millimetre or a crown's roundness."""
    vertices, triangles = row_mesh(mean_head, UPPER)
    seen = rasterise(vertices, triangles, mean_head.camera)
    layer = painted_row(mean_head, UPPER, np.ones(3))
    front = layer.gaussians.means[np.abs(layer.gaussians.means[:, 0]) < 0.012]
    pixels = mean_head.camera.project(front).astype(int)
    depth = seen.depth[pixels[:, 1], pixels[:, 0]]
    known = np.isfinite(depth)
    assert known.mean() > 0.5
    assert (depth - front[:, 2])[known].max() < 0.0006


def _look(white: FloatArray | None) -> Appearance:
    shape = (64, 64)
    image = np.tile(_SKIN, (*shape, 1)).astype(np.float32)
    openings = np.zeros(shape, np.bool_)
    if white is not None:
        openings[10:16, 10:30] = True
        image[openings] = white
    full = np.ones(shape, np.float32)
    return Appearance(
        image,
        full,
        (~openings).astype(np.float32),
        full,
        0 * full,
        0 * full,
        image,
        openings,
        ~openings,
    )


def test_teeth_take_the_light_from_the_whites_of_the_eyes() -> None:
    mouth = np.zeros((64, 64), np.bool_)
    by_skin, by_eyes = (
        light_on_teeth(_look(white), mouth) * ENAMEL
        for white in (None, np.array([0.55, 0.53, 0.50]))
    )
    tint = [tooth[0] / tooth[2] for tooth in (by_skin, by_eyes)]
    assert tint[0] < 0.8 * _SKIN[0] / _SKIN[2]  # less yellow than the skin
    assert tint[1] == pytest.approx(0.55 / 0.50, abs=0.02)
    assert by_skin.mean() > 1.1 * _SKIN.mean()
    by_blue = light_on_teeth(_look(np.array([0.50, 0.53, 0.56])), mouth) * ENAMEL
    assert by_blue[0] > 1.02 * by_blue[1] > 1.02 * by_blue[2]  # not grey


def test_teeth_in_dark_pictures_are_dark() -> None:
    look = _look(None)
    mouth = np.zeros((64, 64), np.bool_)
    dim = replace(look, image=0.3 * look.image)
    assert light_on_teeth(dim, mouth).mean() < 0.65 * light_on_teeth(look, mouth).mean()


def test_the_mouth_darkens_towards_the_throat_and_the_tongue_is_lit_from_the_front() -> None:
    rest = np.array([[0.0, -0.075, z] for z in (0.012, -0.01, -0.03)])
    up = np.tile([0.0, 0.8, 0.6], (3, 1))
    tone = np.array([0.7, 0.4, 0.4])
    for tongue in (True, False):
        light = flesh_color(tone, rest, up, tongue=tongue).mean(1)
        assert light[0] > light[1] > light[2] > 0.02
    middle, side = (
        flesh_color(tone, np.array([[x, -0.075, 0.0]]), up[:1], tongue=True).mean()
        for x in (0.006, 0.02)
    )
    assert 0.7 * middle < side < 0.95 * middle


@given(st.floats(0.15, 0.8), st.floats(0, 0.6), st.floats(0, 0.5))
def test_a_tongue_is_as_saturated_as_lips_or_skin_ask_and_as_light_as_the_skin_says(
    brightness: float, lip_red: float, skin_red: float
) -> None:
    lip, skin = (
        brightness * np.array([1.0, 1 - red, 1 - 1.2 * red]) for red in (lip_red, skin_red)
    )
    tongue, of_lip, of_skin = lab_of(np.stack([flesh_tone(_FLESH, 0.8, skin, lip), lip, skin]))
    chroma, lips, face = (float(np.hypot(*color[1:])) for color in (tongue, of_lip, of_skin))
    assert abs(tongue[0] - 0.8 * of_skin[0]) < 3  # gamut
    assert chroma < 44
    assert chroma > 0.9 * min(max(lips, face), 42) - 2
    grey = flesh_tone(_FLESH, 0.8, np.full(3, brightness), np.full(3, 0.8 * brightness))
    assert np.ptp(grey) < 0.02


def test_a_tongue_between_pale_lips_is_redder_than_the_skin() -> None:
    skin, lip = np.array([0.78, 0.66, 0.56]), np.array([0.72, 0.60, 0.56])
    tongue, face = lab_of(np.stack([flesh_tone(_FLESH, 0.8, skin, lip), skin]))
    assert np.hypot(*tongue[1:]) > 1.3 * np.hypot(*face[1:])
    assert np.arctan2(tongue[2], tongue[1]) < np.arctan2(face[2], face[1]) - 0.3


def test_red_lids_make_no_violet_teeth() -> None:
    tooth = (
        light_on_teeth(_look(np.array([0.71, 0.58, 0.59])), np.zeros((64, 64), np.bool_)) * ENAMEL
    )
    assert tooth[0] > tooth[1] >= tooth[2]


@pytest.mark.slow
def test_behind_the_lips_the_mouth_has_their_colour(mean_head: PhotoGeometry) -> None:
    landmarks = mean_head.camera.project(mesh_landmarks(load_landmark_model(), mean_head.vertices))
    lips = polygon(landmarks[list(OUTER_LIP_RING)], (512, 512))
    # A colour that no mouth's inside has
    image = np.where(lips[..., None], [0.35, 0.15, 0.60], _SKIN).astype(np.float32)
    full = np.ones((512, 512), np.float32)
    look = Appearance(image, full, full, full, 0 * full, 0 * full, image, full < 0, full > 0)
    layer = mouth_layer(mean_head, look, landmarks, np.random.default_rng(0))
    lining = layer.select(
        (layer.triangles >= 0) & (mean_head.rig.parts[layer.triangles] == Part.MOUTH_CAVITY)
    )
    blue = lining.gaussians.colors[:, 2] > lining.gaussians.colors[:, 0]
    ring = mesh_landmarks(load_landmark_model(), mean_head.vertices)[list(INNER_LIP_RING)]
    away = np.linalg.norm(lining.gaussians.means[:, None] - ring, axis=2).min(1)
    assert blue[away < 0.002].all()
    assert not blue[away > 0.012].any()
    # the back of the tongue is as dense as its front: an open mouth shows both
    tongue = layer.select(layer.regions == Region.TONGUE)
    depth = mean_head.triangle_template()[tongue.triangles, 2]
    wide = tongue.gaussians.scales[:, 0]
    assert np.median(wide[(depth > -0.045) & (depth < -0.035)]) < 1.2 * np.median(wide[depth > 0])


@given(st.integers(0, 1000))
def test_people_s_teeth_differ_a_little(seed: int) -> None:
    own = individual_row(UPPER, np.random.default_rng(seed))
    sizes, usual = np.array(own.crowns)[:, :2], np.array(UPPER.crowns)[:, :2]
    assert 0.005 < np.abs(sizes / usual - 1).mean() < 0.06
    assert np.abs(own.shades - 1).max() < 0.12
    left, right = (_color(own, side * 4.0, 3.0) for side in (-1.0, 1.0))
    assert 0 < np.abs(left - right).max() < 0.1  # and the two halves of a row


def test_where_the_photo_shows_the_mouth_lower_teeth_and_the_sides_take_its_dark(
    mean_head: PhotoGeometry,
) -> None:
    seen = np.ones((512, 512), np.float32)
    for row, at_middle in ((UPPER, 0.0), (LOWER, 1.0)):
        layer = painted_row(mean_head, row, np.ones(3), seen)
        aside = np.abs(mean_head.to_head(layer.gaussians.means)[:, 0])
        np.testing.assert_allclose(layer.color_freedom[aside < 0.009], at_middle)
        np.testing.assert_allclose(layer.color_freedom[aside > 0.02], 1)
        assert painted_row(mean_head, row, np.ones(3)).color_freedom.max() == 0


def test_a_row_behind_photographed_teeth_reaches_as_far_as_they_may(
    mean_head: PhotoGeometry,
) -> None:
    """A person's upper teeth that are longer than the average's are the upper row's in a photo, not the jaw's."""
    for row, longer in ((UPPER, 0.001), (LOWER, 0.0)):
        average, behind = (
            mean_head.to_head(painted_row(mean_head, one, np.ones(3)).gaussians.means)[:, 1]
            for one in (row, longer_row(row))
        )
        np.testing.assert_allclose(average - behind, longer, atol=1e-5)
        mesh = mean_head.to_head(row_mesh(mean_head, row)[0])[:, 1]
        ends = (mesh.min(), behind.min()) if row is UPPER else (mesh.max(), behind.max())
        assert abs(ends[0] - ends[1]) < 0.0008
