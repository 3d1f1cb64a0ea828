"""ONNX graphs of the torch modules in `perse_live.torch_graphs`."""

OPSET = 18
"""Of the graphs: known to every ONNX runtime and TensorRT of the last years."""
