"""What the program is made of: compiled kernels, model files, codecs, settings."""

from __future__ import annotations

import importlib
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np

from perse_live.arrays import UInt8Array
from perse_live.assets import (
    ASSETS,
    FOLDER_VARIABLE,
    OFFLINE_VARIABLE,
    optional_asset_path,
    user_cache,
)
from perse_live.errors import UserError, one_line
from runtime.doctor.finding import Finding, never_raising

_SIZE, _FRAMES = 512, 10  # of the pictures that codecs are tried with
_SLOW_ENCODER = 15.0  # milliseconds a picture: half the time there is at 30 a second


@never_raising("compiled kernels")
def kernels() -> Finding:
    """Whether Numba compiles here, and keeps what it compiled."""
    name = "compiled kernels"
    start = perf_counter()
    from runtime.doctor.kernel_probe import cache_folder, works

    if not works():
        return Finding(
            name,
            "problem",
            f"Numba {version('numba')} computes wrongly on this machine",
            "reinstall it: pip install --force-reinstall numba llvmlite",
        )
    taken, folder = perf_counter() - start, cache_folder()
    if folder is None:
        return Finding(
            name,
            "problem",
            "no folder for compiled code can be written to, so that each start compiles it again",
            "set NUMBA_CACHE_DIR to a folder that you may write to",
        )
    return Finding(
        name,
        "ok",
        f"Numba {version('numba')} works after {taken:.1f} s, and keeps its code in {folder}",
    )


@never_raising("cache folder")
def cache() -> Finding:
    """Whether what is fetched can be kept."""
    advice = "set XDG_CACHE_HOME to a folder that you may write to"
    try:
        folder = user_cache()
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (UserError, OSError) as error:
        return Finding("cache folder", "problem", one_line(error), advice)
    return Finding("cache folder", "ok", str(folder))


def model_file(name: str, *, needed: bool) -> Finding:
    """Whether a model file is there and whole. name: a key of `ASSETS`; needed: whether live sessions cannot do without."""
    asset = ASSETS[name]
    title = f"file {asset.file_name}"

    @never_raising(title)
    def look() -> Finding:
        size = f"{asset.size / 1e6:.1f} MB, {asset.purpose}"
        path = optional_asset_path(name)
        if path is not None:
            return Finding(title, "ok", f"{path} ({size})")
        if not asset.sources:
            return Finding(title, "ok", f"not here ({size})")
        if os.environ.get(OFFLINE_VARIABLE, "") not in ("", "0"):
            return Finding(
                title,
                "problem" if needed else "warning",
                f"not here ({size}), and {OFFLINE_VARIABLE} forbids to fetch it",
                f"run once without {OFFLINE_VARIABLE}",
            )
        return Finding(
            title, "ok", f"not here yet ({size}): fetched at the first use from {asset.sources[0]}"
        )

    return look()


@never_raising("segmentation")
def segmentation() -> Finding:
    """Which of two ways a build tells hair, skin and clothes apart."""
    asset = ASSETS["selfie_multiclass"]
    if optional_asset_path("selfie_multiclass") is not None:
        return Finding(
            "segmentation", "ok", f"builds tell hair, skin and clothes apart with {asset.file_name}"
        )
    return Finding(
        "segmentation",
        "ok",
        "builds tell hair, skin and clothes apart by colours and the fitted head; they use"
        f" {asset.file_name} where {FOLDER_VARIABLE} names a folder with it",
    )


@never_raising("settings")
def settings(path: Path | None = None) -> Finding:
    """Whether the user's settings file can be used. path: None for the usual one."""
    from runtime.live.settings import load_settings, settings_path

    file = path or settings_path()
    load_settings(path)
    return Finding(
        "settings", "ok", str(file) if file.exists() else f"no {file}: everything is as by default"
    )


@never_raising("WebRTC")
def webrtc() -> Finding:
    """Whether the libraries that stream to browsers are there."""
    for name in ("aiortc", "aiohttp"):
        try:
            importlib.import_module(name)
        except Exception as error:  # a native part may fail in any way
            return Finding(
                "WebRTC",
                "problem",
                f"{name} cannot be used: {one_line(error)}",
                f"pip install --force-reinstall {name}",
            )
    return Finding("WebRTC", "ok", f"aiortc {version('aiortc')}, aiohttp {version('aiohttp')}")


def codec(library: str) -> Finding:
    """Whether an encoder really encodes, and how fast. library: "libvpx" (VP8) or "libx264" (H.264)."""
    title = f"codec {library}"

    @never_raising(title)
    def look() -> Finding:
        from runtime.live.i420 import to_i420
        from runtime.web.codec import EncodeConfig, PictureEncoder

        encoder = PictureEncoder(EncodeConfig(codec="vp8" if library == "libvpx" else "h264"))
        times: list[float] = []
        total = 0
        for number, picture in enumerate(_moving_pictures()):
            start = perf_counter()
            try:
                packet = encoder.encode(to_i420(picture), number * 3000, keyframe=number == 0)
            except (OSError, ValueError) as error:  # FFmpeg's errors are among them
                return Finding(
                    title,
                    "problem",
                    f"PyAV {version('av')} cannot encode with it: {one_line(error)}",
                    "reinstall the wheel, which brings its own FFmpeg: pip install --force-reinstall av",
                )
            times.append(1000 * (perf_counter() - start))
            total += packet.size
        found = (
            f"{np.median(times):.1f} ms a picture (median of {_FRAMES} synthetic ones of {_SIZE}x{_SIZE},"
            f" {total / 1000:.0f} kB in all)"
        )
        if np.median(times) > _SLOW_ENCODER:
            return Finding(
                title,
                "warning",
                found,
                "choose the other codec if it is quicker, or draw smaller (--size 384)",
            )
        return Finding(title, "ok", found)

    return look()


def _moving_pictures() -> list[UInt8Array]:
    """(512, 512, 3) each: soft shapes that drift, about as hard to encode as a head on a plain ground."""
    y, x = np.mgrid[0:_SIZE, 0:_SIZE].astype(np.float32) / _SIZE
    pictures: list[UInt8Array] = []
    for number in range(_FRAMES):
        shift = 0.01 * number
        face = np.exp(-((((x - 0.5 - shift) / 0.22) ** 2 + ((y - 0.5) / 0.3) ** 2) ** 2))
        hair = 0.15 * np.sin(90 * (x - shift) + 8 * np.sin(9 * y)) * (1 - face)
        channels = [np.clip(0.25 + weight * face + hair, 0, 1) for weight in (0.6, 0.45, 0.35)]
        pictures.append((255 * np.stack(channels, -1)).astype(np.uint8))
    return pictures
