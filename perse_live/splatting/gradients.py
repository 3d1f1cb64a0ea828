"""Pictures of Gaussians on the CPU with gradients, as plain arrays: for optimisation loops that need no autograd."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import Float32Array
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.splatting._stages import FlatGaussians, Stages, flatten

_BLACK = (0.0, 0.0, 0.0)


class SplatGradients:
    """Renders Gaussians on black, and computes gradients of a loss of the picture; `autograd.splat` does the same in torch."""

    def __init__(self, camera: Camera, *, threads: int) -> None:
        """camera: of all pictures; threads: including the calling thread. Raises ValueError if there are none."""
        self._camera = camera
        self._stages = Stages(camera.width, camera.height, threads=threads)
        self._image = np.empty((camera.height, camera.width, 4), np.float32)
        self._flat: FlatGaussians | None = None

    def draw(self, gaussians: Gaussians) -> Float32Array:
        """(H, W, 4) colour over black, and alpha; valid until the next call. Raises ValueError as `autograd.splat`."""
        self._flat = flatten(gaussians)
        self._stages.assign(self._flat, self._camera)
        self._stages.blend_float(_BLACK, self._image.reshape(-1))
        return self._image

    def gradients(self, by_image: Float32Array) -> Gaussians:
        """Gradients of a loss by the Gaussians last drawn. by_image: (H, W, 4) of the loss by that picture."""
        if self._flat is None:
            raise ValueError("nothing has been drawn yet")
        count = len(self._flat.opacities)
        flat = self._stages.backward(
            self._flat, self._camera, self._image.reshape(-1), by_image.reshape(-1)
        )
        return Gaussians(
            *(array.reshape(count, -1) if array is not flat.opacities else array for array in flat)
        )
