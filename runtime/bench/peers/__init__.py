"""Benchmark of other splat viewers in a real browser against ours: same file, picture size and camera path."""
