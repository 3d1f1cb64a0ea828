"""The exported graphs say what the fused kernels say, in torch, in ONNX Runtime, and in half precision within stated bounds."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from attribute_toys import toy_attribute
from engine_toys import dressable, graph, graphs, motion
from export.engines.compile import compile_graph, parse_compute_capabilities
from export.engines.graph_files import animate_tensors, graphs_of
from perse_live.animator import Animator
from perse_live.arrays import Float32Array
from perse_live.attribute_blending import with_attributes
from perse_live.avatar import Avatar, following_outline
from perse_live.engines.graphs import (
    POSED,
    Arrays,
    binding_arrays,
    canonical_arrays,
    look_hash,
    motion_arrays,
    rig_hash,
    with_all_attributes,
)
from perse_live.errors import UserError
from perse_live.gaussians import Gaussians
from perse_live.torch_graphs.animate import Animate
from perse_live.torch_graphs.attributes import Attributes
from runtime.stage import Motion

onnxruntime = pytest.importorskip("onnxruntime")
LOOKS: tuple[dict[str, float], ...] = (
    {},
    {"hat-cap": 0.3},
    {"hat-cap": 0.9, "hat-felt": 0.8, "beard-full": 1.0},
)


def inputs_of(look: Avatar, *motions: Motion) -> Arrays:
    frames = [
        motion_arrays(one.expression, one.gaze, one.pose, one.residual, one.secondary)
        for one in motions
    ]
    batch = {name: np.concatenate([one[name] for one in frames]) for name in frames[0]}
    return batch | canonical_arrays(look) | binding_arrays(look)


def by_torch(avatar: Avatar, inputs: Arrays) -> list[Float32Array]:
    arrays = [
        torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in animate_tensors(avatar)
    ]
    with torch.no_grad():
        return [one.numpy() for one in Animate(avatar.rig)(*arrays)]


def by_numba(avatar: Avatar, look: Avatar, doing: Motion) -> Gaussians:
    animator = Animator(avatar, threads=1)
    animator.set_avatar(look)
    return animator.pose(
        doing.expression, doing.gaze, doing.pose, residual=doing.residual, secondary=doing.secondary
    )


def check_posed(
    found: list[Float32Array],
    expected: Gaussians,
    *,
    frame: int = 0,
    metres: float,
    turn: float,
    shade: float = 5e-5,
) -> None:
    """metres: of means and, relatively, scales; turn: 1 - |cosine| of half the angle between orientations; shade: of colours and
    opacities.
    """
    means, quats, scales, opacities, colors = found
    np.testing.assert_allclose(means[frame], expected.means, rtol=0, atol=metres)
    np.testing.assert_allclose(scales[frame], expected.scales, rtol=1e-3, atol=metres)
    lengths = np.linalg.norm(quats[frame], axis=1) * np.linalg.norm(expected.quats, axis=1)
    cosine = np.abs((quats[frame] * expected.quats).sum(1)) / lengths
    clear = expected.scales[:, 0] > 1e-4  # a splat folded to nothing has no orientation
    assert (1 - cosine)[clear].max() < turn
    differing = np.abs(opacities[frame] - expected.opacities) > shade
    assert differing.mean() < 0.002  # whether it faces away may turn over at the very threshold
    np.testing.assert_allclose(colors[frame], expected.colors, atol=shade, rtol=0)


@pytest.mark.parametrize("weights", LOOKS)
def test_animate_in_torch_is_the_animator(weights: dict[str, float]) -> None:
    avatar = dressable()
    look = with_attributes(avatar, avatar.attributes, weights)
    for seed in range(4):
        check_posed(
            by_torch(avatar, inputs_of(look, motion(seed))),
            by_numba(avatar, look, motion(seed)),
            metres=5e-6,
            turn=1e-6,
        )


def test_animate_takes_a_head_turned_to_the_back() -> None:
    """Where the largest part of a rotation's quaternion is not w."""
    avatar = dressable()
    for turn in (
        np.diag([1.0, -1.0, -1.0]),
        np.diag([-1.0, -1.0, 1.0]),
        np.diag([-1.0, 1.0, -1.0]),
        np.eye(3),
    ):
        doing = motion(0)
        rotation = (turn @ doing.pose.R_cam_head).astype(np.float32)
        doing = replace(doing, pose=replace(doing.pose, R_cam_head=rotation, R_cam_body=rotation))
        check_posed(
            by_torch(avatar, inputs_of(avatar, doing)),
            by_numba(avatar, avatar, doing),
            metres=5e-6,
            turn=1e-6,
        )


