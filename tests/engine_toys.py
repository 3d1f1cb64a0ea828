"""A small avatar with attributes, and its exported graphs, made once for all tests that need them: tracing takes half a
minute.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from attribute_toys import toy_decoder, toy_learned
from corrective_toys import with_toy_correctives
from export.engines.graph_files import Graph, graphs_of
from perse_live.animate import HeadPose
from perse_live.avatar import Avatar, load_avatar, save_avatar
from perse_live.engines.folder import MANIFEST, EngineFolder, GraphFile, TensorInfo, manifest_text
from perse_live.engines.graphs import ANIMATE
from runtime.bench.drawing import synthetic_avatar
from runtime.stage import Motion, facing_pose


@cache
def dressable() -> Avatar:
    """Two attributes of one slot, one of another; landmarks that move vertices; correctives, also of one attribute."""
    avatar = synthetic_avatar(900, np.random.default_rng(0))
    random = np.random.default_rng(1)
    ids = random.choice(len(avatar.rig.vertices), 60, replace=False).astype(np.int32)
    spread = random.random((60, 478)).astype(np.float32) / 478
    avatar = replace(avatar, landmarks=replace(avatar.landmarks, spread_ids=ids, spread=spread))
    looks = (("hat-cap", "hat"), ("hat-felt", "hat"), ("beard-full", "beard"))
    attributes = tuple(
        toy_learned(avatar, name, slot, seed=k, moves_base=k == 2, tints_hair=k == 3)
        for k, (name, slot) in enumerate(looks, 1)
    )
    # Through a file, so that it is what a user's is, to the bit
    with tempfile.TemporaryDirectory() as folder:
        avatar = with_toy_correctives(replace(avatar, decoder=toy_decoder(), attributes=attributes))
        save_avatar(Path(folder) / "toy.perse", avatar)
        return load_avatar(Path(folder) / "toy.perse")


@cache
def graphs() -> list[Graph]:
    """Of `dressable`, in both precisions."""
    return graphs_of(dressable(), ("fp32", "fp16"), progress=lambda *_: None)


def graph(name: str, precision: str = "fp32") -> Graph:
    return next(one for one in graphs() if (one.name, one.precision) == (name, precision))


def folder_of(path: Path) -> EngineFolder:
    """A folder with the ONNX graphs of `dressable`."""
    path.mkdir(parents=True)
    files: list[GraphFile] = []
    for one in graphs():
        name = f"{one.name}.{one.precision}.onnx"
        (path / name).write_bytes(one.content)
        limits = {
            "batch": (1, 1, 8),
            "surface": (1, 9000, 9000),
            "rigid": (1, 9000, 9000),
            "following": (1, 61, 9000),
            "components": (2, 6, 24),
            "corrected": (2, 900, 9000),
        }
        inputs, outputs = (
            tuple(TensorInfo(key, *tensor) for key, tensor in part.items())
            for part in (one.inputs, one.outputs)
        )
        files.append(
            GraphFile(
                name,
                hashlib.sha256(one.content).hexdigest(),
                len(one.content),
                "onnx",
                one.name,
                one.precision,
                one.made_from,
                "opset 18",
                "any",
                limits if one.name == ANIMATE else {},
                inputs,
                outputs,
            )
        )
    names = tuple(one.name for one in dressable().attributes)
    made = EngineFolder(path, "toy.perse", "0" * 64, "perse-live tests", names, tuple(files))
    (path / MANIFEST).write_text(manifest_text(made))
    return made


def motion(seed: int) -> Motion:
    """A face that does something, turned somewhere, on shoulders turned elsewhere."""
    random = np.random.default_rng(seed)
    pose = facing_pose(
        dressable(),
        yaw=float(random.normal(0, 25)),
        pitch=float(random.normal(0, 12)),
        roll=float(random.normal(0, 10)),
    )
    body = facing_pose(dressable(), yaw=float(random.normal(0, 5)))
    return Motion(
        (random.random(52) * (random.random(52) < 0.5)).astype(np.float32),
        random.normal(0, 0.2, (2, 2)).astype(np.float32),
        HeadPose(pose.R_cam_head, pose.t_cam_head, body.R_cam_head),
        random.normal(0, 2e-3, (478, 3)).astype(np.float32),
        random.normal(0, 0.2, 4).astype(np.float32),
    )
