"""How much of a picture each Gaussian draws."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import Float32Array
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.splatting._stages import Stages, flatten


def contributions(
    gaussians: Gaussians, camera: Camera, inside: Float32Array | None = None
) -> Float32Array:
    """The pixels that each Gaussian draws: the sum over the picture of its alpha times the transmittance before it.

    That is the gradient of the picture's sum by the Gaussian's colour (Kerbl et al. 2023, equation 3), and is had from the
    rasteriser's backward pass. gaussians: camera frame; inside: (H, W) weights of the pixels, None for 1 everywhere. Returns
    (G,) pixels >= 0, the same on every machine that rounds alike: one thread adds them up. Raises ValueError as the rasteriser.
    """
    flat = flatten(gaussians)
    stages = Stages(camera.width, camera.height, threads=1)
    stages.assign(flat, camera)
    image = np.empty(camera.height * camera.width * 4, np.float32)
    stages.blend_float((0.0, 0.0, 0.0), image)
    gradient = np.zeros((camera.height, camera.width, 4), np.float32)
    gradient[..., 0] = 1.0 if inside is None else inside
    by_colors = stages.backward(flat, camera, image, gradient.reshape(-1)).colors
    return np.maximum(by_colors[: 3 * len(gaussians) : 3], 0.0)
