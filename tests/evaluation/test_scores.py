from __future__ import annotations

import cv2
import numpy as np
import pytest
from evaluation_faces import portrait

from perse_live.arrays import UInt8Array
from perse_live.avatar import Avatar
from perse_live.detect import FaceDetector
from perse_live.errors import UserError
from perse_live.evaluation.regions import scaled_hull
from perse_live.evaluation.scores import MEASURES, FilmScores, mean_scores, score_film
from perse_live.head.expressions import expression
from perse_live.head.rig import gaze_from_expression
from runtime.stage import Motion, Stage, facing_pose

FILM = [portrait(shift=k) for k in (0, 3, 7, 5, 1, -4, -8)]


def test_the_same_film_is_perfect() -> None:
    scores = score_film(FILM, FILM, FILM[0], rate=25)
    assert scores.frames == 7 and scores.undetected == 0
    perfect = {
        "psnr": 60,
        "psnr_in": 60,
        "ssim": 1,
        "gmsd": 0,
        "psnr_mouth": 60,
        "psnr_eyes": 60,
        "akd": 0,
        "akd_mouth": 0,
        "akd_eyes": 0,
        "akd_oval": 0,
        "akd_expr": 0,
        "bs_l1": 0,
        "pose_deg": 0,
        "detect": 1,
        "jitter": 1,
        "jitter_err": 0,
        "folds": 1,  # she smiles
    }
    assert {name: scores.means[name] for name in perfect} == pytest.approx(perfect, abs=0.03)
    # No model, no closed eyes
    assert all(scores.means[name] is None for name in ("id_src", "id_ref", "id_ceil", "psnr_lids"))
    assert set(scores.means) == set(MEASURES)


def test_a_still_picture_is_not_alive_and_a_shifted_one_is_off_by_the_shift() -> None:
    still = score_film(FILM, [FILM[0]] * len(FILM), FILM[0], rate=25).means
    assert still["jitter"] == pytest.approx(0, abs=0.05) and still["jitter_err"] == pytest.approx(
        1, abs=0.05
    )
    shifted = score_film(
        FILM, [portrait(shift=k + 6) for k in (0, 3, 7, 5, 1, -4, -8)], FILM[0], rate=25
    ).means
    assert (
        shifted["akd"] is not None
        and shifted["akd_expr"] is not None
        and shifted["psnr"] is not None
    )
    assert shifted["akd"] == pytest.approx(100 * 6 / 54, rel=0.15)  # the eyes are 54 pixels apart
    assert shifted["akd_expr"] < 0.2 * shifted["akd"]
    assert shifted["psnr"] < 25


def test_what_is_wrong_at_the_rim_of_the_face_is_not_inside_it() -> None:
    with FaceDetector(min_confidence=0.5, search=False) as detector:
        face = detector.detect(FILM[0])[0]
    kept = scaled_hull(face.landmarks[:, :2], 0.92, 240, 240)
    means = score_film(
        [FILM[0]], [np.where(kept[..., None], FILM[0], 0).astype(np.uint8)], FILM[0], rate=25
    ).means
    assert means["psnr_in"] == 60 and means["psnr"] is not None and means["psnr"] < 25


@pytest.mark.slow
def test_closed_lids_are_judged_by_the_frames_that_have_them(astronaut_avatar: Avatar) -> None:
    stage = Stage(astronaut_avatar, astronaut_avatar.source.camera, threads=2)
    pose, film = facing_pose(astronaut_avatar), list[UInt8Array]()
    for blink in (0.0, 1.0, 1.0):
        doing = expression(eyeBlinkLeft=blink, eyeBlinkRight=blink)
        film.append(
            stage.draw(
                Motion(doing, gaze_from_expression(doing), pose), background=(0.0, 0.0, 0.0)
            ).copy()
        )
    drawn = [film[0], film[1], film[0]]  # the third blink is missed
    means = score_film(film, drawn, film[0], rate=25).means
    assert means["psnr_lids"] is not None and means["psnr_eyes"] is not None
    missed = 2 * means["psnr_lids"] - 60
    assert missed < 30 and means["psnr_eyes"] == pytest.approx((60 + 60 + missed) / 3)


def test_skin_without_its_folds_has_too_little_detail() -> None:
    smooth = [np.asarray(cv2.GaussianBlur(picture, (0, 0), 2), np.uint8) for picture in FILM]
    folds = score_film(FILM, smooth, FILM[0], rate=25).means["folds"]
    assert folds is not None and 0.05 < folds < 0.7


def test_a_face_that_is_not_found_again_is_counted() -> None:
    drawn = [*FILM[:4], *[np.zeros_like(FILM[0])] * 3]
    means = score_film(FILM, drawn, FILM[0], rate=25).means
    assert means["detect"] == pytest.approx(4 / 7)
    assert means["akd"] == pytest.approx(0, abs=1e-6)  # of the frames that have one


def test_real_frames_without_a_face_are_left_out() -> None:
    film = [*FILM[:5], np.zeros_like(FILM[0])]
    scores = score_film(film, film, FILM[0], rate=25)
    assert scores.undetected == 1 and scores.means["detect"] == 1


def test_films_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(UserError, match="7 frames of 240x240 and 6 of 240x240"):
        score_film(FILM, FILM[:6], FILM[0], rate=25)
    with pytest.raises(UserError, match="240x240 and 7 of 100x240"):
        score_film(FILM, [picture[:, :100] for picture in FILM], FILM[0], rate=25)


def test_every_clip_counts_alike_in_the_mean_and_missing_figures_do_not() -> None:
    nothing: dict[str, float | None] = dict.fromkeys(MEASURES)
    clips = [
        FilmScores(100, 0, nothing | {"psnr": 20.0, "bs_corr": 0.5}),
        FilmScores(10, 0, nothing | {"psnr": 30.0}),
    ]
    mean = mean_scores(clips)
    assert (mean["psnr"], mean["bs_corr"], mean["akd"]) == (25, 0.5, None)
