"""The same splatting on an NVIDIA GPU, by gsplat."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

import torch

from perse_live.arrays import Float32Array, UInt8Array
from perse_live.camera import Camera
from perse_live.device import DEVICE_LOCK, DeviceStream, Packed
from perse_live.errors import gist
from perse_live.gaussians import Gaussians
from perse_live.quiet import stdout_to_stderr
from perse_live.splatting._checks import (
    NOT_FINITE,
    Background,
    check_arrays,
    check_background,
    check_camera,
    check_size,
)
from perse_live.splatting._layout import EPS2D, NEAR_PLANE
from perse_live.splatting.reference import rasterize_reference
from perse_live.splatting.toolchain import compiler_obstacles, is_compiled, scripts_on_path

_TOLERANCE = 2 / 255  # largest difference of a channel between gsplat's picture and the reference's


@functools.cache
def cuda_obstacles() -> tuple[str, ...]:
    """Why gsplat cannot draw here, one clause each; empty if it can.

    Draws a small picture and compares it with the CPU's. The first time on a machine gsplat compiles its kernels, for minutes;
    whatever the outcome, it is kept for the rest of the process.
    """
    causes: list[str] = []
    if not torch.cuda.is_available():
        causes.append(
            "torch is built without CUDA"
            if torch.version.cuda is None
            else f"torch finds no CUDA device: it needs an NVIDIA GPU and a driver for CUDA {torch.version.cuda}"
        )
    with stdout_to_stderr(), scripts_on_path():
        try:
            import gsplat  # pyright: ignore[reportMissingImports, reportUnusedImport]  # noqa: F401
        except Exception as error:
            # a broken build raises anything from ImportError to RuntimeError
            causes.append(f"gsplat does not load ({gist(error)})")
        else:
            if not causes:
                causes.extend(compiler_obstacles())
        if not causes:
            try:
                off = _difference("cuda")
            except Exception as error:
                causes.append(f"gsplat does not draw ({gist(error)})")
            else:
                if not off <= _TOLERANCE:
                    causes.append(f"gsplat draws another picture than the CPU (by {off:.3f} of 1)")
    return tuple(causes)


def quick_obstacles() -> dict[str, str | bool]:
    """As `cuda_obstacles`, but without compiling for minutes: "causes" in one text, and "compiled": whether all is tried out."""
    with scripts_on_path():
        causes, compiled = compiler_obstacles(), is_compiled()
    if compiled and not causes:
        causes = list(cuda_obstacles())
    return {"causes": "; ".join(causes), "compiled": compiled}


def _difference(device: str) -> float:
    """The largest difference between gsplat's picture of three Gaussians and the reference's."""
    camera, background = Camera(24, 16, 20.0, 20.0, 12.0, 8.0), (0.1, 0.6, 0.3)
    scene: tuple[Any, ...] = (
        torch.tensor([[0.0, 0.0, 1.0], [0.2, 0.1, 1.2], [-0.2, -0.1, 0.9]]),
        torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.9, 0.1, 0.2, 0.3], [0.5, -0.5, 0.1, 0.2]]),
        torch.tensor([[0.1, 0.1, 0.1], [0.2, 0.05, 0.1], [0.05, 0.1, 0.2]]),
        torch.tensor([0.9, 0.5, 0.7]),
        torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.5], [0.2, 0.3, 1.0]]),
    )
    with torch.no_grad():
        screen = screen_of(camera, background, torch.device(device))
        there: tuple[Any, ...] = tuple(tensor.to(device) for tensor in scene)
        found = torch.cat(draw(screen, *there), -1).cpu()  # waits, so that faults come up here
        return float(
            (found - rasterize_reference(*scene, camera=camera, background=background)).abs().max()
        )


@dataclass(frozen=True, eq=False)
class Screen:
    """A camera and a background as gsplat takes them, on a device: made once, used for every frame."""

    width: int
    height: int
    viewmats: torch.Tensor
    """(1, 4, 4)"""
    intrinsics: torch.Tensor
    """(1, 3, 3) pixels."""
    backgrounds: torch.Tensor
    """(1, 3) sRGB."""


def screen_of(camera: Camera, background: Background, device: torch.device) -> Screen:
    """Upload a camera and a background, in one copy on torch's current stream, which is not waited for."""
    eye = [float(row == column) for row in range(4) for column in range(4)]
    values = [
        *eye,
        camera.fx,
        0.0,
        camera.cx,
        0.0,
        camera.fy,
        camera.cy,
        0.0,
        0.0,
        1.0,
        *background,
    ]
    host = torch.tensor(values, dtype=torch.float32, pin_memory=device.type == "cuda")
    there = host.to(device, non_blocking=True)
    return Screen(
        camera.width,
        camera.height,
        there[:16].view(1, 4, 4),
        there[16:25].view(1, 3, 3),
        there[25:].view(1, 3),
    )


