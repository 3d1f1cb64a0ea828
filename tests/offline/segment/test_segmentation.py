from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_segmenter import painted, tiny_multiclass

from offline import pipeline
from offline.images import dilate
from offline.portrait import Portrait
from offline.rig.photo_geometry import PhotoGeometry
from offline.segment import multiclass
from offline.segment.appearance import portrait_appearance, skin_purity
from offline.segment.contract import (
    BACKGROUND,
    BODY_SKIN,
    CLASSES,
    CLOTHES,
    FACE_SKIN,
    HAIR,
    OTHER,
    PartMaps,
    parts_of,
    with_background,
)
from perse_live import assets
from perse_live.arrays import BoolArray
from perse_live.assets import asset_path
from perse_live.detect import Detection
from perse_live.errors import UserError
from perse_live.head.landmarks import load_landmark_model, mesh_landmarks
from perse_live.head.rig import Part
from runtime.doctor import software


@pytest.fixture
def supplied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model file in the user's own folder, which passes for the official one."""
    content = tiny_multiclass()
    asset = assets.ASSETS["selfie_multiclass"]
    path = tmp_path / asset.file_name
    path.write_bytes(content)
    known = replace(asset, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    monkeypatch.setitem(assets.ASSETS, "selfie_multiclass", known)
    monkeypatch.setenv(assets.FOLDER_VARIABLE, str(tmp_path))
    return path


def test_the_network_s_classes_are_told_in_their_order(supplied: Path) -> None:
    labels = (np.arange(360)[:, None] // 60 % 6).repeat(400, 1)
    segment = multiclass.segmenter()
    assert segment is not None
    probabilities = segment(painted(labels))
    assert probabilities.shape == (360, 400, len(CLASSES))
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-4)
    # Off the borders, where the network's square is coarser
    inside = np.abs((np.arange(360) % 60) - 30) < 24
    assert (probabilities.argmax(-1) == labels)[inside].mean() > 0.995


def test_an_avatar_names_the_licences_of_the_networks_that_made_it(supplied: Path) -> None:
    assert any("Selfie Multiclass" in licence for licence in pipeline.model_licences())
    supplied.unlink()
    assert not any("Selfie Multiclass" in licence for licence in pipeline.model_licences())


def test_without_the_file_there_is_no_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(assets.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(assets, "_cached_path", lambda asset: tmp_path / "nothing")  # pyright: ignore[reportUnknownLambdaType]
    assert multiclass.segmenter() is None


@pytest.mark.parametrize("kind", ["another model", "no model"])
def test_a_file_of_another_kind_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "selfie_multiclass_256x256.tflite"
    path.write_bytes(
        asset_path("selfie_segmentation").read_bytes() if kind == "another model" else b"TFL3" * 100
    )
    said = (
        r"selfie_multiclass_256x256\.tflite: (a model of \d classes where 6|MediaPipe cannot use)"
    )
    with pytest.raises(UserError, match=said):
        multiclass.probabilities(np.zeros((64, 64, 3), np.uint8), path)


def test_a_wrong_file_of_the_user_s_is_an_error(supplied: Path) -> None:
    supplied.write_bytes(b"something else")
    with pytest.raises(UserError, match="selfie_multiclass"):
        multiclass.segmenter()


@given(st.integers(0, 2**32 - 1))
def test_parts_survive_being_written_as_classes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet((1, 1, 1), (6, 5)).astype(np.float32)
    person = rng.choice([0.0, 1e-6, 0.3, 1.0], (6, 5)).astype(np.float32)
    parts = PartMaps(*np.moveaxis(shares, -1, 0))
    probabilities = with_background(parts, person)
    assert probabilities.shape[-1] == len(CLASSES) and (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)
    back = parts_of(probabilities, np.zeros((6, 5), np.float32))
    for name in ("skin", "hair", "clothes"):
        np.testing.assert_allclose(getattr(back, name), getattr(parts, name), atol=1e-3)


def test_what_is_worn_goes_with_the_hair_above_and_with_the_clothes_below() -> None:
    probabilities = np.zeros((2, 1, 6), np.float32)
    probabilities[:, :, OTHER] = 1
    parts = parts_of(probabilities, np.array([[1.0], [0.0]], np.float32))
    assert parts.hair.ravel().tolist() == [1, 0] and parts.clothes.ravel().tolist() == [0, 1]
    assert not parts.skin.any()


def portrait_of(head: PhotoGeometry) -> tuple[Portrait, BoolArray, BoolArray]:
    """The average head in the network's colours, under hair that looks like skin to the eye; where hair and clothes are."""
    y = head.template_map()[..., 1]
    labels = np.where(
        head.part_map(Part.BODY), CLOTHES, np.where(head.seen.covered, FACE_SKIN, BACKGROUND)
    )
    labels[head.part_map(Part.SKIN) & (y < -0.11)] = BODY_SKIN
    scalp = head.part_map(Part.SKIN) & (y > 0.05)
    labels[scalp] = HAIR
    rgb = painted(labels.astype(np.int64))
    pixels = head.camera.project(mesh_landmarks(load_landmark_model(), head.vertices))
    landmarks = np.concatenate([pixels, np.zeros((len(pixels), 1))], 1).astype(np.float32)
    detection = Detection(
        landmarks, np.zeros(52, np.float32), np.eye(4, dtype=np.float32), 512, 512
    )
    whole = np.ones(rgb.shape[:2], np.bool_)
    return (
        Portrait(rgb, whole, ~whole, detection, head.camera, ()),
        scalp,
        labels == CLOTHES,
    )


def test_a_build_uses_the_network_where_the_file_is(
    supplied: Path, mean_head: PhotoGeometry
) -> None:
    portrait, scalp, clothes = portrait_of(mean_head)
    look, parts = portrait_appearance(portrait, mean_head)
    person = mean_head.seen.covered
    assert ((look.alpha > 0.5) == person).mean() > 0.98
    assert (parts.hair > 0.5)[scalp].mean() > 0.9
    assert (parts.clothes > 0.5)[clothes].mean() > 0.9
    skin = person & ~scalp & ~clothes
    assert (parts.skin > 0.5)[skin].mean() > 0.9


def test_light_along_the_outline_keeps_the_photo_s_colors(
    supplied: Path, mean_head: PhotoGeometry
) -> None:
    portrait, _, clothes = portrait_of(mean_head)
    outline = clothes & dilate(~mean_head.seen.covered, 4)
    lit = np.clip(portrait.rgb * np.where(outline, 1.35, 1.0)[..., None], 0, 255).astype(np.uint8)
    look, _ = portrait_appearance(replace(portrait, rgb=lit), mean_head)
    shown = outline & look.opaque
    assert shown.sum() > 200  # pixels
    np.testing.assert_allclose(look.image[shown], lit[shown] / 255, atol=1e-6)


def test_doctor_says_which_one_builds_use(
    supplied: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "with selfie_multiclass_256x256.tflite" in software.segmentation().found
    supplied.unlink()
    monkeypatch.setattr(assets, "_cached_path", lambda asset: tmp_path / "nothing")  # pyright: ignore[reportUnknownLambdaType]
    found = software.segmentation()
    assert "by colours and the fitted head" in found.found and found.status == "ok"


def test_skin_is_pure_away_from_its_outline_and_where_no_strand_hangs_before_it() -> None:
    """A sharpened photo has a light seam along outlines, which showed as a line on the turned cheek."""
    skin, none = np.ones((40, 60), np.float32), np.zeros((40, 60), np.float32)
    person = np.arange(60)[None].repeat(40, 0) >= 20
    strands = none.copy()
    strands[:20] = 0.8  # taken for hair, where the mirror point shows none
    pure = skin_purity(PartMaps(skin, none, none), strands, person, 1.0)
    assert not pure[~person].any()
    assert pure[30, 20:24].max() < 0.5
    np.testing.assert_allclose(pure[30, 30:], 1)
    np.testing.assert_allclose(pure[10, 30:], 0.2, atol=1e-6)
