"""What poses and draws an avatar: numba on the CPU, ONNX Runtime, TensorRT or TensorRT for RTX."""