@pytest.mark.parametrize("weights", LOOKS)
def test_attributes_in_torch_are_the_wardrobe(weights: dict[str, float]) -> None:
    avatar = dressable()
    row = np.array([weights.get(one.name, 0.0) for one in avatar.attributes], np.float32)
    found = dict(
        zip(
            canonical_arrays(avatar),
            (one.numpy() for one in Attributes(avatar)(torch.from_numpy(row))),
            strict=True,
        )
    )
    check_look(avatar, found, weights, tolerance=2e-6)


def test_attributes_that_are_given_outright_or_mixed_with_learned_ones_are_the_wardrobe_too() -> (
    None
):
    """Tints of avatars without attributes, and explicit attributes."""
    plain = replace(dressable(), attributes=())
    mixed = (
        toy_attribute(plain, "hat-one", "hat", seed=5),
        *dressable().attributes,
        toy_attribute(plain, "hat-two", "hat", seed=6, on_surface=0),
        toy_attribute(plain, "skin-tan", "skin", seed=7, on_surface=0, free=0, moved=0),
    )
    for avatar in (
        plain,
        replace(plain, decoder=None),
        replace(plain, attributes=mixed),
        replace(plain, attributes=mixed[-2:]),
    ):
        for weights in (
            {},
            {"hat-one": 0.3},
            {"hat-one": 0.5, "hat-two": 0.5, "hat-cap": 0.6},
            {"hat-two": 1.0, "skin-tan": 0.4},
        ):
            row = torch.tensor([weights.get(one.name, 0.0) for one in avatar.attributes])
            found = (one.numpy() for one in Attributes(avatar)(row))
            check_look(
                avatar,
                dict(zip(canonical_arrays(avatar), found, strict=True)),
                weights,
                tolerance=2e-6,
            )
    with pytest.raises(ValueError, match="decoder"):
        Attributes(replace(dressable(), decoder=None))


def check_look(
    avatar: Avatar, found: Arrays, weights: dict[str, float], *, tolerance: float
) -> None:
    """Gaussians of attributes at weight 0 are transparent; all others are as blended."""
    look = with_attributes(avatar, avatar.attributes, weights)
    there = [weights.get(one.name, 0) > 0 for one in avatar.attributes]
    rows, its_rows = binding_arrays(with_all_attributes(avatar)), binding_arrays(look)
    added = [one.added for one in avatar.attributes]
    for kind, count, counts in (
        ("surface", len(avatar.surface.triangles), [len(one.surface.triangles) for one in added]),
        ("rigid", len(avatar.rigid.means), [len(one.rigid.means) for one in added]),
    ):
        shown = np.concatenate(
            [np.ones(count, bool), np.repeat(np.array(there, bool), np.array(counts, int))]
        )
        assert not found[f"{kind}_opacities"][~shown].any()
        for name, array in canonical_arrays(look).items():
            if name.startswith(kind):
                np.testing.assert_allclose(
                    found[name][shown], array, atol=tolerance, rtol=50 * tolerance
                )
        corrections = found["corrections"][:, rows[f"{kind}_corrected"][shown]]
        expected = canonical_arrays(look)["corrections"][:, its_rows[f"{kind}_corrected"]]
        np.testing.assert_allclose(corrections, expected, atol=tolerance, rtol=50 * tolerance)
    np.testing.assert_allclose(
        found["vertices"], look.rig.vertices, atol=min(tolerance, 1e-5), rtol=0
    )


