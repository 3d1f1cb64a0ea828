"""The avatar's arithmetic as torch modules, from which the ONNX graphs are made."""

OPSET = 18
"""Of the graphs: known to every ONNX runtime and TensorRT of the last years."""
