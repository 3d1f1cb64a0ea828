"""Networks of LivePortrait's inputs and outputs that are small enough to follow by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

KEYPOINTS = 21


def write_networks(folder: Path, *, stitching: bool = True) -> None:
    """Four ONNX files.

    The appearance network passes a small copy of the picture on; the motion network reads yaw from the picture's mean red and the
    translation from its mean green; the generator draws the copy, brighter by the keypoints' mean shift along x; stitching shifts
    all keypoints by 0.25 along x.
    """
    picture = helper.make_tensor_value_info("img", TensorProto.FLOAT, [1, 3, 256, 256])
    _save(
        folder / "appearance_feature_extractor.onnx",
        [
            helper.make_node(
                "AveragePool", ["img"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]
            ),
            helper.make_node("Reshape", ["pooled", "shape"], ["feature_3d"]),
        ],
        [picture],
        [("feature_3d", [1, 3, 1, 64, 64])],
        {"shape": np.array([1, 3, 1, 64, 64])},
    )
    rng = np.random.default_rng(0)
    canonical = rng.normal(0, 0.2, (1, 3 * KEYPOINTS)).astype(np.float32)
    bins = np.arange(66, dtype=np.float32)
    _save(
        folder / "motion_extractor.onnx",
        [
            helper.make_node("GlobalAveragePool", ["img"], ["mean4"]),
            helper.make_node("Reshape", ["mean4", "row"], ["mean"]),
            helper.make_node("Gather", ["mean", "zero"], ["red"], axis=1),
            helper.make_node("Gather", ["mean", "one"], ["green"], axis=1),
            # scores that peak at the bin 20 + 20 red
            helper.make_node("Mul", ["red", "twenty"], ["at0"]),
            helper.make_node("Add", ["at0", "twenty"], ["at"]),
            helper.make_node("Sub", ["bins", "at"], ["off"]),
            helper.make_node("Mul", ["off", "off"], ["square"]),
            helper.make_node("Neg", ["square"], ["yaw"]),
            helper.make_node("Neg", ["level"], ["pitch"]),
            helper.make_node("Identity", ["pitch"], ["roll"]),
            helper.make_node("Mul", ["green", "ones3"], ["t"]),
            helper.make_node("Mul", ["red", "tiny"], ["exp"]),
            helper.make_node("Identity", ["size"], ["scale"]),
            helper.make_node("Identity", ["canonical"], ["kp"]),
        ],
        [picture],
        [
            ("pitch", [1, 66]),
            ("yaw", [1, 66]),
            ("roll", [1, 66]),
            ("t", [1, 3]),
            ("exp", [1, 3 * KEYPOINTS]),
            ("scale", [1, 1]),
            ("kp", [1, 3 * KEYPOINTS]),
        ],
        {
            "row": np.array([1, 3]),
            "zero": np.array([0]),
            "one": np.array([1]),
            "twenty": np.full((1, 1), 20, np.float32),
            "bins": bins[None],
            "level": (bins[None] - 32.5) ** 2,
            "ones3": np.ones((1, 3), np.float32),
            "tiny": np.full((1, 3 * KEYPOINTS), 0.01, np.float32),
            "size": np.full((1, 1), 1.5, np.float32),
            "canonical": canonical,
        },
    )
    _save(
        folder / "warping_spade.onnx",
        [
            helper.make_node("Reshape", ["feature_3d", "flat"], ["small"]),
            helper.make_node("Resize", ["small", "", "scales"], ["large"], mode="nearest"),
            helper.make_node("Sub", ["kp_driving", "kp_source"], ["moved"]),
            helper.make_node("ReduceMean", ["moved"], ["shift3"], axes=[1], keepdims=1),
            helper.make_node("Gather", ["shift3", "first"], ["shift"], axis=2),
            helper.make_node("Reshape", ["shift", "single"], ["brighter"]),
            helper.make_node("Add", ["large", "brighter"], ["out"]),
        ],
        [
            helper.make_tensor_value_info("feature_3d", TensorProto.FLOAT, [1, 3, 1, 64, 64]),
            helper.make_tensor_value_info("kp_driving", TensorProto.FLOAT, [1, KEYPOINTS, 3]),
            helper.make_tensor_value_info("kp_source", TensorProto.FLOAT, [1, KEYPOINTS, 3]),
        ],
        [("out", [1, 3, 512, 512])],
        {
            "flat": np.array([1, 3, 64, 64]),
            "scales": np.array([1, 1, 8, 8], np.float32),
            "first": np.array([0]),
            "single": np.array([1, 1, 1, 1]),
        },
    )
    if stitching:
        shift = np.zeros((1, 3 * KEYPOINTS + 2), np.float32)
        shift[0, -2] = 0.25
        _save(
            folder / "stitching.onnx",
            [
                helper.make_node("Slice", ["input", "start", "end", "axis"], ["part"]),
                helper.make_node("Mul", ["part", "nothing"], ["zeros"]),
                helper.make_node("Add", ["zeros", "shift"], ["output"]),
            ],
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 6 * KEYPOINTS])],
            [("output", [1, 3 * KEYPOINTS + 2])],
            {
                "start": np.array([0]),
                "end": np.array([3 * KEYPOINTS + 2]),
                "axis": np.array([1]),
                "nothing": np.zeros((1, 1), np.float32),
                "shift": shift,
            },
        )


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[tuple[str, list[int]]],
    constants: dict[str, np.ndarray],
) -> None:
    graph = helper.make_graph(
        nodes,
        path.stem,
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
