from __future__ import annotations

import numpy as np
import pytest

from offline.images import dilate, erode, nearest_true
from offline.lift.depth import HairShell, hair_shell, membrane, rim_strip, sheet_depth
from offline.rig.photo_geometry import PhotoGeometry
from perse_live.camera import Camera


@pytest.mark.parametrize("radius", [12.0, 40.0])
def test_a_membrane_over_a_disk_is_a_half_sphere(radius: float) -> None:
    y, x = np.mgrid[0:128, 0:128] - 63.5
    from_middle = np.hypot(x, y)
    disk = from_middle < radius
    zero = np.zeros((128, 128))
    height = np.sqrt(membrane(zero, disk, zero, 4.0))
    sphere = np.sqrt(np.clip(radius**2 - from_middle**2, 0, None))
    inner = from_middle < radius - 3
    assert np.abs(height - sphere)[inner].max() < 0.06 * radius
    np.testing.assert_array_equal(height[~disk], 0)


def test_a_membrane_stays_above_its_obstacle_and_keeps_its_rim() -> None:
    y, x = np.mgrid[0:96, 0:96] - 47.5
    free = (np.abs(x) < 30) & (np.abs(y) < 30)
    obstacle = np.where(np.hypot(x, y) < 8, 2000.0, 0.0)
    start = np.where(free, 0.0, 25.0)
    q = membrane(start, free, obstacle, 4.0)
    assert (q >= obstacle - 1e-9).all()
    np.testing.assert_array_equal(q[~free], 25.0)
    without = membrane(start, free, np.zeros_like(obstacle), 4.0)
    assert (q >= without - 5).all()  # the obstacle lifts its surroundings


def test_a_strip_joins_front_and_back_round_the_silhouette_and_leaves_locks_out() -> None:
    y, x = np.mgrid[0:128, 0:128]
    head, lock = np.hypot(x - 63.5, y - 63.5) < 40, (np.abs(x - 63.5) < 4) & (y > 90)
    hair = head | lock
    radius = np.hypot(x - 63.5, y - 63.5)
    deep = (0.09 * np.sqrt(np.clip(1 - (radius / 42) ** 2, 0, 1))).astype(np.float32)
    shell = HairShell(0.6 - deep, 0.6 + deep, hair, hair, long=False)
    camera = Camera.for_image(128, 128)
    strip = rim_strip(camera, shell, hair, 2.0, 6.0)
    corners = strip.vertices[strip.triangles]
    seen = camera.project(strip.vertices)
    pixels = seen[strip.triangles].reshape(-1, 2).astype(int)
    assert (np.abs(radius[pixels[:, 1], pixels[:, 0]] - 37.5) < 2.5).all()
    # it looks like the hair as far within the outline as it lies behind front or back
    inwards = np.linalg.norm(strip.pixels - 64, axis=1) - np.linalg.norm(seen - 64, axis=1)
    across = strip.vertices[:, 2].reshape(-1, 9)  # from front to back
    behind = np.minimum(across - across[:, :1], across[:, -1:] - across) * camera.fx / across
    np.testing.assert_allclose(-inwards, behind.reshape(-1), atol=1.5)
    assert np.ptp(inwards) > 8
    rim = (np.abs(radius - 38) < 1) & hair
    around = np.arctan2(pixels[:, 1] - 63.5, pixels[:, 0] - 63.5)
    assert np.histogram(around, 24, (-np.pi, np.pi))[0].min() > 10  # all the way round
    assert corners[..., 2].min() < shell.front[rim].mean() + 0.005
    assert corners[..., 2].max() > shell.back[rim].mean() - 0.005
    # Of the person's own: neck, clothes
    before_a_wall = rim_strip(camera, shell, np.ones_like(hair), 2.0, 6.0)
    assert len(before_a_wall.triangles) == 0


def _made_up_hair(head: PhotoGeometry) -> np.ndarray:
    """A cap: the upper head from above the brows, three centimetres wider than the skull."""
    above = np.nan_to_num(head.template_map()[..., 1], nan=-1.0) > 0.055
    return dilate(above, 14)


@pytest.mark.slow
def test_hair_wraps_the_head(mean_head: PhotoGeometry) -> None:
    hair = _made_up_hair(mean_head)
    person = hair | mean_head.seen.covered
    shell = hair_shell(mean_head, hair, person.astype(np.float32), chin_row=400.0, unit=1.0)
    skin = mean_head.seen.depth
    on_skin = hair & mean_head.seen.covered
    assert (shell.front[on_skin] < skin[on_skin]).all()  # before the skin ...
    # ... by the thickness of hair
    assert np.median((skin - shell.front)[erode(on_skin, 12)]) > 0.008
    assert (skin - shell.front)[on_skin].max() < 0.08
    both = shell.front_mask & shell.back_mask
    assert both.sum() > 0.8 * hair.sum()
    assert (shell.back[both] >= shell.front[both] - 1e-4).all()
    skull = shell.back_mask & np.isfinite(mean_head.head_back) & erode(person, 12)
    # Behind the skull, as far as it is hairy
    assert (shell.back[skull] > mean_head.head_back[skull] - 0.004).mean() > 0.95
    assert not shell.long


