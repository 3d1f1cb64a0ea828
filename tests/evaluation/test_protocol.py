from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from evaluation_faces import made_up_face, moved, portrait

from perse_live.arrays import UInt8Array
from perse_live.errors import UserError
from perse_live.evaluation.protocol import ClipPlan, Survey, chosen, cut, plan_clip, survey
from perse_live.head.expressions import expression


def clip(count: int = 60, *, calm: int = 7) -> Survey:
    """A face that talks and turns, except in one frame."""
    faces = [
        made_up_face(
            size=800,
            yaw=0 if k == calm else 12,
            scores=expression(jawOpen=0.0 if k == calm else 0.4),
        )
        for k in range(count)
    ]
    return Survey(tuple(faces), np.full(count, 100.0), 800, 800)


def test_the_portrait_is_the_calm_frontal_frame() -> None:
    plan = plan_clip(clip(calm=7))
    assert plan.source == 7
    assert plan.stride == 1
    assert set(plan.frames) == {k for k in range(60) if abs(k - 7) > 5}


def test_the_portrait_comes_from_the_clip_s_beginning() -> None:
    assert plan_clip(clip(calm=40)).source < 24


def test_long_clips_are_thinned_out_evenly() -> None:
    plan = plan_clip(clip(400))
    assert plan.stride == 4
    assert len(plan.frames) <= 120
    assert all(frame % 4 == 0 for frame in plan.frames)


def test_further_frames_are_unlike_the_portrait_and_never_scored() -> None:
    plan = plan_clip(clip(), extras=2)
    assert len(plan.extras) == 2 and plan.source not in plan.extras
    assert all(
        abs(frame - used) > 5 for frame in plan.frames for used in (plan.source, *plan.extras)
    )


def test_the_square_holds_the_face_and_stays_within_the_picture() -> None:
    seen = clip()
    left, top, side = plan_clip(seen).crop
    assert left >= 0 and top >= 0 and left + side <= 800 and top + side <= 800
    assert seen.faces[0] is not None
    box = seen.faces[0].landmarks[:, :2]
    assert (box.min(0) > [left, top]).all() and (box.max(0) < [left + side, top + side]).all()


def test_faces_that_leave_the_square_are_not_scored() -> None:
    seen = clip()
    away = tuple(
        None if face is None else moved(face, np.array([700.0, 0])) if k == 50 else face
        for k, face in enumerate(seen.faces)
    )
    assert 50 not in plan_clip(Survey(away, seen.sharpness, 800, 800)).frames


def test_too_few_faces_are_refused() -> None:
    seen = clip()
    blind = Survey((*seen.faces[:10], *([None] * 50)), seen.sharpness, 800, 800)
    with pytest.raises(UserError, match="only 10 of 60 frames"):
        plan_clip(blind)
    with pytest.raises(UserError, match="no frames"):
        survey(iter(()))


def test_a_survey_finds_faces_and_tells_sharp_from_blurred() -> None:
    sharp = portrait()
    blurred = np.repeat(np.repeat(sharp[::6, ::6], 6, 0), 6, 1)
    seen = survey(iter([sharp, np.zeros_like(sharp), np.ascontiguousarray(blurred[:240, :240])]))
    assert seen.faces[0] is not None and seen.faces[1] is None
    assert seen.sharpness[0] > 0 and seen.sharpness[1] == 0
    assert (seen.width, seen.height) == (240, 240)


def test_a_survey_keeps_to_one_person_and_sees_far_ones() -> None:
    person = np.asarray(cv2.resize(portrait(), (300, 300), interpolation=cv2.INTER_AREA), np.uint8)
    alone = np.full((480, 720, 3), 118, np.uint8)
    alone[80:380, :300] = person
    both = alone.copy()
    both[40:440, 300:] = np.asarray(cv2.resize(person[:, ::-1], (420, 400)), np.uint8)
    for seen in (survey([alone, both, both], interval=0.04), survey([alone, both], interval=1.0)):
        assert (
            max(float(face.landmarks[:, 0].max()) for face in seen.faces if face is not None) < 300
        )
    far = np.full((720, 1280, 3), 118, np.uint8)
    far[200:320, 800:920] = cv2.resize(person, (120, 120), interpolation=cv2.INTER_AREA)
    assert survey([far, far]).faces[1] is not None


def test_the_square_is_cut_and_resized() -> None:
    picture = np.zeros((100, 120, 3), np.uint8)
    picture[20:60, 30:70] = 200
    plan = ClipPlan(0, 0.0, (), (1,), 1, (30, 20, 40), 64)
    assert cut(picture, plan).shape == (64, 64, 3)
    assert cut(picture, plan)[2:-2, 2:-2].min() > 190


def test_pictures_are_chosen_by_number_without_reading_on() -> None:
    read: list[int] = []

    def film() -> Iterator[UInt8Array]:
        for k in range(10):
            read.append(k)
            yield np.full((1, 1, 3), k, np.uint8)

    assert [int(picture[0, 0, 0]) for picture in chosen(film(), (5, 2))] == [2, 5]
    assert read[-1] == 5