def draw(
    screen: Screen,
    means: torch.Tensor,
    quats: torch.Tensor,
    scales: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Call gsplat on arrays that were checked: (G, 3), (G, 4), (G, 3), (G,), (G, 3), all on the screen's device.

    gsplat reads back how many tiles the Gaussians meet, and holds Python's global lock while it waits for that: wait for the
    arrays first. Returns colours over the background (H, W, 3), and alphas (H, W, 1).
    """
    size = (screen.height, screen.width)
    if not len(means):
        return screen.backgrounds.expand(*size, 3), means.new_zeros(*size, 1)
    from gsplat import rasterization  # pyright: ignore[reportMissingImports]

    # packed=False: packing saves memory only where many cameras each see a small part of the scene
    rgb, alpha, _ = cast("Any", rasterization)(
        means,
        quats,
        scales,
        opacities,
        colors,
        screen.viewmats,
        screen.intrinsics,
        screen.width,
        screen.height,
        near_plane=NEAR_PLANE,
        eps2d=EPS2D,
        packed=False,
        backgrounds=screen.backgrounds,
        rasterize_mode="classic",
    )
    return rgb[0], alpha[0]


@functools.lru_cache(maxsize=64)
def _kept_screen(
    camera: Camera, background: Background, device: torch.device, stream: int
) -> Screen:
    """As `screen_of`; stream: the current one's handle, as another stream would have to wait for the upload."""
    del stream
    return screen_of(camera, background, device)


def splat(
    means: torch.Tensor,
    quats: torch.Tensor,
    scales: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor,
    camera: Camera,
    *,
    background: Background,
    threads: int,
) -> torch.Tensor:
    """`perse_live.splatting.autograd.splat` for tensors on a CUDA device.

    Shapes, ranges and gradients as there; `threads` is taken so that one can stand for the other, and has no effect. Returns
    (H, W, 4) float32 on the same device. Raises ValueError for wrong shapes or types, tensors elsewhere, and numbers that are not
    finite (finding these waits for the device).
    """
    tensors = (means, quats, scales, opacities, colors)
    check_arrays(*tensors)
    check_camera(camera, camera.width, camera.height)
    if any(tensor.device.type != "cuda" for tensor in tensors):
        raise ValueError("all arrays must be on a CUDA device")
    if not bool(_all_finite(tensors)):
        raise ValueError(NOT_FINITE)
    screen = _kept_screen(
        camera, check_background(background), means.device, torch.cuda.current_stream().cuda_stream
    )
    return torch.cat(draw(screen, *tensors), -1)


def _all_finite(tensors: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return torch.stack([tensor.isfinite().all() for tensor in tensors]).all()


class CudaRasterizer:
    """`CpuRasterizer` on a GPU: the same methods, results and errors.

    Stages are upload, draw and download; the last includes rounding to bytes. Gaussians go up in one copy and the picture comes
    down in one, both from page-locked memory. The arrays that the methods return are work buffers.
    """

    def __init__(self, width: int, height: int, *, device: str = "cuda") -> None:
        """width, height: of the pictures, pixels. Raises ValueError if not positive; `cuda_obstacles` must be empty."""
        check_size(width, height, 1)
        self._width, self._height = width, height
        self._times: dict[str, float] = {}
        self._device = device
        self._painter: DevicePainter | None = None

    def render(self, gaussians: Gaussians, camera: Camera, *, background: Background) -> UInt8Array:
        """The Gaussians over a background (sRGB); (H, W, 3) RGB. Raises as `Rasterizer` says."""
        return self._run(gaussians, camera, background, "rgb")

    def render_rgba(self, gaussians: Gaussians, camera: Camera) -> UInt8Array:
        """The Gaussians alone; (H, W, 4) RGBA, the colour PREMULTIPLIED by alpha. Raises as `Rasterizer` says."""
        return self._run(gaussians, camera, (0.0, 0.0, 0.0), "rgba")

    def render_float(
        self, gaussians: Gaussians, camera: Camera, *, background: Background
    ) -> Float32Array:
        """As `render`, neither rounded nor clamped; (H, W, 4) colour over the background, alpha."""
        return self._run(gaussians, camera, background, "float")

    def stage_times(self) -> dict[str, float]:
        """Milliseconds that the last call spent on upload, draw and download; empty before the first."""
        return dict(self._times)

    def _run(self, gaussians: Gaussians, camera: Camera, background: Background, kind: str) -> Any:
        arrays = (
            gaussians.means,
            gaussians.quats,
            gaussians.scales,
            gaussians.opacities,
            gaussians.colors,
        )
        check_arrays(*arrays)
        check_camera(camera, self._width, self._height)
        background = check_background(background)
        if self._painter is None:
            stream = DeviceStream(self._device)
            self._painter, self._stream = DevicePainter(self._width, self._height, stream), stream
            self._scene: Packed | None = None
            self._finite = stream.host(1, dtype=torch.bool)
        begin = perf_counter()
        with torch.no_grad(), DEVICE_LOCK, self._stream.active():
            scene = self._scene
            if scene is None or len(scene.on_host["0"]) != len(gaussians):
                layout = {
                    str(k): (tuple(array.shape), torch.float32) for k, array in enumerate(arrays)
                }
                scene = self._scene = Packed(layout, self._stream)
            scene.fill({str(k): array for k, array in enumerate(arrays)})
            tensors = tuple(scene.on_device.values())
            self._finite.copy_(_all_finite(tensors)[None], non_blocking=True)
        self._stream.wait()
        if not bool(self._finite[0]):
            raise ValueError(NOT_FINITE)
        uploaded = perf_counter()
        picture, times = self._painter.paint(tensors, camera, background, kind)
        self._times = {"upload": (uploaded - begin) * 1e3, **times}
        return picture


class DevicePainter:
    """gsplat on tensors that are on the device already; a picture is all that comes down."""

    def __init__(self, width: int, height: int, stream: DeviceStream) -> None:
        """width, height: pixels; stream: on which the tensors are written, too."""
        self._size, self._stream = (height, width), stream
        self._pictures: dict[str, torch.Tensor] = {}
        self._screens: dict[Background, tuple[Camera, Screen]] = {}

    def paint(
        self, tensors: tuple[Any, ...], camera: Camera, background: Background, kind: str
    ) -> tuple[Any, dict[str, float]]:
        """Means, quaternions, scales, opacities and colours as a picture, and milliseconds that drawing and downloading took.

        kind: "rgb" (H, W, 3) and "rgba" (H, W, 4) in bytes, "float" (H, W, 4) neither rounded nor clamped; work buffers.
        """
        if (camera.height, camera.width) != self._size:
            raise ValueError(
                f"the camera's picture is {camera.width} x {camera.height}, the rasteriser's {self._size[1]} x"
                f" {self._size[0]}"
            )
        if kind not in self._pictures:
            channels, dtype = (
                (3 if kind == "rgb" else 4),
                (torch.float32 if kind == "float" else torch.uint8),
            )
            self._pictures[kind] = self._stream.host(*self._size, channels, dtype=dtype)
        picture = self._pictures[kind]
        self._stream.wait()  # for the tensors; gsplat would wait for them with Python's global lock held
        begin = perf_counter()
        with torch.no_grad(), DEVICE_LOCK, self._stream.active():
            rgb, alpha = draw(self._screen(camera, background), *tensors)
            image = rgb if kind == "rgb" else torch.cat([rgb, alpha], -1)
            drawn = perf_counter()
            picture.copy_(image if kind == "float" else _to_bytes(image), non_blocking=True)
        self._stream.wait()
        return picture.numpy(), {
            "draw": (drawn - begin) * 1e3,
            "download": (perf_counter() - drawn) * 1e3,
        }

    def _screen(self, camera: Camera, background: Background) -> Screen:
        kept = self._screens.get(background)
        if kept is None or kept[0] != camera:
            if len(self._screens) > 8:  # backgrounds that fade
                self._screens.clear()
            kept = self._screens[background] = (
                camera,
                screen_of(camera, background, self._stream.device),
            )
        return kept[1]


def _to_bytes(image: torch.Tensor) -> torch.Tensor:
    return (image.clamp(0, 1) * 255 + 0.5).to(torch.uint8)
