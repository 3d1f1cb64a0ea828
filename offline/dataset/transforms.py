"""The `transforms.json` family: frames with cameras, as nerfstudio, INSTA and GaussianAvatars read it, and what we add.

World coordinates are the head frame, so that the head stands still and the camera moves. `transform_matrix` is camera-to-world
with OpenGL's camera axes (x right, y up, z backward), as NeRF's data sets have it (Mildenhall et al., ECCV 2020).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np

from offline.dataset.layout import (
    DEPTH_UNIT,
    SPLIT_FILES,
    TRANSFORMS_FILE,
    DatasetFrame,
    DatasetLook,
    FrameFiles,
    LookEntry,
    Split,
)
from perse_live.animate import HeadPose
from perse_live.arrays import Float32Array, Float64Array
from perse_live.camera import Camera
from perse_live.checked import CheckedError, parse_json_object
from perse_live.errors import UserError
from perse_live.files import CREATOR, write_bytes
from perse_live.head.expressions import EXPRESSION_NAMES, from_scores
from perse_live.head.rig import gaze_from_expression

_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])  # between OpenCV's and OpenGL's camera axes
_PATH_KEYS: Mapping[str, str] = {
    "rgb": "file_path",
    "alpha": "mask_path",
    "part": "part_mask_path",
    "depth": "depth_file_path",
    "normals": "normal_path",
    "semantic": "semantic_path",
    "landmarks": "landmark_path",
}
_TRACKS_KEY = "tracks_path"
_MOST_BYTES = 256 << 20  # of a file: 50,000 frames
_MOST_SIDE, _MOST_FRAMES = 8192, 100_000
_DIGITS = 7  # of coordinates in the file: a tenth of a micrometre
_ROTATION_TOLERANCE = 1e-3


def write_transforms(
    folder: Path, frames: Sequence[DatasetFrame], tracks: Path | None = None
) -> None:
    """Write a look's `transforms.json` and one file for each split, the former last: a look that has it is complete.

    folder: of the look; paths are written relative to it. frames: at least one. tracks: the look's point tracks.
    """
    for split, name in SPLIT_FILES.items():
        chosen = [frame for frame in frames if frame.split == split]
        document = _document(folder, chosen, frames[0])
        if tracks is not None and split == "train":
            document[_TRACKS_KEY] = _relative(tracks, folder)
        _write(folder / name, document)
    names = {
        split: [_relative(frame.files.rgb, folder) for frame in frames if frame.split == split]
        for split in SPLIT_FILES
    }
    document = _document(folder, frames, frames[0])
    if tracks is not None:
        document[_TRACKS_KEY] = _relative(tracks, folder)
    # nerfstudio wants a list for each of its three splits
    document.update(
        train_filenames=names["train"], val_filenames=names["test"], test_filenames=names["test"]
    )
    _write(folder / TRANSFORMS_FILE, document)


def read_transforms(folder: Path, root: Path, entry: LookEntry | None) -> DatasetLook:
    """A look: from `transforms.json`, or from the files of the splits where there is none.

    root: of the data set; a path that leads out of it is refused. entry: the manifest's; None: there is none, the look is named
    after its folder. What other programs do not write is filled in: the gaze by the expression, the shoulders' rotation by the
    head's. Whether the pictures exist is not looked at.
    Raises UserError, one line, where a file is missing, damaged, or a frame says nothing of the expression.
    """
    whole = folder / TRANSFORMS_FILE
    if whole.is_file():
        document = _read(whole)
        test = set(map(str, _list(document, "test_filenames", whole, optional=True)))
        splits = [(whole, document, test)]
    else:
        parts = [(folder / name, split) for split, name in SPLIT_FILES.items()]
        found = [(path, split) for path, split in parts if path.is_file()]
        if not found:
            raise UserError(f"{folder}: there is no {TRANSFORMS_FILE} in it: give a data set")
        splits = []
        for path, split in found:
            document = _read(path)
            rows = _list(document, "frames", path, optional=True)  # there may be no tests
            names = {str(row.get("file_path")) for row in rows}
            splits.append((path, document, names if split == "test" else set[str]()))
    frames: list[DatasetFrame] = []
    tracks: Path | None = None
    for path, document, test in splits:
        if _TRACKS_KEY in document:
            tracks = _inside(str(document[_TRACKS_KEY]), folder, root, str(path))
        for row in _list(document, "frames", path, optional=path != whole):
            frames.append(_frame(row, document, test, len(frames), folder, root, path))
    if len({frame.index for frame in frames}) != len(frames):
        raise UserError(f"{whole}: a frame's number stands twice: make the data set again")
    name = folder.resolve().name if entry is None else entry.name
    return DatasetLook(name, entry, tuple(sorted(frames, key=lambda frame: frame.index)), tracks)


def camera_to_world(pose: HeadPose) -> Float64Array:
    """(4, 4) from OpenGL's camera axes to the head frame."""
    head_to_camera = np.eye(4)
    head_to_camera[:3, :3], head_to_camera[:3, 3] = pose.R_cam_head, pose.t_cam_head
    return np.asarray(np.linalg.inv(head_to_camera) @ _OPENGL, np.float64)


