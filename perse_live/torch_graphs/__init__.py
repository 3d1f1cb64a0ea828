"""The avatar's arithmetic as torch modules: exported as ONNX graphs, and run as they are by the engine `torch`."""
