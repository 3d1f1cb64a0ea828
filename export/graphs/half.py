"""A graph's half-precision version: its matrix products in float16, everything else as it was.

In these graphs matrix products add up displacements of a few centimetres and changes of colour, and run the attributes'
network: 11 bits of mantissa hold them to 0.01 mm and a quarter of a step of 8-bit colour. What is a place stays in single
precision, because at a camera's distance of 1 m half precision has steps of 1 mm, as long as a triangle's edge. Inputs and
outputs stay float32, as gsplat wants them.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.shape_inference import infer_shapes

_PRODUCTS = ("MatMul", "Gemm")


def with_half_products(content: bytes, half_inputs: Collection[str] = ()) -> bytes:
    """An ONNX file whose products take and give float16, between casts; constants that only they use are stored so.

    half_inputs: names of inputs that only products read, to be float16 themselves.

    Raises ValueError where a constant does not fit into half precision.
    """
    model = onnx.load_model_from_string(content)
    graph = model.graph
    constants = {one.name: one for one in graph.initializer}
    readers: dict[str, set[str]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    nodes: list[onnx.NodeProto] = []
    halves: dict[str, str] = {}
    for node in graph.node:
        if node.op_type not in _PRODUCTS:
            nodes.append(node)
            continue
        for index, name in enumerate(node.input):
            if name not in halves:
                halves[name] = f"{name}_half"
                only_products = readers[name] <= set(_PRODUCTS)
                if name in constants and only_products:
                    _halve(graph, constants[name], halves[name])
                elif name in half_inputs and only_products:
                    halves[name] = name
                    next(
                        one for one in graph.input if one.name == name
                    ).type.tensor_type.elem_type = TensorProto.FLOAT16
                else:
                    nodes.append(_cast(name, halves[name], TensorProto.FLOAT16))
            node.input[index] = halves[name]
        whole = node.output[0]
        node.output[0] = f"{whole}_half"
        nodes.extend([node, _cast(node.output[0], whole, TensorProto.FLOAT)])
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    model = infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _cast(name: str, to: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [name], [to], name=f"cast_to_{to}", to=kind)


def _halve(graph: onnx.GraphProto, constant: onnx.TensorProto, name: str) -> None:
    values = numpy_helper.to_array(constant)
    if np.abs(values).max(initial=0.0) > np.finfo(np.float16).max:
        raise ValueError(f"the constant {constant.name} does not fit into half precision")
    graph.initializer.remove(constant)
    graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), name))