def _document(folder: Path, frames: Sequence[DatasetFrame], first: DatasetFrame) -> dict[str, Any]:
    """The file's content; first: what holds for all is taken from it."""
    camera = first.camera
    background = {} if first.background is None else {"background_rgb": list(first.background)}
    return {
        "creator": CREATOR,
        "camera_model": "OPENCV",
        "camera_angle_x": 2 * math.atan(camera.width / (2 * camera.fx)),
        **_intrinsics(camera),
        "depth_unit_scale_factor": DEPTH_UNIT,
        **background,
        "frames": [_row(frame, folder) for frame in frames],
    }


def _intrinsics(camera: Camera) -> dict[str, float | int]:
    return {
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "w": camera.width,
        "h": camera.height,
    }


def _row(frame: DatasetFrame, folder: Path) -> dict[str, Any]:
    pose = frame.pose
    paths = {
        key: _relative(path, folder)
        for name, key in _PATH_KEYS.items()
        if (path := getattr(frame.files, name)) is not None
    }
    if frame.files.alpha is not None:
        paths["fg_mask_path"] = paths["mask_path"]  # GaussianAvatars' name for it
    return {
        **paths,
        "split": frame.split,
        "timestep_index": frame.index,
        "camera_index": 0,
        "transform_matrix": _rounded(camera_to_world(pose)),
        **_intrinsics(frame.camera),
        "head_pose": {
            "R_cam_head": _rounded(pose.R_cam_head),
            "t_cam_head": _rounded(pose.t_cam_head),
            "R_cam_body": _rounded(pose.R_cam_body),
        },
        "gaze": _rounded(frame.gaze),
        "expression": {
            name: round(float(value), _DIGITS)
            for name, value in zip(EXPRESSION_NAMES, frame.expression, strict=True)
        },
    }


def _rounded(values: np.ndarray) -> Any:
    return np.round(np.asarray(values, np.float64), _DIGITS).tolist()


def _relative(path: Path, folder: Path) -> str:
    """A path as the file has it: with forward slashes, and ".." where it is another look's."""
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return (PurePosixPath("..") / path.relative_to(folder.parent).as_posix()).as_posix()


def _write(path: Path, document: Mapping[str, Any]) -> None:
    write_bytes(path, json.dumps(document, allow_nan=False, separators=(",", ":")).encode())


def _read(path: Path) -> dict[str, Any]:
    try:
        return parse_json_object(path.read_bytes(), max_bytes=_MOST_BYTES)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): give a data set") from error
    except CheckedError as error:
        raise UserError(f"{path} is damaged ({error}): make the data set again") from error


