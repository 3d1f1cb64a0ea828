"""A data set as another project reads it: nerfbaselines' loader of nerfstudio's `transforms.json`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_set_toys import SIDE, TEST, TRAIN, hat, write_data_set
from toys import toy_avatar

_PACKAGE = "nerfbaselines==1.2.12"
_SCRIPT = Path(__file__).with_name("read_by_nerfbaselines.py")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package alone, 12 MB: what it wants besides, its loader does not need; it pins an old numpy."""
    folder = tmp_path_factory.mktemp("package")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--target", str(folder), _PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"{_PACKAGE} cannot be installed: {done.stderr.strip()[-200:]}")
    return folder


def test_a_foreign_loader_finds_pictures_masks_splits_and_cameras(
    package: Path, tmp_path: Path
) -> None:
    avatar = toy_avatar(gaussians=600)
    write_data_set(tmp_path, avatar, hat(avatar))
    look = tmp_path / "hat-toy"
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), str(look)],
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert not done.returncode, done.stderr[-2000:]
    splits: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    document = json.loads((look / "transforms.json").read_text("utf-8"))
    rows: dict[str, Any] = {row["file_path"]: row for row in document["frames"]}
    heads: list[np.ndarray] = []
    worlds: list[np.ndarray] = []
    for split, count in (("train", TRAIN), ("test", TEST)):
        found = splits[split]
        assert sorted(found["names"]) == sorted(document[f"{split}_filenames"])
        assert found["pictures"] == count * [[SIDE, SIDE, 3]]
        assert found["masks"] == count * [[SIDE, SIDE]]
        for name, matrix, intrinsics in zip(
            found["names"], found["camera_to_world"], found["intrinsics"], strict=True
        ):
            landmarks = np.load(look / rows[name]["landmark_path"]).astype(np.float64)
            camera = np.array(matrix)
            worlds.append(_seen(landmarks, intrinsics) @ camera[:3, :3].T + camera[:3, 3])
            ours = [document.get(key, rows[name].get(key)) for key in ("fl_x", "fl_y", "cx", "cy")]
            pose = {key: np.array(value) for key, value in rows[name]["head_pose"].items()}
            heads.append((_seen(landmarks, ours) - pose["t_cam_head"]) @ pose["R_cam_head"])
    # the loader's world is the head's frame but for one rigid motion that all frames share
    head, world = np.concatenate(heads), np.concatenate(worlds)
    left, _, right = np.linalg.svd((head - head.mean(0)).T @ (world - world.mean(0)))
    turn = left @ right
    assert np.linalg.det(turn) > 0, "mirrored"
    off = world - world.mean(0) - (head - head.mean(0)) @ turn
    assert np.ptp(head, axis=0).min() > 0.02
    assert np.abs(off).max() < 1e-4  # metres


def _seen(landmarks: np.ndarray, intrinsics: Any) -> np.ndarray:
    """Landmarks (N, 3), pixels and depth, in the camera's frame."""
    fx, fy, cx, cy = intrinsics
    x, y, depth = landmarks.T
    return np.stack([(x - cx) / fx * depth, (y - cy) / fy * depth, depth], 1)
