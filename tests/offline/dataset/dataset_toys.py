"""Small data sets for tests: frames of random content, written by the project's own writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from offline.animation.guide_maps import GuideMaps, SemanticClass
from offline.dataset.layout import (
    BACKGROUND,
    AvatarEntry,
    DatasetFrame,
    LookEntry,
    LookSource,
    Manifest,
    MotionEntry,
)
from offline.dataset.manifest import write_manifest
from offline.dataset.transforms import write_transforms
from offline.dataset.writing import SUFFIXES, frame_files, write_frame
from perse_live.animate import HeadPose
from perse_live.camera import Camera
from perse_live.rotations import FACING_CAMERA, from_axis_angle

SIZE = 32


def random_maps(rng: np.random.Generator, size: int = SIZE) -> GuideMaps:
    """Maps of random content, nothing seen in the first row."""
    normals = rng.normal(size=(size, size, 3))
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    normals[0] = 0
    depth = rng.uniform(0.3, 2, (size, size))
    depth[0] = 0
    return GuideMaps(
        np.kron(rng.integers(0, 256, (size // 8, size // 8, 3)), np.ones((8, 8, 1))).astype(
            np.uint8
        ),
        rng.integers(0, 256, (size, size)).astype(np.uint8),
        depth.astype(np.float32),
        normals.astype(np.float32),
        rng.integers(0, len(SemanticClass), (size, size)).astype(np.uint8),
        rng.uniform(0, size, (478, 3)).astype(np.float32),
    )


def random_frame(rng: np.random.Generator, folder: Path, index: int, *, part: bool) -> DatasetFrame:
    """A frame of a random pose and expression."""
    turn = from_axis_angle(rng.normal(0, 0.2, (2, 3)))
    pose = HeadPose(
        (FACING_CAMERA @ turn[0]).astype(np.float32),
        rng.uniform(-0.1, 0.1, 3).astype(np.float32) + np.array([0, 0, 1], np.float32),
        (FACING_CAMERA @ turn[1]).astype(np.float32),
    )
    return DatasetFrame(
        index,
        "train" if index < 3 else "test",
        Camera.for_image(SIZE, SIZE),
        pose,
        rng.uniform(0, 1, 52).astype(np.float32),
        rng.normal(0, 0.1, (2, 2)).astype(np.float32),
        frame_files(folder, index, part=part),
        BACKGROUND,
    )


def toy_dataset(root: Path, *, frames: int = 4) -> dict[str, list[tuple[DatasetFrame, GuideMaps]]]:
    """The person and one beard; what was written, by look."""
    rng = np.random.default_rng(0)
    looks = (
        LookEntry("source", "As they are", "", None, "rig", LookSource("source")),
        LookEntry("beard-full", "Full beard", "beard", "beard", "rig", LookSource("built-in")),
    )
    manifest = Manifest(
        "perse-live 0",
        "2026-01-01T00:00:00+00:00",
        AvatarEntry("a" * 64, "b" * 64, "the tests", "2026-01-01T00:00:00+00:00", ("CC0",)),
        MotionEntry("built-in", seed=0),
        frames,
        3,
        SIZE,
        looks,
    )
    root.mkdir(exist_ok=True)
    write_manifest(root, manifest)
    written: dict[str, list[tuple[DatasetFrame, GuideMaps]]] = {}
    for look in looks:
        folder = root / look.name
        for kind in SUFFIXES:
            (folder / kind).mkdir(parents=True, exist_ok=True)
        rows: list[tuple[DatasetFrame, GuideMaps]] = []
        for index in range(frames):
            part = look.name != "source"
            frame, maps = random_frame(rng, folder, index, part=part), random_maps(rng)
            write_frame(frame, maps.rgb, maps.alpha if part else None, maps)
            rows.append((frame, maps))
        write_transforms(folder, [frame for frame, _ in rows])
        written[look.name] = rows
    return written
