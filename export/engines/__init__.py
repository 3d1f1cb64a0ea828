"""An avatar's graphs as ONNX files and as engines of NVIDIA's compilers."""
