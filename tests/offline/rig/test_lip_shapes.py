"""Mouths that open round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offline.rig.lip_shapes import rounded_frame, rounding, with_own_round_mouth, with_round_mouth
from offline.rig.photo_geometry import PhotoGeometry
from perse_live.arrays import FloatArray
from perse_live.head import landmarks as lm
from perse_live.head.expressions import expression, index
from perse_live.head.fit import FrameFit
from perse_live.head.landmarks import load_landmark_model, mesh_landmarks
from perse_live.head.residual import spread_matrix
from perse_live.head.rig import expressed


def _roundness(points: FloatArray, ring: tuple[int, ...]) -> float:
    """4 pi area / perimeter^2 of a ring seen from the front: 1 of a circle, 0.79 of a square."""
    x, y = points[list(ring), :2].T
    area = abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2
    return 4 * np.pi * area / float(np.hypot(x - np.roll(x, -1), y - np.roll(y, -1)).sum()) ** 2


def _pointedness(points: FloatArray) -> float:
    """How much deeper the lower lip's middle hangs than an ellipse through its corners and the places beside the middle."""
    ring = list(lm.INNER_LIP_LOWER)
    x, y = points[ring, :2].T
    corners = points[list(lm.INNER_LIP_CORNERS)]
    half, level = np.ptp(corners[:, 0]) / 2, corners[:, 1].mean()
    depth = level - y
    t = (x - corners[:, 0].mean()) / half
    beside = [2, 6]
    wanted = (depth[beside] / np.sqrt(1 - t[beside] ** 2)).mean()
    return float((depth[4] - wanted) / depth[4])


def _shown(**actions: float) -> tuple[FloatArray, FloatArray]:
    """The mean head's landmarks under actions, as they were and mended."""
    model = load_landmark_model()
    strength = expression(**actions)
    before = model.neutral + np.tensordot(strength, model.actions, 1)
    return before, before + sum(
        strength[action] * offsets for action, offsets in rounding(model).items()
    )


def test_a_funnel_is_an_o() -> None:
    before, after = _shown(mouthFunnel=1.0, jawOpen=0.2)
    assert _roundness(before, lm.INNER_LIP_RING) < 0.75
    assert _roundness(after, lm.INNER_LIP_RING) > 0.85
    sides = [
        np.linalg.norm(after[outer] - after[inner])
        for outer, inner in ((61, 78), (291, 308), (0, 13), (17, 14))
    ]
    assert max(sides) < 2.5 * min(sides)  # lips of nearly even width


def test_an_open_jaw_s_lower_lip_has_no_point() -> None:
    before, after = _shown(jawOpen=1.0)
    assert _pointedness(before) > 0.1
    assert abs(_pointedness(after)) < 0.05


def test_what_is_mended_keeps_to_the_mouth() -> None:
    for offsets in rounding(load_landmark_model()).values():
        assert (
            np.abs(
                offsets[[*lm.LEFT_EYE, *lm.RIGHT_EYE, *lm.IRIS, *lm.LEFT_BROW, *lm.RIGHT_BROW]]
            ).max()
            < 1e-4
        )


@pytest.mark.slow
def test_the_photo_s_landmarks_stay_where_they_are(mean_head: PhotoGeometry) -> None:
    model = load_landmark_model()
    ids, spread = spread_matrix(mean_head.rig, model)
    shown = expression(jawOpen=0.5, mouthFunnel=0.4)
    none = np.zeros((lm.LANDMARK_COUNT, 3), np.float32)
    frame = FrameFit(
        np.eye(3, dtype=np.float32), none[0], shown, none[:2, :2], none, none[:, :2], 0.0
    )
    rig = with_round_mouth(mean_head.rig, model, ids, spread)
    vertices = expressed(rig, shown)
    vertices[ids] += (
        spread.astype(np.float32) @ rounded_frame(frame, mean_head.rig, rig, model).residual
    )
    before = mesh_landmarks(model, expressed(mean_head.rig, shown))
    moved = np.linalg.norm(mesh_landmarks(model, vertices) - before, axis=1)[list(lm.LIPS)]
    opened = np.linalg.norm(mesh_landmarks(model, expressed(rig, shown)) - before, axis=1)[
        list(lm.LIPS)
    ]
    assert opened.max() > 0.002
    assert np.sqrt((moved**2).mean()) < 0.25 * np.sqrt((opened**2).mean())


@pytest.mark.slow
def test_a_person_s_pointed_lip_opens_round_too(mean_head: PhotoGeometry) -> None:
    model = load_landmark_model()
    ids, spread = spread_matrix(mean_head.rig, model)
    pointed = mean_head.rig.vertices.copy()
    drawn = np.zeros((lm.LANDMARK_COUNT, 3), np.float32)
    drawn[[14, 15, 16, 17], 1] = -0.004
    pointed[ids] += spread.astype(np.float32) @ drawn
    rig = with_round_mouth(replace(mean_head.rig, vertices=pointed), model, ids, spread)
    photo = expression(jawOpen=0.3, mouthSmileLeft=0.4)
    own = with_own_round_mouth(rig, photo, model, ids, spread)
    before, after = (
        _pointedness(mesh_landmarks(model, head.vertices + head.actions[index("jawOpen")]))
        for head in (rig, own)
    )
    assert before > 0.05
    assert after < 0.5 * before
    np.testing.assert_allclose(expressed(own, photo), expressed(rig, photo), atol=1e-6)
