from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from splat_scenes import make_camera, make_gaussians, synthetic_head, tensors

from perse_live.errors import UserError
from perse_live.splatting import CpuRasterizer, Rasterizer, backend, open_rasterizer
from perse_live.splatting.autograd import splat
from perse_live.splatting.cuda import CudaRasterizer, cuda_obstacles, draw, screen_of
from perse_live.splatting.cuda import splat as cuda_splat
from perse_live.splatting.reference import rasterize_reference
from stand_in_gsplat import StandInForGsplat

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")


def test_cpu_is_opened_when_asked_for() -> None:
    rasterizer: Rasterizer = open_rasterizer(40, 30, device="cpu", threads=2)
    assert isinstance(rasterizer, CpuRasterizer)
    image = rasterizer.render(
        make_gaussians(["ordinary"], 0), make_camera(40, 30), background=(0.0, 0.0, 0.0)
    )
    assert image.shape == (30, 40, 3)


@no_gpu
def test_auto_falls_back_to_the_cpu_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "perse_live.splatting"):
        assert isinstance(open_rasterizer(40, 30, device="auto", threads=1), CpuRasterizer)
    assert "CPU" in caplog.text


@no_gpu
def test_cuda_that_cannot_be_had_is_one_message() -> None:
    with pytest.raises(UserError, match=r"cannot draw on CUDA: .*perse-live\[cuda\]") as caught:
        open_rasterizer(40, 30, device="cuda", threads=1)
    assert "\n" not in str(caught.value)


def test_every_cause_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="torch is not installed; gsplat is not installed"):
        open_rasterizer(40, 30, device="cuda", threads=1)


@no_gpu
def test_obstacles_are_all_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gsplat", None)  # importing it fails
    cuda_obstacles.cache_clear()
    assert [cause.split(" ")[0] for cause in cuda_obstacles()] == ["torch", "gsplat"]


def test_the_live_path_never_imports_torch() -> None:
    code = (
        "import sys, perse_live.splatting; from perse_live.splatting import *; "
        "open_rasterizer(8, 8, device='cpu', threads=1); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_gsplat_is_called_as_the_cpu_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gsplat", StandInForGsplat("gsplat"))
    camera, background = make_camera(40, 30), (0.1, 0.6, 0.3)
    for kinds in (["ordinary", "thin"] * 20, []):
        leaves = tensors(make_gaussians(kinds, 0), dtype=torch.float32)
        image = torch.cat(draw(screen_of(camera, background, torch.device("cpu")), *leaves), -1)
        assert (
            image - splat(*leaves, camera=camera, background=background, threads=1)
        ).abs().max() < 1 / 255


def test_cuda_refuses_what_the_cpu_refuses() -> None:
    camera = make_camera(40, 30)
    leaves = tensors(make_gaussians(["ordinary"] * 3, 0), dtype=torch.float32)
    with pytest.raises(ValueError, match="CUDA"):
        cuda_splat(*leaves, camera=camera, background=(0.0, 0.0, 0.0), threads=1)
    with pytest.raises(ValueError, match="quats"):
        cuda_splat(
            leaves[0],
            leaves[1][:2],
            *leaves[2:],
            camera=camera,
            background=(0.0, 0.0, 0.0),
            threads=1,
        )
    with pytest.raises(ValueError, match="at least 1"):
        CudaRasterizer(0, 4)
    with pytest.raises(ValueError, match="40 x 30"):
        CudaRasterizer(4, 4, device="cpu").render(
            make_gaussians(["ordinary"], 0), camera, background=(0.0, 0.0, 0.0)
        )


@pytest.mark.gpu
def test_cuda_and_cpu_agree() -> None:
    gaussians, camera = synthetic_head(5000, 200, 180)
    on_gpu, on_cpu = CudaRasterizer(200, 180), CpuRasterizer(200, 180, threads=1)
    background = (0.1, 0.6, 0.3)
    difference = abs(
        on_gpu.render_float(gaussians, camera, background=background)
        - on_cpu.render_float(gaussians, camera, background=background)
    )
    assert np.quantile(difference, 0.999) < 1 / 255
    difference = abs(
        on_gpu.render_rgba(gaussians, camera).astype(int) - on_cpu.render_rgba(gaussians, camera)
    )
    assert np.quantile(difference, 0.999) <= 1
    leaves = [
        tensor.detach().cuda().requires_grad_()
        for tensor in tensors(gaussians, dtype=torch.float32)
    ]
    cuda_splat(*leaves, camera=camera, background=background, threads=1).square().sum().backward()  # pyright: ignore[reportUnknownMemberType]
    copies = tensors(gaussians, dtype=torch.float32)
    splat(*copies, camera=camera, background=background, threads=1).square().sum().backward()  # pyright: ignore[reportUnknownMemberType]
    for ours, theirs in zip(copies, leaves, strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert (ours.grad - theirs.grad.cpu()).norm() < 1e-2 * ours.grad.norm()


def test_the_reference_projects_as_gsplats_own_torch_code() -> None:
    """Blend gsplat's projected means, conics and depths by the rule of its CUDA kernel, pixel by pixel."""
    implementation: Any = pytest.importorskip("gsplat.cuda._torch_impl")
    camera = make_camera(30, 24)
    gaussians = make_gaussians(
        ["ordinary", "thin", "huge", "off screen", "behind", "opaque"] * 5, 4
    )
    means, quats, scales, opacities, colors = tensors(gaussians, dtype=torch.float64)
    covariances, _ = implementation._quat_scale_to_covar_preci(
        quats, scales, True, False, triu=False
    )
    intrinsics = torch.tensor(
        [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], dtype=torch.float64
    )
    radii, means2d, depths, conics, _ = implementation._fully_fused_projection(
        means, covariances, torch.eye(4, dtype=torch.float64)[None], intrinsics[None], 30, 24
    )
    shown = torch.nonzero((radii[0] > 0).all(-1))[:, 0]
    shown = shown[torch.argsort(depths[0, shown])].tolist()
    expected = torch.zeros(24, 30, 4, dtype=torch.float64)
    with torch.no_grad():
        for y in range(24):
            for x in range(30):
                transmittance = 1.0
                for g in shown:
                    dx, dy = (
                        torch.tensor([x + 0.5, y + 0.5], dtype=torch.float64) - means2d[0, g]
                    ).tolist()
                    a, b, c = conics[0, g].tolist()
                    alpha = min(
                        0.999,
                        float(opacities[g])
                        * float(np.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)),
                    )
                    if alpha < 1 / 255:
                        continue
                    if transmittance * (1 - alpha) <= 1e-4:
                        break
                    expected[y, x, :3] += alpha * transmittance * colors[g]
                    transmittance *= 1 - alpha
                expected[y, x, 3] = 1 - transmittance
        image = rasterize_reference(
            means, quats, scales, opacities, colors, camera, (0.0, 0.0, 0.0)
        )
    assert (image - expected).abs().max() < 1e-6


def test_the_synthetic_head_is_all_in_view_and_fills_half_of_it() -> None:
    gaussians, camera = synthetic_head(20_000, 512, 512)
    pixels = camera.project(gaussians.means)
    assert (pixels > 0).all()
    assert (pixels < 512).all()
    alpha = CpuRasterizer(512, 512, threads=1).render_rgba(gaussians, camera)[..., 3]
    assert 0.45 < (alpha > 10).mean() < 0.6
