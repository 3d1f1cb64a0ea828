from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offline.build_state import BuildConfig, Consent
from offline.extra_views import MOST_UNLIKENESS, fit_views, unlikeness
from offline.pipeline import build_avatar
from offline.portrait import find_portrait
from offline.refine.photometric import RefineConfig
from offline.texture.multiview import SeenColors, in_the_light_of, merged_colors
from perse_live.arrays import FloatArray
from perse_live.camera import Camera
from perse_live.detect import Detection
from perse_live.errors import UserError
from perse_live.head.fit import fit_photo
from perse_live.head.landmarks import face_shape, load_landmark_model
from perse_live.photo import Photo, load_photo

MODEL = load_landmark_model()


def points(count: int = 3000) -> tuple[FloatArray, FloatArray]:
    """Places on a face of 14 cm and smoothly varying colours there."""
    random = np.random.default_rng(0)
    rest = random.uniform(-0.07, 0.07, (count, 3)) * np.array([1, 1, 0.2])
    colors = (
        0.5
        + 0.15 * np.sin(rest[:, :1] * 60 + np.array([0, 1, 2]))
        + random.normal(0, 0.02, (count, 3))
    )
    return rest, np.clip(colors, 0.1, 0.9)


def test_what_only_the_other_picture_sees_comes_from_it_in_the_portrait_s_light() -> None:
    rest, truth = points()
    left = rest[:, 0] < 0.01
    tint = np.array([1.25, 1.0, 0.8])
    own = SeenColors(np.where(left[:, None], truth, 0), left.astype(float))
    other = SeenColors(truth / tint, (rest[:, 0] > -0.04).astype(float))
    merged = merged_colors(rest, own, [other])
    assert merged.confidence.min() == 1
    # The portrait comes first
    np.testing.assert_allclose(merged.observed[left], truth[left], atol=1e-9)
    np.testing.assert_allclose(merged.observed[~left], truth[~left], atol=0.01)


def test_light_from_one_side_is_followed_over_the_face() -> None:
    rest, truth = points()
    own = SeenColors(truth, (rest[:, 1] > -0.03).astype(float))
    other = SeenColors(truth * (1 + 3 * rest[:, :1]), np.ones(len(rest)))
    matched = in_the_light_of(rest, own, other)
    assert matched is not None
    below = (rest[:, 1] < -0.03) & (rest[:, 1] > -0.045)
    assert (
        np.abs(matched.observed - truth)[below].mean()
        < 0.35 * np.abs(other.observed - truth)[below].mean()
    )


def test_of_several_pictures_the_one_that_sees_a_point_best_has_most_to_say() -> None:
    rest, truth = points()
    seen = rest[:, 0] < 0
    own = SeenColors(truth, seen.astype(float))
    good = SeenColors(truth, np.ones(len(rest)))
    bad = SeenColors(np.where(seen[:, None], truth, 1.0), np.where(seen, 1.0, 0.3))
    merged = merged_colors(rest, own, [good, bad])
    assert np.abs(merged.observed - truth).max() < 0.1


def test_pictures_that_share_nothing_or_another_light_altogether_are_not_used() -> None:
    rest, truth = points()
    half = rest[:, 0] < 0
    own = SeenColors(truth, half.astype(float))
    assert in_the_light_of(rest, own, SeenColors(truth, (~half).astype(float))) is None
    assert in_the_light_of(rest, own, SeenColors(truth * 0.3, np.ones(len(rest)))) is None
    assert (
        merged_colors(rest, own, [SeenColors(truth * 0.3, np.ones(len(rest)))]).confidence.tolist()
        == half.tolist()
    )


def detection(identity: FloatArray) -> Detection:
    """Somebody of an identity, straight before the camera of a portrait."""
    camera = Camera.for_image(512, 512)
    seen = face_shape(MODEL, identity).neutral_landmarks * np.array([1, -1, -1]) + np.array(
        [0, 0, 0.6]
    )
    landmarks = np.concatenate([camera.project(seen), np.zeros((478, 1))], 1).astype(np.float32)
    return Detection(landmarks, np.zeros(52, np.float32), np.eye(4, dtype=np.float32), 512, 512)


def test_two_pictures_of_one_head_are_alike_and_of_two_heads_are_not() -> None:
    random = np.random.default_rng(1)
    camera = Camera.for_image(512, 512)
    someone, other = random.normal(0, 1, (2, 40))
    first, second = (
        fit_photo(detection(someone), camera, MODEL),
        fit_photo(detection(other), camera, MODEL),
    )
    assert unlikeness(first, first) == pytest.approx(0, abs=1e-6)
    noisy = detection(someone)
    noisy = replace(
        noisy, landmarks=noisy.landmarks + random.normal(0, 1, (478, 3)).astype(np.float32)
    )
    assert unlikeness(first, fit_photo(noisy, camera, MODEL)) < 0.3 * unlikeness(first, second)


@pytest.mark.slow
def test_pictures_without_a_face_are_left_out_or_all_refused(astronaut_photo: Path) -> None:
    photo = load_photo(astronaut_photo)
    portrait = find_portrait(photo)
    blank = Photo(np.full((300, 300, 3), 128, np.uint8), "", "blank.png")
    again = Photo(np.ascontiguousarray(photo.rgb[:480, 20:500]), "", "again.png")
    fit, views, warnings = fit_views(portrait, [blank, again], MODEL)
    assert [view.name for view in views] == ["again.png"]
    assert len(warnings) == 1 and warnings[0].startswith("left out: blank.png: no human face")
    assert (
        unlikeness(fit, fit_photo(portrait.detection, portrait.camera, MODEL)) < MOST_UNLIKENESS / 2
    )
    with pytest.raises(UserError, match=r"none of the 1 further pictures can be used: blank\.png"):
        fit_views(portrait, [blank], MODEL)
    assert fit_views(portrait, [], MODEL)[1:] == ([], [])


@pytest.mark.slow
def test_an_avatar_is_built_with_a_further_picture(astronaut_photo: Path) -> None:
    photo = load_photo(astronaut_photo)
    again = Photo(np.ascontiguousarray(photo.rgb[:480, 20:500]), "", "again.png")
    avatar = build_avatar(
        astronaut_photo,
        consent=Consent("the tests", "2026-01-01T00:00:00+00:00"),
        extra=[again],
        config=BuildConfig(refine=RefineConfig(iterations=3)),
        progress=lambda *_: None,
    )
    assert 20_000 < len(avatar) < 60_000
    assert np.isfinite(avatar.colors).all()
