"""An avatar's two graphs as ONNX, with all that the manifest says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from perse_live.animate import HeadPose
from perse_live.avatar import Avatar
from perse_live.engines.folder import Precision
from perse_live.engines.graphs import (
    ANIMATE,
    ATTRIBUTES,
    HALF_INPUTS,
    MOTION,
    POSED,
    Arrays,
    Tensor,
    binding_arrays,
    binding_inputs,
    canonical_arrays,
    canonical_inputs,
    look_hash,
    motion_arrays,
    rig_hash,
    with_all_attributes,
)
from perse_live.extras import missing_extra


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph in ONNX."""

    name: str
    precision: Precision
    made_from: str
    content: bytes
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


def graphs_of(
    avatar: Avatar, precisions: tuple[Precision, ...], *, progress: Callable[[str, float], None]
) -> list[Graph]:
    """The avatar's graphs in each precision; without `attributes` where it has none.

    progress: told what is being made and which fraction is done. Raises UserError where packages are missing.
    """
    try:
        from export.graphs.half import with_half_products
        from export.graphs.onnx_file import onnx_bytes
        from perse_live.torch_graphs.animate import Animate
        from perse_live.torch_graphs.attributes import Attributes
    except ModuleNotFoundError as error:
        raise missing_extra("exporting graphs", "export", error) from error
    progress(f"graph {ANIMATE}", 0.0)
    inputs, outputs, example = (
        animate_tensors(avatar),
        dict(POSED),
        animate_example(avatar, frames=2),
    )
    content = onnx_bytes(
        Animate(avatar.rig),
        {name: (tensor, example[name]) for name, tensor in inputs.items()},
        outputs,
    )
    made = [Graph(ANIMATE, "fp32", rig_hash(avatar.rig), content, inputs, outputs)]
    if avatar.attributes:
        progress(f"graph {ATTRIBUTES}", 0.7)
        inputs, outputs = attributes_tensors(avatar)
        weights = np.zeros(len(avatar.attributes), np.float32)
        content = onnx_bytes(Attributes(avatar), {"weights": (inputs["weights"], weights)}, outputs)
        made.append(Graph(ATTRIBUTES, "fp32", look_hash(avatar), content, inputs, outputs))
    progress("graphs", 1.0)
    return [
        one
        if precision == "fp32"
        else replace(
            one,
            precision=precision,
            content=with_half_products(one.content, HALF_INPUTS),
            inputs={
                name: tensor._replace(dtype="float16") if name in HALF_INPUTS else tensor
                for name, tensor in one.inputs.items()
            },
        )
        for precision in precisions
        for one in made
    ]


def animate_tensors(avatar: Avatar) -> dict[str, Tensor]:
    """What `animate` takes, in order."""
    vertices = len(avatar.rig.vertices)
    return {**MOTION, **canonical_inputs(vertices), **binding_inputs(vertices)}


def attributes_tensors(avatar: Avatar) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What `attributes` takes and gives; its lengths are fixed."""
    arrays = canonical_arrays(with_all_attributes(avatar))
    return (
        {"weights": Tensor("float32", (len(avatar.attributes),))},
        {
            name: Tensor("float32", arrays[name].shape)
            for name in canonical_inputs(len(avatar.rig.vertices))
        },
    )


def animate_example(avatar: Avatar, *, frames: int) -> Arrays:
    """Inputs of `animate` with every attribute at weight 1: a face at rest."""
    eye = np.eye(3, dtype=np.float32)
    full = with_all_attributes(avatar)
    one = motion_arrays(
        np.zeros(52),
        np.zeros((2, 2)),
        HeadPose(eye, np.array([0, 0, 1], np.float32), eye),
        None,
        None,
    )
    motion = {name: np.repeat(array, frames, 0) for name, array in one.items()}
    return motion | canonical_arrays(full) | binding_arrays(full)
