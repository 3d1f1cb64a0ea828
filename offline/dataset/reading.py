"""Reading data sets: our own and, as far as they say enough, other programs'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from offline.animation.guide_maps import GuideMaps
from offline.dataset.layout import (
    DEPTH_UNIT,
    MANIFEST_FILE,
    TRANSFORMS_FILE,
    Dataset,
    DatasetFrame,
)
from offline.dataset.manifest import read_manifest
from offline.dataset.transforms import read_transforms
from offline.training.contract import TrainingFrame
from perse_live.arrays import Float32Array, UInt8Array
from perse_live.errors import UserError, one_line

_NAMED = 3  # missing files that a message names
_LANDMARKS = (478, 3)
_WHITE = np.float32(255)


def read_dataset(root: Path) -> Dataset:
    """A data set: a folder with a manifest, or another program's folder with `transforms.json`, which counts as one look.

    Raises UserError, one line, for another folder or version, a look that is not finished, and files that are missing, with their
    names.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give a folder made by perse-live dataset")
    if not (root / MANIFEST_FILE).exists():
        found = Dataset(root, None, (read_transforms(root, root, None),))
    else:
        manifest = read_manifest(root)
        unfinished = [
            entry.name
            for entry in manifest.looks
            if not (root / entry.name / TRANSFORMS_FILE).is_file()
        ]
        if unfinished:
            raise UserError(
                f"{root} is not finished ({', '.join(unfinished[:_NAMED])}"
                f"{', ...' if len(unfinished) > _NAMED else ''}):"
                " give the same perse-live dataset command again, and it goes on"
            )
        found = Dataset(
            root,
            manifest,
            tuple(read_transforms(root / entry.name, root, entry) for entry in manifest.looks),
        )
    missing = missing_files(found)
    if missing:
        names = ", ".join(str(path) for path in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        advice = (
            "give the same perse-live dataset command again, and it draws them"
            if found.manifest is not None
            else "put them back"
        )
        raise UserError(f"{root}: files are missing: {names}{more}: {advice}")
    return found


def missing_files(dataset: Dataset) -> list[Path]:
    """The files that looks name and that are not there, relative to the root; each once."""
    root = dataset.root.resolve()
    there: dict[Path, bool] = {}
    for look in dataset.looks:
        for path in look.files():
            if path not in there:
                there[path] = path.is_file()
    return [path.relative_to(root) for path, exists in there.items() if not exists]


def read_rgb(path: Path) -> UInt8Array:
    """A frame's picture (H, W, 3); where it has alpha, over black. Raises UserError where it cannot be read."""
    with _opened(path) as image:
        if image.mode in ("RGBA", "LA", "PA"):
            over = Image.new("RGBA", image.size, (0, 0, 0, 255))
            over.alpha_composite(image.convert("RGBA"))
            return np.asarray(over.convert("RGB"), np.uint8)
        return np.asarray(image.convert("RGB"), np.uint8)


def read_grey(path: Path) -> UInt8Array:
    """A mask (H, W). Raises UserError where it cannot be read."""
    with _opened(path) as image:
        return np.asarray(image.convert("L"), np.uint8)


def read_depth(path: Path) -> Float32Array:
    """A depth map (H, W) in metres, 0 where nothing is seen."""
    with _opened(path) as image:
        return np.asarray(image, np.float32) * np.float32(DEPTH_UNIT)


def read_normals(path: Path) -> Float32Array:
    """Normals (H, W, 3) as `GuideMaps.normals`."""
    coded = read_rgb(path)
    normals = coded.astype(np.float32) * np.float32(2 / 255) - 1
    normals *= np.array([1, -1, -1], np.float32)  # OpenGL's camera axes to OpenCV's
    length = np.linalg.norm(normals, axis=2, keepdims=True)
    seen = coded.any(2, keepdims=True)
    return np.where(seen, normals / np.maximum(length, 1e-6), 0).astype(np.float32)


def read_semantic(path: Path) -> UInt8Array:
    """A semantic map (H, W): the indices, not the palette's colours."""
    with _opened(path) as image:
        if image.mode not in ("P", "L"):
            raise UserError(f"{path} is no map of classes (its pixels are {image.mode})")
        return np.asarray(image, np.uint8)


def read_landmarks(path: Path) -> Float32Array:
    """Landmarks (478, 3) as `GuideMaps.landmarks`."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read ({one_line(error)}): make it again") from error
    if found.shape != _LANDMARKS or not np.isfinite(found).all():
        raise UserError(f"{path} has not {_LANDMARKS[0]} landmarks: make the data set again")
    return found.astype(np.float32)


def read_maps(frame: DatasetFrame) -> GuideMaps:
    """The maps of a frame that has all of them. Raises UserError for one that has not, or a damaged file."""
    files = frame.files
    if (
        files.alpha is None
        or files.depth is None
        or files.normals is None
        or files.semantic is None
        or files.landmarks is None
    ):
        raise UserError(f"{files.rgb}: the frame has no maps of depth, normals and classes")
    return GuideMaps(
        read_rgb(files.rgb),
        read_grey(files.alpha),
        read_depth(files.depth),
        read_normals(files.normals),
        read_semantic(files.semantic),
        read_landmarks(files.landmarks),
    )


def read_training_frame(frame: DatasetFrame, *, weight: float = 1.0) -> TrainingFrame:
    """A frame to learn from, over black as fits draw; where it has no mask of the part, all of the picture counts.

    The background is taken off by alpha, where the frame says both.

    Raises UserError where a picture cannot be read, or is not of its camera's size.
    """
    rgb = read_rgb(frame.files.rgb)
    shape = (frame.camera.height, frame.camera.width)
    part = (
        np.ones(shape, np.float32)
        if frame.files.part is None
        else _share(read_grey(frame.files.part))
    )
    alpha = None if frame.files.alpha is None else read_grey(frame.files.alpha)
    for path, size in (
        (frame.files.rgb, rgb.shape[:2]),
        (frame.files.part, part.shape),
        (frame.files.alpha, shape if alpha is None else alpha.shape),
    ):
        if size != shape:
            raise UserError(
                f"{path} is of {size[1]} x {size[0]} pixels, its camera of {shape[1]} x {shape[0]}:"
                " make the data set again"
            )
    image = _share(rgb)
    if alpha is not None and frame.background is not None:
        behind = np.array(frame.background, np.float32) / _WHITE
        image = np.clip(image - (1 - _share(alpha)[..., None]) * behind, 0, 1).astype(np.float32)
    return TrainingFrame(
        image,
        part,
        frame.camera,
        frame.pose,
        frame.expression,
        frame.gaze,
        weight,
    )


def _share(coded: UInt8Array) -> Float32Array:
    return np.asarray(coded / _WHITE, np.float32)


def _opened(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read ({one_line(error)}): make it again") from error
    return image
