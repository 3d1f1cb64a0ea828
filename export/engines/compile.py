"""ONNX graphs through NVIDIA's two compilers: TensorRT (on the GPU that will run them) and TensorRT for RTX (ahead of time,
without).

Both have the same Python API. Networks are strongly typed: precision is what the ONNX says, there are no flags for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from perse_live.engines.graphs import Tensor
from perse_live.engines.nvidia import collecting_logger
from perse_live.errors import UserError, gist, one_line

Limits = Mapping[str, tuple[int, int, int]]
COMPUTE_CAPABILITIES = (75, 80, 86, 89, 120, 121)
"""What TensorRT for RTX 1.7 compiles for: Turing, Ampere (A100; RTX 30), Ada (RTX 40), Blackwell (RTX 50; DGX Spark)."""
ONLY_HALF = 75
"""Turing: TensorRT for RTX refuses fp32 networks for it."""


def compile_graph(
    trt: Any,
    content: bytes,
    inputs: Mapping[str, Tensor],
    limits: Limits,
    *,
    compute_capabilities: Sequence[int] = (),
    timing_cache: bytes | None = None,
    keep_timings: Callable[[bytes], None] | None = None,
) -> bytes:
    """An engine for this machine's GPU or, where compute capabilities are named, for those.

    trt: `tensorrt` or `tensorrt_rtx`, imported; content: an ONNX file; limits: of the lengths that vary; timing_cache: what
    `keep_timings` was given by an earlier call on this GPU, with which building is quicker. Raises UserError with all that the
    compiler complained of.
    """
    logger, complaints = collecting_logger(trt)
    try:
        return _built(
            trt,
            logger,
            complaints,
            content,
            inputs,
            limits,
            compute_capabilities,
            timing_cache,
            keep_timings,
        )
    except UserError:
        raise
    except Exception as error:
        # such as TypeError from a constructor, where the driver is missing or too old
        cause = _joined([*complaints, gist(error)])
        raise UserError(
            f"{trt.__name__} {trt.__version__} cannot build the engine: {cause}"
        ) from error


def _built(
    trt: Any,
    logger: Any,
    complaints: list[str],
    content: bytes,
    inputs: Mapping[str, Tensor],
    limits: Limits,
    compute_capabilities: Sequence[int],
    timing_cache: bytes | None,
    keep_timings: Callable[[bytes], None] | None,
) -> bytes:
    # builder, network, parser and config are all kept until the end: they refer to one another without holding on
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(content):
        complaints.extend(str(parser.get_error(k)) for k in range(parser.num_errors))
        raise UserError(
            f"{trt.__name__} {trt.__version__} does not take the graph: {_joined(complaints)}"
        )
    config = builder.create_builder_config()
    # 10 bits of mantissa are not enough for quaternions, and these products are small
    config.clear_flag(trt.BuilderFlag.TF32)
    if compute_capabilities:
        config.num_compute_capabilities = len(compute_capabilities)
        for index, one in enumerate(compute_capabilities):
            config.set_compute_capability(_capability(trt, one), index)
    if limits:
        profile = builder.create_optimization_profile()
        for name, tensor in inputs.items():
            if any(isinstance(axis, str) for axis in tensor.shape):
                least, usual, most = (
                    tuple(
                        limits[axis][k] if isinstance(axis, str) else axis for axis in tensor.shape
                    )
                    for k in range(3)
                )
                profile.set_shape(name, least, usual, most)
        config.add_optimization_profile(profile)
    cache = None
    if keep_timings is not None:
        cache = config.create_timing_cache(timing_cache or b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise UserError(
            f"{trt.__name__} {trt.__version__} cannot build the engine: {_joined(complaints)}"
        )
    if keep_timings is not None and cache is not None:
        keep_timings(bytes(cache.serialize()))
    return bytes(engine)


def _capability(trt: Any, number: int) -> Any:
    """The backend's value for a compute capability such as 89. Raises UserError where this version of it has none."""
    found = getattr(trt.ComputeCapability, f"SM{number}", None)
    if found is None:
        known = ", ".join(name[2:] for name in dir(trt.ComputeCapability) if name.startswith("SM"))
        raise UserError(
            f"{trt.__name__} {trt.__version__} builds no engines for compute capability {number / 10:.1f}, only for"
            f" {known}: on that GPU use --engine tensorrt or torch"
        )
    return found


def _joined(complaints: Sequence[str]) -> str:
    return (
        "; ".join(dict.fromkeys(one_line(text, 300) for text in complaints))
        or "it does not say why"
    )


def parse_compute_capabilities(text: str) -> tuple[int, ...]:
    """Compute capabilities from numbers with commas between them, such as "86,89", each once, in order.

    Raises UserError for one that TensorRT for RTX does not know.
    """
    words = [word.strip().replace(".", "") for word in text.split(",") if word.strip()]
    known = ", ".join(str(one) for one in COMPUTE_CAPABILITIES)
    for word in words:
        if not word.isdecimal() or int(word) not in COMPUTE_CAPABILITIES:
            raise UserError(f"there is no compute capability {word[:20]!r} here: there are {known}")
    if not words:
        raise UserError(
            f"no compute capability is named: write --compute-capability with some of {known}"
        )
    return tuple(sorted({int(word) for word in words}))
