"""What is written to a data set is read again; damaged and hostile ones are refused with one line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from dataset_toys import SIZE, toy_dataset

from offline.dataset.layout import DEPTH_UNIT, VERSION
from offline.dataset.manifest import read_manifest
from offline.dataset.reading import read_dataset, read_maps, read_training_frame
from offline.dataset.transforms import camera_to_world
from perse_live.errors import UserError


def test_a_data_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = toy_dataset(tmp_path / "set")
    found = read_dataset(tmp_path / "set")
    assert found.manifest is not None and [look.name for look in found.looks] == list(written)
    for look in found.looks:
        assert [frame.split for frame in look.frames] == ["train"] * 3 + ["test"]
        for frame, (wanted, maps) in zip(look.frames, written[look.name], strict=True):
            assert frame.camera == wanted.camera and frame.background == wanted.background
            for one, other in (
                (frame.pose.R_cam_head, wanted.pose.R_cam_head),
                (frame.pose.t_cam_head, wanted.pose.t_cam_head),
                (frame.pose.R_cam_body, wanted.pose.R_cam_body),
                (frame.expression, wanted.expression),
                (frame.gaze, wanted.gaze),
            ):
                np.testing.assert_allclose(one, other, atol=1e-6)
            read = read_maps(frame)
            np.testing.assert_allclose(read.depth, maps.depth, atol=0.51 * DEPTH_UNIT)
            np.testing.assert_allclose(read.normals, maps.normals, atol=0.01)
            np.testing.assert_array_equal(read.semantic, maps.semantic)
            np.testing.assert_array_equal(read.alpha, maps.alpha)
            np.testing.assert_array_equal(read.landmarks, maps.landmarks)
            # JPEG of blocks of 8 pixels: no block is torn
            assert np.abs(read.rgb.astype(int) - maps.rgb).mean() < 2


def test_world_coordinates_are_the_head_frame(tmp_path: Path) -> None:
    frame = toy_dataset(tmp_path / "set")["source"][1][0]
    matrix = camera_to_world(frame.pose)
    point = np.array([0.01, -0.02, 0.03])  # head frame
    in_opengl = np.linalg.inv(matrix) @ [*point, 1]
    in_opencv = frame.pose.R_cam_head @ point + frame.pose.t_cam_head
    np.testing.assert_allclose(in_opengl[:3] * [1, -1, -1], in_opencv, atol=1e-6)


def test_another_program_s_folder_needs_only_cameras_and_expressions(tmp_path: Path) -> None:
    toy_dataset(tmp_path / "set")
    ours = read_dataset(tmp_path / "set").looks[1]
    folder = tmp_path / "set" / "beard-full"
    path = folder / "transforms.json"
    document = json.loads(path.read_text())
    for row in document["frames"]:
        for key in ("head_pose", "gaze", "split", "part_mask_path", "w", "h", "fl_x"):
            del row[key]
    path.write_text(json.dumps(document))
    look = read_dataset(folder).looks[0]
    assert look.entry is None and [frame.split for frame in look.frames][-1] == "test"
    for frame, wanted in zip(look.frames, ours.frames, strict=True):
        assert frame.camera == wanted.camera
        np.testing.assert_allclose(frame.pose.R_cam_head, wanted.pose.R_cam_head, atol=1e-5)
        np.testing.assert_allclose(frame.pose.t_cam_head, wanted.pose.t_cam_head, atol=1e-5)
    assert read_training_frame(look.frames[0]).part_mask.min() == 1
    path.unlink()  # from the files of the splits
    assert len(read_dataset(folder).looks[0].frames) == 4


def test_frames_to_learn_from_lie_on_black(tmp_path: Path) -> None:
    toy_dataset(tmp_path / "set")
    look = read_dataset(tmp_path / "set").looks[1]
    learnt = read_training_frame(look.frames[0])
    maps = read_maps(look.frames[0])
    wanted = np.clip(maps.rgb / 255 - (1 - maps.alpha[..., None] / 255), 0, 1)
    np.testing.assert_allclose(learnt.image, wanted, atol=1e-5)
    assert learnt.image.shape == (SIZE, SIZE, 3)


def test_deleted_frames_are_named(tmp_path: Path) -> None:
    toy_dataset(tmp_path / "set")
    (tmp_path / "set" / "beard-full" / "depth" / "00002.png").unlink()
    with pytest.raises(UserError, match=re.escape("beard-full/depth/00002.png")):
        read_dataset(tmp_path / "set")


def test_a_look_that_is_not_finished_is_named(tmp_path: Path) -> None:
    toy_dataset(tmp_path / "set")
    (tmp_path / "set" / "beard-full" / "transforms.json").unlink()
    with pytest.raises(UserError, match=r"not finished .*beard-full.*goes on"):
        read_dataset(tmp_path / "set")


def test_another_version_is_refused(tmp_path: Path) -> None:
    toy_dataset(tmp_path / "set")
    path = tmp_path / "set" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": VERSION + 1}))
    with pytest.raises(UserError, match=f"version {VERSION + 1}, this perse-live reads {VERSION}"):
        read_manifest(tmp_path / "set")


@pytest.mark.parametrize(
    "change",
    [
        {"file_path": "../../../etc/passwd"},
        {"depth_file_path": "/etc/passwd"},
        {"expression": {"jawOpen": 7}},
        {"expression": None},
        {"head_pose": {"R_cam_head": [[2, 0, 0], [0, 1, 0], [0, 0, 1]], "t_cam_head": [0, 0, 1]}},
        {"w": 0},
        {"fl_x": "wide"},
        {"timestep_index": -1},
        {"timestep_index": 1},
    ],
)
def test_damaged_frames_are_one_line(tmp_path: Path, change: dict[str, object]) -> None:
    toy_dataset(tmp_path / "set")
    path = tmp_path / "set" / "source" / "transforms.json"
    document = json.loads(path.read_text())
    document["frames"][0].update(change)
    path.write_text(json.dumps(document))
    with pytest.raises(UserError) as caught:
        read_dataset(tmp_path / "set")
    assert "\n" not in str(caught.value) and "transforms.json" in str(caught.value)


@pytest.mark.parametrize("name", ["../../x", "", "A"])
def test_the_names_of_looks_lead_nowhere_else(tmp_path: Path, name: str) -> None:
    toy_dataset(tmp_path / "set")
    path = tmp_path / "set" / "manifest.json"
    document = json.loads(path.read_text())
    document["looks"][1]["name"] = name
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match="damaged"):
        read_dataset(tmp_path / "set")
