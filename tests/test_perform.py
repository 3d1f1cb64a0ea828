from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from perse_live.film.reader import open_film
from perse_live.rotations import from_euler_degrees
from runtime.perform import perform, performed_pose
from runtime.performance import performance
from toys import toy_avatar


def test_a_performance_becomes_a_video_of_its_length_and_rate(tmp_path: Path) -> None:
    frames = performance(4, 10)
    path = tmp_path / "out.mp4"
    seen: list[tuple[int, int | None]] = []
    perform(
        toy_avatar(),
        frames,
        path,
        fps=10,
        size=128,
        progress=lambda done, total: seen.append((done, total)),
    )
    info = open_film(path)
    assert (info.width, info.height, info.rate, info.frame_count) == (128, 128, 10, 40)
    assert seen == [(count, 40) for count in range(1, 41)]
    images = [frame.image.astype(np.float32) for frame in open_film(path).frames()]
    background, middle = images[0][:8, :8], images[0][40:90, 40:90]
    assert background.std((0, 1)).max() < 3
    assert middle.std() > 10
    assert max(np.abs(image - images[0]).mean() for image in images) > 3  # it moves


def test_the_head_faces_the_camera_at_rest_and_turns_about_a_neck_that_stays() -> None:
    avatar = toy_avatar()
    turned = from_euler_degrees(20, 5, -5).astype(np.float32)
    source = dataclasses.replace(avatar.source, R_cam_head=avatar.source.R_cam_head @ turned)
    avatar = dataclasses.replace(avatar, source=source)
    neck = source.R_cam_head @ avatar.rig.neck_pivot + source.t_cam_head
    frames = [
        dataclasses.replace(frame, translation=np.zeros(3, np.float32))
        for frame in performance(15, 10)
    ]
    for frame in frames:
        pose = performed_pose(avatar, frame)
        np.testing.assert_allclose(
            pose.R_cam_head @ avatar.rig.neck_pivot + pose.t_cam_head, neck, atol=1e-5
        )
        np.testing.assert_array_equal(pose.R_cam_body, source.R_cam_head)
        forward = pose.R_cam_head @ np.array([0, 0, 1])
        # > 0 is the picture's right
        assert np.sign(forward[0]) == np.sign(frame.yaw) or abs(frame.yaw) < 0.5
        assert np.sign(forward[1]) == np.sign(frame.pitch) or abs(frame.pitch) < 0.5  # > 0 is down
    np.testing.assert_allclose(
        performed_pose(avatar, frames[0]).R_cam_head, np.diag([1, -1, -1]), atol=1e-6
    )


def test_a_step_towards_the_camera_is_one(tmp_path: Path) -> None:
    avatar, frame = toy_avatar(), performance(4, 10)[0]
    rest = performed_pose(avatar, frame).t_cam_head
    moved = performed_pose(
        avatar, dataclasses.replace(frame, translation=np.array([0.01, 0.02, 0.03], np.float32))
    ).t_cam_head
    np.testing.assert_allclose(moved - rest, [0.01, -0.02, -0.03], atol=1e-6)
