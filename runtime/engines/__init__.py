"""Engines that pose and draw an avatar: numba on the CPU, ONNX Runtime, TensorRT or TensorRT for RTX."""
