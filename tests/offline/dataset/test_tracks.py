"""Point tracks of a data set: where the look's points are in its frames; damaged files are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dataset_toys import toy_dataset

from attribute_toys import toy_attribute
from offline.animation.motion import training_motion
from offline.dataset.drawing import DatasetPlan
from offline.dataset.reading import read_dataset
from offline.dataset.tracks import PointTracks, read_tracks, tracks_of, write_tracks
from perse_live.animate import pose_gaussians, pose_vertices
from perse_live.avatar import corrected
from perse_live.errors import UserError
from perse_live.rotations import to_matrix
from toys import toy_avatar

TRAIN, FRAMES = 30, 33


def some_tracks() -> PointTracks:
    rng = np.random.default_rng(2)
    return PointTracks(
        rng.normal(size=(5, 3)).astype(np.float32),
        rng.normal(size=(5, 3)).astype(np.float32),
        rng.integers(0, 256, (5, 3)).astype(np.uint8),
        np.array([0, 2], np.int32),
        rng.normal(size=(2, 5, 3)).astype(np.float32),
    )


def test_points_are_where_the_look_s_gaussians_are_in_the_frames(tmp_path: Path) -> None:
    avatar = toy_avatar(gaussians=200)
    look = toy_attribute(avatar, "beard-toy", "beard", moved=0)
    plan = DatasetPlan(tmp_path, avatar, training_motion(avatar, FRAMES), TRAIN, 64, 1)
    frames = plan.frames(look.name, shared=False)
    found = tracks_of(avatar, look, frames)
    assert found is not None and len(found.positions) == len(look.added)
    steps = found.timesteps.tolist()
    assert len(steps) == 24 and steps == sorted(set(steps)) and 0 <= steps[0] <= steps[-1] < TRAIN
    added = look.added
    for step, track in zip(steps, found.tracks, strict=True):
        frame = frames[step]
        moved = corrected(avatar, frame.expression, frame.gaze).rig
        vertices = pose_vertices(moved, frame.expression, frame.gaze, frame.pose)
        bound = added.surface, added.rigid, added.opacities, added.colors
        wanted = pose_gaussians(vertices, moved, *bound, frame.pose)
        in_camera = track @ frame.pose.R_cam_head.T + frame.pose.t_cam_head
        np.testing.assert_allclose(in_camera, wanted.means, atol=2e-5)
    np.testing.assert_allclose(found.colors / 255, added.colors, atol=0.5 / 255 + 1e-6)
    rigid = slice(len(added.surface.triangles), None)
    np.testing.assert_allclose(found.positions[rigid], added.rigid.means, atol=1e-6)
    axes, thinnest = to_matrix(added.rigid.quats), added.rigid.scales.argmin(1)
    cosines = (axes[np.arange(len(axes)), :, thinnest] * found.normals[rigid]).sum(1)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-5)


def test_a_look_that_adds_nothing_has_no_tracks(tmp_path: Path) -> None:
    avatar = toy_avatar(gaussians=200)
    look = toy_attribute(avatar, "dye", "hair", moved=0, on_surface=0, free=0)
    plan = DatasetPlan(tmp_path, avatar, training_motion(avatar, 4), 3, 64, 1)
    assert tracks_of(avatar, look, plan.frames(look.name, shared=False)) is None


def test_tracks_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = some_tracks()
    read = read_tracks(write_tracks(tmp_path, written))
    for name, array in vars(written).items():
        np.testing.assert_array_equal(getattr(read, name), array)
    again = (tmp_path / "tracks.npz").read_bytes()
    write_tracks(tmp_path, written)
    assert (tmp_path / "tracks.npz").read_bytes() == again, "no time of day in it"


@pytest.mark.parametrize("what", ["cut", "text", "few", "nan", "double"])
def test_damaged_tracks_are_one_line(tmp_path: Path, what: str) -> None:
    tracks = some_tracks()
    if what == "few":
        tracks = replace(tracks, positions=tracks.positions[:3])
    if what == "nan":
        tracks = replace(tracks, tracks=np.full_like(tracks.tracks, np.nan))
    if what == "double":
        tracks = replace(tracks, normals=tracks.normals.astype(np.float64))
    path = write_tracks(tmp_path, tracks)
    if what == "cut":
        path.write_bytes(path.read_bytes()[:200])
    if what == "text":
        path.write_text("no archive")
    with pytest.raises(UserError, match=r"tracks\.npz") as caught:
        read_tracks(path)
    assert "\n" not in str(caught.value)


def test_tracks_are_named_in_the_data_set(tmp_path: Path) -> None:
    root = tmp_path / "set"
    toy_dataset(root)
    assert [look.tracks for look in read_dataset(root).looks] == [None, None]
    folder = root / "beard-full"
    document = json.loads((folder / "transforms.json").read_text())

    def named(path: str) -> None:
        (folder / "transforms.json").write_text(json.dumps({**document, "tracks_path": path}))

    named("tracks.npz")
    with pytest.raises(UserError, match=r"files are missing: beard-full/tracks\.npz"):
        read_dataset(root)
    path = write_tracks(folder, some_tracks())
    assert read_dataset(root).looks[1].tracks == path.resolve()
    named("../../tracks.npz")
    with pytest.raises(UserError, match="not in the data set"):
        read_dataset(root)