@pytest.mark.slow
def test_the_graphs_are_valid_onnx_with_named_lengths() -> None:
    assert [(one.name, one.precision) for one in graphs()] == [
        ("animate", "fp32"),
        ("attributes", "fp32"),
        ("animate", "fp16"),
        ("attributes", "fp16"),
    ]
    for one in graphs():
        model = onnx.load_model_from_string(one.content)
        onnx.checker.check_model(model, full_check=True)
        assert [value.name for value in model.graph.input] == list(one.inputs)
        assert [value.name for value in model.graph.output] == list(one.outputs)
        for value in (*model.graph.input, *model.graph.output):
            kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
            assert kind == (one.inputs | one.outputs)[value.name].dtype
            assert kind in ("float32", "int32") or (value.name, one.precision) == ("spread", "fp16")
    assert len(graph("animate", "fp16").content) < 0.8 * len(graph("animate").content)


@pytest.mark.slow
def test_onnx_runtime_equals_torch_and_numba_at_any_length() -> None:
    avatar = dressable()
    session = onnxruntime.InferenceSession(
        graph("animate").content, providers=["CPUExecutionProvider"]
    )
    for weights in LOOKS:
        look = with_attributes(avatar, avatar.attributes, weights)
        for motions in ([motion(0)], [motion(1), motion(2), motion(3)]):
            inputs = inputs_of(look, *motions)
            found = session.run(None, inputs)
            for name, one, other in zip(POSED, found, by_torch(avatar, inputs), strict=True):
                # what a normal's direction is worth hangs on its triangle's size, hence the quaternions' margin
                np.testing.assert_allclose(
                    one, other, rtol=1e-4, atol=5e-4 if name == "quats" else 1e-6
                )
            for frame, doing in enumerate(motions):
                check_posed(
                    found, by_numba(avatar, look, doing), frame=frame, metres=5e-6, turn=1e-6
                )


@pytest.mark.slow
def test_half_precision_casts_nothing_large_in_a_frame() -> None:
    """What is cast is the frame's motion and the sums that products give, not the matrices that they read."""
    model = onnx.shape_inference.infer_shapes(
        onnx.load_model_from_string(graph("animate", "fp16").content)
    )
    large = {one.name for one in model.graph.input if one.name in ("spread", "vertices")} | {
        one.name for one in model.graph.initializer if np.prod(one.dims) > 10_000
    }
    assert not [
        node.name for node in model.graph.node if node.op_type == "Cast" and set(node.input) & large
    ]


@pytest.mark.slow
def test_half_precision_stays_within_a_tenth_of_a_millimetre_and_one_step_of_colour() -> None:
    avatar = dressable()
    session = onnxruntime.InferenceSession(
        graph("animate", "fp16").content, providers=["CPUExecutionProvider"]
    )
    for seed in range(3):
        inputs = inputs_of(avatar, motion(seed))
        found = session.run(None, inputs | {"spread": inputs["spread"].astype(np.float16)})
        check_posed(
            found, by_numba(avatar, avatar, motion(seed)), metres=1e-4, turn=1e-4, shade=1 / 510
        )
    session = onnxruntime.InferenceSession(
        graph("attributes", "fp16").content, providers=["CPUExecutionProvider"]
    )
    for weights in LOOKS:
        row = np.array([weights.get(one.name, 0.0) for one in avatar.attributes], np.float32)
        check_look(
            avatar,
            dict(zip(canonical_arrays(avatar), session.run(None, {"weights": row}), strict=True)),
            weights,
            tolerance=1 / 510,
        )


