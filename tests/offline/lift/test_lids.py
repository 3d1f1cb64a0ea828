"""Closed eyes look like skin, and lashes are gathered to a line when the lids meet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offline.gaussian_layer import surface_layer
from offline.images import dilate, erode
from offline.lift.lids import (
    blink_moves,
    closed_lid_shade,
    lash_fans,
    lid_veil,
    shaped_for,
    with_lid_sheets,
)
from offline.rig.photo_geometry import PhotoGeometry
from perse_live.animate import bind_surface
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.avatar import Avatar, neutral_landmarks
from perse_live.evaluation.portraits.lids import lid_tone
from perse_live.evaluation.portraits.views import turned_view
from perse_live.head import landmarks as lm
from perse_live.head.expressions import expression
from perse_live.head.landmarks import load_landmark_model, mesh_landmarks
from perse_live.head.rig import Part, expressed, gaze_from_expression, surface_triangles
from perse_live.regions import Region
from runtime.stage import Motion, Stage, facing_pose

_SHUT = expression(eyeBlinkLeft=1, eyeBlinkRight=1)


def test_a_closed_lid_is_a_little_redder_than_the_skin_around_and_darker_at_its_lashes() -> None:
    shade = closed_lid_shade(np.linspace(0, 1, 101))
    np.testing.assert_allclose(shade[0], 1, atol=1e-3)
    lid, roots = shade[78], shade[100]
    assert 0.9 < lid[1] < 0.98
    assert lid[0] > lid[1] >= lid[2]
    assert (roots < lid).all()
    assert 0.6 < roots.min() < 0.8


@pytest.mark.slow
def test_sheets_shrink_as_the_lids_meet(mean_head: PhotoGeometry) -> None:
    rig = with_lid_sheets(mean_head.rig, mean_head.template, load_landmark_model())
    np.testing.assert_array_equal(surface_triangles(rig), mean_head.rig.triangles)
    added = rig.triangles[rig.parts == Part.LID_SHEET]
    assert (np.ptp(np.sort(added, axis=-1), axis=-1) > 0).all()
    sheets, fans = added[:48].reshape(2, 3, 8, 3), rig.triangles[lash_fans(rig)]
    np.testing.assert_array_equal(added[48:].reshape(2, 8, 3), fans)
    for fan in fans:  # each spreads from one point
        assert len(set(fan[0]).intersection(*fan[1:])) == 1

    def heights(strengths: Float32Array) -> np.ndarray:
        """Of each sheet's third corner below or above its edge, along y; (2, 3, 8)."""
        corners = expressed(rig, strengths)[sheets]
        return np.abs(corners[..., :2, 1].mean(-1) - corners[..., 2, 1])[:, :, 2:6]

    half, whole = heights(expression(eyeBlinkLeft=0.35, eyeBlinkRight=0.35)), heights(expression())
    assert (whole > 0.006).all()
    assert (half < 0.85 * whole).all()


@pytest.mark.slow
def test_a_lid_s_gaussians_are_round_once_it_is_shut(mean_head: PhotoGeometry) -> None:
    rig = mean_head.rig
    on_lid = np.nonzero((rig.parts == Part.SKIN) & (blink_moves(rig)[rig.triangles].min(1) > 0.2))[
        0
    ].astype(np.int32)
    shut = expressed(rig, _SHUT) @ mean_head.R_cam_head.T + mean_head.t_cam_head
    means = mean_head.vertices[rig.triangles[on_lid]].mean(1)
    count = len(on_lid)
    layer = surface_layer(
        means,
        np.tile([0, 0, -1.0], (count, 1)),
        np.full(count, 0.001),
        np.full((count, 3), 0.5),
        Region.SKIN,
        triangles=on_lid,
    )
    shaped = shaped_for(layer, np.ones(count, np.bool_), shut, mean_head)

    def spread(vertices: np.ndarray) -> np.ndarray:
        """Standard deviations (N, 2) once the skin is as `vertices` say, long before short."""
        bound = bind_surface(
            shaped.gaussians,
            on_lid,
            mean_head.vertices,
            rig.triangles,
            two_sided=np.zeros(count, np.uint8),
        )
        corners = vertices[rig.triangles[on_lid]]
        edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], 1)
        axes = np.einsum("nij,njk->nik", bound.axes.reshape(-1, 2, 2), edges)
        return np.linalg.svd(axes, compute_uv=False)

    open_ratio, shut_ratio = (
        (s[:, 0] / s[:, 1]) for s in (spread(mean_head.vertices), spread(shut))
    )
    assert np.percentile(shut_ratio, 98) < 1.05  # also where the open eye's lid is sheared
    assert np.percentile(open_ratio, 90) > 2


