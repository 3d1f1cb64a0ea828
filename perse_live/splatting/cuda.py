"""The same splatting on an NVIDIA GPU, by gsplat."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

import torch

from perse_live.arrays import Float32Array, UInt8Array
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.splatting._checks import NOT_FINITE, Background, check_arrays, check_background, check_camera, check_size
from perse_live.splatting._layout import EPS2D, NEAR_PLANE


def cuda_obstacles() -> list[str]:
    """Why gsplat cannot draw here, one clause each; empty if it can. Compiles gsplat's kernels if its wheel has none."""
    causes: list[str] = []
    if not torch.cuda.is_available():
        causes.append("torch finds no CUDA device")
    try:
        import gsplat  # pyright: ignore[reportMissingImports, reportUnusedImport]  # noqa: F401
    except Exception as error:  # a broken build raises anything from ImportError to RuntimeError
        causes.append(f"gsplat does not load ({type(error).__name__}: {error})".replace("\n", " "))
    if not causes:
        try:
            one = torch.ones(1, 3, device="cuda")
            draw(one, torch.ones(1, 4, device="cuda"), one, one[:, 0], one, Camera(8, 8, 8.0, 8.0, 4.0, 4.0), (0.0, 0.0, 0.0))
        except Exception as error:
            causes.append(f"gsplat does not draw ({type(error).__name__}: {error})".replace("\n", " "))
    return causes


def draw(means: torch.Tensor, quats: torch.Tensor, scales: torch.Tensor, opacities: torch.Tensor, colors: torch.Tensor,
         camera: Camera, background: Background) -> torch.Tensor:
    """Call gsplat on arrays that were checked: (G, 3), (G, 4), (G, 3), (G,), (G, 3), all on one device. Returns (H, W, 4)."""
    over = means.new_tensor(background)
    if not len(means):
        return torch.cat([over, over.new_zeros(1)]).expand(camera.height, camera.width, 4)
    from gsplat import rasterization  # pyright: ignore[reportMissingImports]

    intrinsics = means.new_tensor([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    # packed=False: packing saves memory only where many cameras each see a small part of the scene
    rgb, alpha, _ = cast("Any", rasterization)(
        means, quats, scales, opacities, colors, torch.eye(4, device=means.device)[None], intrinsics[None], camera.width,
        camera.height, near_plane=NEAR_PLANE, eps2d=EPS2D, packed=False, backgrounds=over[None], rasterize_mode="classic")
    return torch.cat([rgb[0], alpha[0]], -1)


def splat(means: torch.Tensor, quats: torch.Tensor, scales: torch.Tensor, opacities: torch.Tensor, colors: torch.Tensor,
          camera: Camera, *, background: Background, threads: int) -> torch.Tensor:
    """`perse_live.splatting.autograd.splat` for tensors on a CUDA device.

    Shapes, ranges and gradients as there; `threads` is taken so that one can stand for the other, and has no effect. Returns
    (H, W, 4) float32 on the same device. Raises ValueError for wrong shapes or types, tensors elsewhere, and numbers that are not
    finite (finding these waits for the device).
    """
    check_arrays(means, quats, scales, opacities, colors)
    check_camera(camera, camera.width, camera.height)
    tensors = (means, quats, scales, opacities, colors)
    if any(tensor.device.type != "cuda" for tensor in tensors):
        raise ValueError("all arrays must be on a CUDA device")
    _refuse_unfinite(tensors)
    return draw(*tensors, camera, check_background(background))


def _refuse_unfinite(tensors: tuple[torch.Tensor, ...]) -> None:
    if not bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all()):
        raise ValueError(NOT_FINITE)


class CudaRasterizer:
    """`CpuRasterizer` on a GPU: the same methods, results and errors, in arrays of their own.

    Stages are upload, draw and download; the last includes rounding to bytes.
    """

    def __init__(self, width: int, height: int) -> None:
        """width, height: of the pictures, pixels. Raises ValueError if not positive; `cuda_obstacles` must be empty."""
        check_size(width, height, 1)
        self._width, self._height = width, height
        self._times: dict[str, float] = {}

    def render(self, gaussians: Gaussians, camera: Camera, *, background: Background) -> UInt8Array:
        """The Gaussians over a background (sRGB); (H, W, 3) RGB. Raises as `Rasterizer` says."""
        return self._run(gaussians, camera, background, lambda image: _to_bytes(image[..., :3]))

    def render_rgba(self, gaussians: Gaussians, camera: Camera) -> UInt8Array:
        """The Gaussians alone; (H, W, 4) RGBA, the colour PREMULTIPLIED by alpha. Raises as `Rasterizer` says."""
        return self._run(gaussians, camera, (0.0, 0.0, 0.0), _to_bytes)

    def render_float(self, gaussians: Gaussians, camera: Camera, *, background: Background) -> Float32Array:
        """As `render`, neither rounded nor clamped; (H, W, 4) colour over the background, alpha."""
        return self._run(gaussians, camera, background, torch.Tensor.contiguous)

    def stage_times(self) -> dict[str, float]:
        """Milliseconds that the last call spent on upload, draw and download; empty before the first."""
        return dict(self._times)

    def _run(self, gaussians: Gaussians, camera: Camera, background: Background,
             finish: Callable[[torch.Tensor], torch.Tensor]) -> Any:
        arrays = (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.colors)
        check_arrays(*arrays)
        check_camera(camera, self._width, self._height)
        background = check_background(background)
        begin = perf_counter()
        with torch.no_grad():
            means, quats, scales, opacities, colors = tensors = tuple(torch.tensor(array, device="cuda") for array in arrays)
            _refuse_unfinite(tensors)
            uploaded = perf_counter()
            image = draw(means, quats, scales, opacities, colors, camera, background)
            torch.cuda.synchronize()
            drawn = perf_counter()
            result = finish(image).cpu().numpy()
        self._times = {"upload": (uploaded - begin) * 1e3, "draw": (drawn - uploaded) * 1e3,
                       "download": (perf_counter() - drawn) * 1e3}
        return result


def _to_bytes(image: torch.Tensor) -> torch.Tensor:
    return (image.clamp(0, 1) * 255 + 0.5).to(torch.uint8)