@pytest.mark.slow
def test_long_hair_is_known_by_hanging_below_the_chin(mean_head: PhotoGeometry) -> None:
    hair = _made_up_hair(mean_head)
    hair[250:470, 120:170] = True
    hair[250:470, 350:400] = True
    alpha = (hair | mean_head.seen.covered).astype(np.float32)
    shell = hair_shell(mean_head, hair, alpha, chin_row=400.0, unit=1.0)
    assert shell.long
    assert shell.back_mask[330, 256]  # it also hangs behind the neck
    assert np.isfinite(shell.front).all() and np.isfinite(shell.back).all()


@pytest.mark.slow
def test_the_sheet_is_the_rig_where_it_is_seen_and_goes_on_beyond(mean_head: PhotoGeometry) -> None:
    covered = mean_head.seen.covered
    person = dilate(covered, 10)
    none = np.zeros_like(covered)
    depth = sheet_depth(mean_head, none, person.astype(np.float32), 1.0)
    assert np.isfinite(depth).all()
    face = np.isfinite(mean_head.head_depth)
    np.testing.assert_allclose(
        depth[face & covered], mean_head.seen.depth[face & covered], atol=1e-5
    )
    beyond = person & ~covered
    assert (np.abs(depth[beyond] - np.median(mean_head.seen.depth[covered])) < 0.25).all()


@pytest.mark.slow
def test_clothes_stay_behind_the_jaw(mean_head: PhotoGeometry) -> None:
    collar = (np.arange(512)[:, None] > 335) & mean_head.seen.covered  # as high as the mouth
    depth = sheet_depth(mean_head, collar, np.ones((512, 512), np.float32), 1.0)
    face = (
        collar
        & np.isfinite(mean_head.head_depth)
        & (np.nan_to_num(mean_head.template_map()[..., 1], nan=-1) > -0.11)
    )
    assert face.sum() > 1000
    assert (depth[face] > mean_head.head_depth[face] + 0.01).all()


@pytest.mark.slow
def test_a_collar_leaves_the_neck_room_to_turn(mean_head: PhotoGeometry) -> None:
    place = mean_head.template_map()
    with np.errstate(invalid="ignore"):
        neck = (
            mean_head.seen.covered
            & (place[..., 1] < -0.115)
            & (place[..., 1] > -0.125)
            & (np.abs(place[..., 0]) < 0.04)
        )
    rows, columns = np.nonzero(neck)
    right = columns.max() + 2  # beside the neck, at half its height
    row = int(np.median(rows))
    collar = np.zeros_like(neck)
    collar[row - 3 : row + 3, right - 8 : right + 40] = True
    depth = sheet_depth(mean_head, collar, np.ones(neck.shape, np.float32), 1.0)
    axis = float((mean_head.R_cam_head @ np.array([0.0, -0.12, -0.085]) + mean_head.t_cam_head)[2])
    assert depth[row, right] < axis - 0.005  # it goes round the neck's front ...
    assert depth[row, right + 35] > depth[row, right]  # ... and back beside it


@pytest.mark.slow
def test_short_hair_thins_out_towards_the_nape(mean_head: PhotoGeometry) -> None:
    hair = _made_up_hair(mean_head)
    shell = hair_shell(
        mean_head,
        hair,
        (hair | mean_head.seen.covered).astype(np.float32),
        chin_row=400.0,
        unit=1.0,
    )
    behind = (shell.back - mean_head.head_back)[:, 256]
    plane = (
        mean_head.R_cam_head @ np.array([[0.0, 0.05, -0.1], [0.0, -0.06, -0.1]]).T
    ).T + mean_head.t_cam_head
    crown, nape = mean_head.camera.project(plane.astype(np.float32))[:, 1].astype(int)
    assert shell.back_mask[[crown, nape], 256].all()
    assert behind[crown] > 0.008
    assert behind[nape] < 0.5 * behind[crown]


@pytest.mark.slow
def test_an_ear_s_rim_goes_on_from_the_ear(mean_head: PhotoGeometry) -> None:
    face = np.isfinite(mean_head.head_depth)
    place = mean_head.template_map()
    with np.errstate(invalid="ignore"):
        ear = (
            face
            & (place[..., 2] < -0.06)
            & (place[..., 1] > -0.04)
            & (np.abs(place[..., 0]) > 0.07)
        )
    person = mean_head.seen.covered | dilate(ear, 12)
    depth = sheet_depth(mean_head, np.zeros_like(face), person.astype(np.float32), 1.0)
    beside = dilate(ear, 8) & ~dilate(mean_head.seen.covered & ~ear, 8) & ~mean_head.seen.covered
    assert beside.sum() > 50
    _, rows, columns = nearest_true(ear)
    step = np.abs(depth - np.where(face, mean_head.seen.depth, 0)[rows, columns])[beside]
    assert np.median(step) < 0.01
    assert step.max() < 0.03


@pytest.mark.slow
def test_short_hair_grows_on_the_nape_and_not_under_the_ears(mean_head: PhotoGeometry) -> None:
    hair = _made_up_hair(mean_head)
    alpha = (hair | mean_head.seen.covered).astype(np.float32)
    under = mean_head.R_cam_head @ np.array([0.06, -0.062, -0.08]) + mean_head.t_cam_head
    column, row = mean_head.camera.project(under[None].astype(np.float32))[0].astype(int)
    assert not hair_shell(mean_head, hair, alpha, chin_row=400.0, unit=1.0).back_mask[row, column]
    hair[300:420, column - 12 : column + 40] = True  # hair that hangs beside the jaw
    assert hair_shell(mean_head, hair, alpha, chin_row=400.0, unit=1.0).back_mask[row, column]
