"""A torch module as an ONNX file: exported, checked, and run once by its reference rules before anybody relies on it."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from export.graphs import OPSET
from perse_live.engines.graphs import Tensor
from perse_live.extras import missing_extra
from perse_live.quiet import quiet_stdout

if TYPE_CHECKING:
    import torch


def onnx_bytes(
    module: torch.nn.Module,
    inputs: Mapping[str, tuple[Tensor, np.ndarray]],
    outputs: Mapping[str, Tensor],
) -> bytes:
    """Export by tracing (torch.export).

    inputs: by name in the order of the module's arguments, what each is and an example whose varying lengths differ from 0 and 1;
    outputs: by name in the order in which the module returns them. Every tensor keeps its name; varying lengths keep theirs.
    Raises UserError where packages are missing, RuntimeError where the result is not what `outputs` says.
    """
    try:
        import onnx
        import onnxscript  # torch's exporter imports it late, with a worse message
        import torch
    except ModuleNotFoundError as error:
        raise missing_extra("exporting graphs", "export", error) from error
    del onnxscript
    from onnx.shape_inference import infer_shapes

    lengths = {
        name: torch.export.Dim(name, min=1, max=1 << 20)
        for tensor, _ in inputs.values()
        for name in tensor.shape
        if isinstance(name, str)
    }
    varying = tuple(
        {axis: lengths[name] for axis, name in enumerate(tensor.shape) if isinstance(name, str)}
        or None
        for tensor, _ in inputs.values()
    )
    examples = tuple(torch.from_numpy(np.ascontiguousarray(array)) for _, array in inputs.values())
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            examples,
            dynamo=True,
            dynamic_shapes=varying,
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = infer_shapes(program.model_proto, check_type=True, strict_mode=True, data_prop=True)
    onnx.checker.check_model(model, full_check=True)
    _compare(model, {name: tensor for name, (tensor, _) in inputs.items()}, outputs)
    return bytes(model.SerializeToString())


def _compare(model: object, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> None:
    """Refuse a graph whose tensors are not called or shaped as they should be."""
    from onnx import ModelProto, ValueInfoProto, helper

    assert isinstance(model, ModelProto)

    def found(value: ValueInfoProto) -> Tensor:
        kind = value.type.tensor_type
        shape = tuple(axis.dim_param or int(axis.dim_value) for axis in kind.shape.dim)
        return Tensor(helper.tensor_dtype_to_np_dtype(kind.elem_type).name, shape)

    for expected, values in ((inputs, model.graph.input), (outputs, model.graph.output)):
        there = {value.name: found(value) for value in values}
        if there != dict(expected):
            raise RuntimeError(f"the exported graph has {there}, not {dict(expected)}")


@contextlib.contextmanager
def _quiet() -> Generator[None, None, None]:
    """Silence torch's exporter, which prints progress and deprecation warnings."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir", "onnxscript")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), quiet_stdout():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
