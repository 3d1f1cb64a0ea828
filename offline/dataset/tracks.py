"""Dense 3D point tracks of what a look adds: where each of its points is at rest and in some of the training frames.

Synthetic data sets give such tracks as ground truth (Kubric, CVPR 2022; PointOdyssey, ICCV 2023): depth maps say where the
surface is, not which point of it moved where.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from offline.dataset.layout import TRACKS_FILE, DatasetFrame
from offline.dataset.writing import write_whole
from perse_live.animate import HeadPose
from perse_live.animator import Animator
from perse_live.arrays import Float32Array, Int32Array, UInt8Array
from perse_live.attribute_blending import with_attributes
from perse_live.attributes import Look
from perse_live.avatar import Avatar
from perse_live.errors import UserError, one_line
from perse_live.head.expressions import EXPRESSION_COUNT
from perse_live.rotations import to_matrix

_TIMESTEPS = 24  # frames of the train split with tracks, evenly chosen: 110 kB for a thousand points and a look
_MOST_POINTS, _MOST_TIMESTEPS = 200_000, 4096


@dataclass(frozen=True, eq=False)
class PointTracks:
    """N points that a look adds, in T frames; coordinates are metres in the head frame, the world of `transforms.json`."""

    positions: Float32Array
    """(N, 3) at rest: neutral expression, eyes straight ahead, shoulders as the head."""
    normals: Float32Array
    """(N, 3) unit, at rest; of either sign."""
    colors: UInt8Array
    """(N, 3) sRGB."""
    timesteps: Int32Array
    """(T,) numbers of the frames (`timestep_index`), all of the train split."""
    tracks: Float32Array
    """(T, N, 3) where the points are in these frames, seen or not."""


def tracks_of(avatar: Avatar, look: Look, frames: Sequence[DatasetFrame]) -> PointTracks | None:
    """The tracks of a look at full weight; None where it adds nothing, or no frame is for training.

    avatar: without attributes; frames: of the look.
    """
    train = [frame for frame in frames if frame.split == "train"]
    if not len(look.added) or not train:
        return None
    chosen = [train[k] for k in sorted({k * len(train) // _TIMESTEPS for k in range(_TIMESTEPS)})]
    plain = replace(avatar, attributes=(look,))
    blended = with_attributes(plain, plain.attributes, {look.name: 1.0})
    bound, came = len(avatar.surface.triangles), len(look.added.surface.triangles)
    rigid = np.arange(len(look.added) - came) + len(avatar) + came
    rows = np.concatenate([bound + np.arange(came), rigid])
    animator = Animator(blended, threads=1)
    none, ahead = np.zeros(EXPRESSION_COUNT, np.float32), np.zeros((2, 2), np.float32)
    straight = np.eye(3, dtype=np.float32)
    at_rest = animator.pose(none, ahead, HeadPose(straight, np.zeros(3, np.float32), straight))
    positions, quats, scales = (
        array[rows].copy() for array in (at_rest.means, at_rest.quats, at_rest.scales)
    )
    thinnest = to_matrix(quats)[np.arange(len(rows)), :, scales.argmin(1)]
    colors = np.rint(255 * np.clip(blended.colors[rows], 0, 1)).astype(np.uint8)
    tracks = np.empty((len(chosen), len(rows), 3), np.float32)
    for track, frame in zip(tracks, chosen, strict=True):
        posed = animator.pose(frame.expression, frame.gaze, in_head_frame(frame.pose))
        track[:] = posed.means[rows]
    return PointTracks(
        positions,
        thinnest.astype(np.float32),
        colors,
        np.array([frame.index for frame in chosen], np.int32),
        tracks,
    )


def in_head_frame(pose: HeadPose) -> HeadPose:
    """The pose seen from the head: the shoulders turn, the head stands still."""
    body = np.asarray(pose.R_cam_head.T @ pose.R_cam_body, np.float32)
    return HeadPose(np.eye(3, dtype=np.float32), np.zeros(3, np.float32), body)


def write_tracks(folder: Path, tracks: PointTracks) -> Path:
    """Write `tracks.npz` of a look's folder. Raises UserError where it cannot be written."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **vars(tracks))
    write_whole(folder / TRACKS_FILE, buffer.getvalue())
    return folder / TRACKS_FILE


def read_tracks(path: Path) -> PointTracks:
    """The tracks in a file. Raises UserError, one line, for a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = PointTracks(**{name: file[name] for name in PointTracks.__annotations__})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read ({one_line(error)}): make it again") from error
    points, steps = len(found.positions), len(found.timesteps)
    kinds: tuple[tuple[np.ndarray, tuple[int, ...], type[np.generic]], ...] = (
        (found.positions, (points, 3), np.float32),
        (found.normals, (points, 3), np.float32),
        (found.colors, (points, 3), np.uint8),
        (found.timesteps, (steps,), np.int32),
        (found.tracks, (steps, points, 3), np.float32),
    )
    fits = 0 < points <= _MOST_POINTS and 0 < steps <= _MOST_TIMESTEPS
    if not fits or not all(
        array.shape == shape and array.dtype == kind and np.isfinite(array).all()
        for array, shape, kind in kinds
    ):
        raise UserError(f"{path} is no file of point tracks: make the data set again")
    return found
