"""Other people's splat viewers in a real browser, beside our own drawing: the same file, size and path of the camera."""