@pytest.mark.slow
def test_attributes_in_onnx_runtime_equal_torch() -> None:
    avatar = dressable()
    session = onnxruntime.InferenceSession(
        graph("attributes").content, providers=["CPUExecutionProvider"]
    )
    for seed in range(3):
        weights = np.random.default_rng(seed).random(3).astype(np.float32)
        with torch.no_grad():
            expected = Attributes(avatar)(torch.from_numpy(weights))
        for one, other in zip(session.run(None, {"weights": weights}), expected, strict=True):
            np.testing.assert_allclose(one, other.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_real_avatar_is_posed_alike_by_torch_onnx_runtime_and_numba(
    astronaut_avatar: Avatar,
) -> None:
    avatar = following_outline(astronaut_avatar)
    (made,) = graphs_of(replace(avatar, attributes=()), ("fp32",), progress=lambda *_: None)
    session = onnxruntime.InferenceSession(made.content, providers=["CPUExecutionProvider"])
    for seed in range(2):
        doing = replace(motion(seed), pose=avatar.source.pose)
        inputs = inputs_of(avatar, doing)
        for found in (by_torch(avatar, inputs), session.run(None, inputs)):
            check_posed(found, by_numba(avatar, avatar, doing), metres=5e-6, turn=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx is not installed"
)
def test_tensorrt_rtx_takes_and_builds_both_graphs() -> None:
    import tensorrt_rtx  # pyright: ignore[reportMissingImports]

    limits = {
        "batch": (1, 1, 2),
        "surface": (1, 2000, 4000),
        "rigid": (1, 300, 900),
        "following": (1, 61, 900),
        "components": (2, 6, 24),
        "corrected": (2, 900, 2000),
    }
    sizes: list[int] = []
    for one in graphs():
        capabilities = (86,) if one.precision == "fp32" else (75, 86)
        sizes.append(
            len(
                compile_graph(
                    tensorrt_rtx,
                    one.content,
                    one.inputs,
                    limits if one.name == "animate" else {},
                    compute_capabilities=capabilities,
                )
            )
        )
    assert min(sizes) > 10_000
    with pytest.raises(UserError, match=r"tensorrt_rtx .* does not take the graph"):
        compile_graph(tensorrt_rtx, b"no graph", {}, {}, compute_capabilities=(86,))
    half = next(one for one in graphs() if one.name == "attributes" and one.precision == "fp16")
    # H100
    with pytest.raises(UserError, match=r"no engines for compute capability 9\.0, only for .*89"):
        compile_graph(tensorrt_rtx, half.content, half.inputs, {}, compute_capabilities=(90,))
    # DGX Spark
    assert compile_graph(tensorrt_rtx, half.content, half.inputs, {}, compute_capabilities=(121,))


def test_whatever_a_compiler_raises_is_a_user_error() -> None:
    """With a driver that is too old, constructors of TensorRT's bindings raise TypeError."""

    class Old:
        __name__, __version__ = "tensorrt", "11"

        class ILogger:
            def __init__(self) -> None: ...

        def Builder(self, logger: object) -> object:
            raise TypeError("pybind11::init(): factory function returned nullptr")

    with pytest.raises(
        UserError, match=r"tensorrt 11 cannot build the engine: TypeError: pybind11"
    ):
        compile_graph(Old(), b"", {}, {})


def test_what_compute_capabilities_are_called() -> None:
    assert parse_compute_capabilities("89, 8.6,89") == (86, 89)
    with pytest.raises(UserError, match="no compute capability '61'"):
        parse_compute_capabilities("86,61")
    with pytest.raises(UserError, match="no compute capability is named"):
        parse_compute_capabilities(",")


def test_hashes_tell_rigs_and_looks_apart() -> None:
    avatar = dressable()
    moved = replace(
        avatar, rig=replace(avatar.rig, vertices=avatar.rig.vertices + np.float32(0.001))
    )
    assert rig_hash(moved.rig) == rig_hash(avatar.rig) and look_hash(moved) != look_hash(avatar)
    other = replace(avatar, rig=replace(avatar.rig, actions=avatar.rig.actions * np.float32(1.1)))
    assert rig_hash(other.rig) != rig_hash(avatar.rig)
    assert look_hash(replace(avatar, attributes=avatar.attributes[:2])) != look_hash(avatar)