def test_a_triangle_that_is_a_sliver_when_unfolded_makes_no_needle(
    mean_head: PhotoGeometry,
) -> None:
    row = np.nonzero(mean_head.rig.parts == Part.SKIN)[0][:1].astype(np.int32)
    corners = mean_head.rig.triangles[row[0]]
    sliver = mean_head.vertices.astype(np.float64)
    sliver[corners[2]] = sliver[corners[:2]].mean(0) + 0.002 * (
        sliver[corners[2]] - sliver[corners[:2]].mean(0)
    )
    layer = surface_layer(
        mean_head.vertices[corners].mean(0, keepdims=True),
        np.array([[0, 0, -1.0]]),
        np.array([0.001]),
        np.full((1, 3), 0.5),
        Region.SKIN,
        triangles=row,
    )
    shaped = shaped_for(layer, np.ones(1, np.bool_), sliver, mean_head)
    assert shaped.gaussians.scales.max() < 0.0025


@pytest.mark.slow
def test_light_skin_beside_lashes_is_no_lighter_in_the_veil_than_in_the_photo(
    mean_head: PhotoGeometry,
) -> None:
    rig = with_lid_sheets(mean_head.rig, mean_head.template, load_landmark_model())
    geometry = replace(mean_head, rig=rig)
    landmarks = mean_head.camera.project(mesh_landmarks(load_landmark_model(), mean_head.vertices))
    skin = np.full((512, 512, 3), 0.5, np.float32)
    photo = skin.copy()
    photo[:, ::3] = 0.54  # every third column
    veil = lid_veil(geometry, photo, skin, landmarks, 1.0, np.random.default_rng(0))
    assert len(veil) > 50
    assert veil.gaussians.colors[veil.freedom > 0].max() < 0.545


def _close_up(avatar: Avatar, shown: Avatar, strengths: Float32Array) -> UInt8Array:
    motion = Motion(strengths, gaze_from_expression(strengths), facing_pose(avatar))
    return Stage(shown, avatar.source.camera, threads=2).draw_rgba(motion)


def _painted(avatar: Avatar, which: np.ndarray) -> Avatar:
    return replace(avatar, colors=np.where(which[:, None], [1, 1, 1], [0, 0, 0]).astype(np.float32))


@pytest.mark.slow
def test_closed_eyes_are_smooth_skin_like_that_around_them(astronaut_avatar: Avatar) -> None:
    avatar, on_rig = astronaut_avatar, len(astronaut_avatar.surface.triangles)
    moved = np.zeros(len(avatar))
    moved[:on_rig] = blink_moves(avatar.rig)[avatar.rig.triangles[avatar.surface.triangles]].mean(1)
    lashes = avatar.regions == Region.LASHES
    lid = (
        _close_up(avatar, _painted(avatar, (moved > 0.5) & (avatar.regions == Region.SKIN)), _SHUT)[
            ..., 0
        ]
        > 200
    )
    dark = dilate(_close_up(avatar, _painted(avatar, lashes), _SHUT)[..., 0] > 40, 1)
    drawn = _close_up(avatar, avatar, _SHUT)[..., :3] / 255.0
    inside = erode(lid & ~dark, 1)
    camera, pose = avatar.source.camera, facing_pose(avatar)
    marks = camera.project(neutral_landmarks(avatar) @ pose.R_cam_head.T + pose.t_cam_head)
    # against the skin above and below the eyes: 3.4; dark plates had 9 to 24
    front, shut = (turned_view(avatar, 0.0, blink=blink) for blink in (0.0, 1.0))
    assert lid_tone(avatar, front, shut) < 6
    for eye in (lm.LEFT_EYE, lm.RIGHT_EYE):
        columns = np.arange(512)[None]
        here = (
            inside & (columns > marks[list(eye), 0].min()) & (columns < marks[list(eye), 0].max())
        )
        assert here.sum() > 60  # lashes leave it free
        assert drawn[here].mean(1).std() < 0.06  # blotches and streaks had 0.1
        assert (np.abs(drawn[here] - np.median(drawn[here], 0)).max(1) > 0.2).mean() < 0.02


@pytest.mark.slow
def test_lashes_are_a_thin_line_on_closed_lids(astronaut_avatar: Avatar) -> None:
    painted = _painted(astronaut_avatar, astronaut_avatar.regions == Region.LASHES)

    def thickness(strengths: Float32Array) -> float:
        """Mean of what each column of an eye has of them, pixels."""
        drawn = _close_up(astronaut_avatar, painted, strengths)[..., 0] / 255.0
        columns = drawn.sum(0)
        return float(columns[columns > 0.3].mean())

    assert thickness(_SHUT) < 4
    assert thickness(_SHUT) < 0.5 * thickness(expression())