def _list(document: Mapping[str, Any], key: str, path: Path, *, optional: bool = False) -> Any:
    value = document.get(key, [] if optional else None)
    if not isinstance(value, list) or (not value and not optional):
        raise UserError(f"{path} has no {key}: give a data set")
    entries = cast("list[Any]", value)
    if len(entries) > _MOST_FRAMES:
        raise UserError(f"{path} has more than {_MOST_FRAMES} frames: split it")
    if key == "frames" and not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{path}: a frame in it is no object: make the data set again")
    return entries


def _frame(
    row: Mapping[str, Any],
    document: Mapping[str, Any],
    test: set[str],
    position: int,
    folder: Path,
    root: Path,
    path: Path,
) -> DatasetFrame:
    where = f"{path}: frame {position}"
    try:
        index = int(row.get("timestep_index", position))
        named = row.get("split", "test" if str(row["file_path"]) in test else "train")
        split: Split = "test" if named in ("test", "val") else "train"
        if "expression" not in row:
            raise UserError(
                f"{where} says nothing of the expression: a mapping from ARKit names to scores is needed"
            )
        expression = from_scores({str(k): float(v) for k, v in dict(row["expression"]).items()})
        gaze = _array(row["gaze"], (2, 2)) if "gaze" in row else gaze_from_expression(expression)
        camera = _camera({**document, **row})
        pose, background = _pose(row), _background(document.get("background_rgb"))
        files = FrameFiles(
            **{
                name: _inside(str(row[key]), folder, root, where)
                for name, key in _PATH_KEYS.items()
                if key in row
            }
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        said = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{where} is damaged ({said}): make the data set again") from error
    if index < 0 or not ((expression >= 0) & (expression <= 1)).all():
        raise UserError(f"{where} is out of range: make the data set again")
    return DatasetFrame(index, split, camera, pose, expression, gaze, files, background)


def _camera(values: Mapping[str, Any]) -> Camera:
    width, height = int(values["w"]), int(values["h"])
    fx = (
        float(values["fl_x"])
        if "fl_x" in values
        else width / (2 * math.tan(float(values["camera_angle_x"]) / 2))
    )
    fy, cx, cy = (
        float(values.get(name, other))
        for name, other in (("fl_y", fx), ("cx", width / 2), ("cy", height / 2))
    )
    sized = min(width, height) >= 16 and max(width, height) <= _MOST_SIDE
    if not (sized and all(1e-3 < f < 1e6 for f in (fx, fy)) and max(abs(cx), abs(cy)) < 1e6):
        raise ValueError("its camera is out of range")
    return Camera(width, height, fx, fy, cx, cy)


def _pose(row: Mapping[str, Any]) -> HeadPose:
    said = dict(row.get("head_pose", {}))
    if "R_cam_head" in said:
        rotation, place = _array(said["R_cam_head"], (3, 3)), _array(said["t_cam_head"], (3,))
    else:
        # the world is the head frame; a scale in the matrix is not understood
        to_camera = _OPENGL @ np.linalg.inv(_array(row["transform_matrix"], (4, 4)))
        rotation, place = to_camera[:3, :3].astype(np.float32), to_camera[:3, 3].astype(np.float32)
    body = _array(said["R_cam_body"], (3, 3)) if "R_cam_body" in said else rotation
    for one in (rotation, body):
        if not np.allclose(one @ one.T, np.eye(3), atol=_ROTATION_TOLERANCE):
            raise ValueError("its head pose is no rotation")
    return HeadPose(rotation, place, body)


def _background(value: Any) -> tuple[int, int, int] | None:
    if value is None:
        return None
    red, green, blue = (int(channel) for channel in value)
    if not all(0 <= channel <= 255 for channel in (red, green, blue)):
        raise ValueError("its background is no colour")
    return red, green, blue


def _array(value: Any, shape: tuple[int, ...]) -> Float32Array:
    array = np.asarray(value, np.float32)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"an array is not of shape {shape}")
    return array


def _inside(name: str, folder: Path, root: Path, where: str) -> Path:
    """The path that a frame names; refused where it leads out of the data set."""
    path = Path(folder / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise UserError(
            f"{where} names {name[:80]!r}, which is not in the data set: it is not read"
        )
    return path
