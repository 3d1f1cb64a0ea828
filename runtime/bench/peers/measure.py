"""How fast other viewers draw an exported avatar in Chromium's software WebGL, and how fast we draw it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image

from perse_live.arrays import BoolArray, UInt8Array
from perse_live.errors import UserError, one_line
from perse_live.gaussians import Gaussians
from perse_live.splatting.cpu import CpuRasterizer
from runtime.bench.live.chromium import chromium_executable, chromium_missing
from runtime.bench.peers.site import FLAGS, PACKAGES, viewer_site
from runtime.bench.peers.view import WHITE, peer_camera, seen

SIZE = 512
"""Width and height of the picture, pixels."""
_FRAMES, _TURN = 60, 20.0  # of one way there and back, and how far to either side, degrees
_SECONDS = 10.0  # for which a viewer is measured at most, unless a frame takes longer
_PATIENCE = 300_000  # ms until a viewer must be ready
_SHOWN = 200  # of 255, darkest channel below which a pixel shows the head on white
# Of the pixels that either shows; a viewer that draws less alike draws something else
_MIN_OVERLAP = 0.7


@dataclass(frozen=True)
class PeerBench:
    """One viewer's figures, or why there are none."""

    viewer: str
    """Its name and version."""
    fps: float
    """Frames per second, all work of a frame included; 0 where there are none."""
    median_ms: float
    """Of a frame's drawing."""
    frames: int
    """How many were measured."""
    overlap: float
    """Intersection over union of what its picture and ours show; 1 is the same outline."""
    obstacle: str = ""
    """Why it was not measured."""


@dataclass(frozen=True)
class PeerBenches:
    """All viewers on the same Gaussians, the same picture size and the same path of the camera."""

    gaussians: int
    threads: int
    """That our drawing may use; the browser takes what it wants."""
    browser: str
    """Chromium's version, and what its WebGL draws with."""
    viewers: tuple[PeerBench, ...]
    """Ours first."""


def bench_peers(
    gaussians: Gaussians, ply: bytes, *, offline: bool, progress: Callable[[str, float], None]
) -> PeerBenches:
    """Measure how fast the head is drawn while the camera goes round it by 20 degrees to either side.

    gaussians: head frame; ply: the same as a file, which the viewers show; offline: npm may fetch nothing; progress: told what is
    being done and which fraction of it. Raises UserError, one line, where Chromium, playwright or npm is missing.
    """
    if obstacle := chromium_missing():
        raise UserError(f"other viewers need a browser: {obstacle}")
    from playwright.sync_api import Error, sync_playwright

    threads = min(os.cpu_count() or 1, 4)
    angles = (_TURN * np.sin(np.linspace(0, 2 * np.pi, _FRAMES, endpoint=False))).tolist()
    expected, ours = _measure_ours(gaussians, angles, threads, progress)
    found, browser_name = [ours], ""
    progress("fetching other viewers", 0.0)
    with viewer_site({"head.ply": ply}, offline=offline) as site, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium_executable(), args=list(FLAGS))
        try:
            for name, package in PACKAGES.items():
                progress(f"measuring {name}", 0.0)
                version = package.lstrip("@").split("/")[-1].replace("@", " ")
                try:
                    result, graphics = _measure_page(
                        browser, f"{site}/{name}.html?file=head.ply&size={SIZE}", angles
                    )
                except Error as error:
                    found.append(PeerBench(version, 0.0, 0.0, 0, 0.0, one_line(error.message, 200)))
                    continue
                browser_name = f"Chromium {browser.version}, {graphics}"
                times, wall, picture = result
                overlap = _overlap(expected, picture)
                obstacle = "" if overlap >= _MIN_OVERLAP else "it draws something else"
                found.append(
                    PeerBench(
                        version,
                        1000 * len(times) / wall,
                        float(np.median(times)),
                        len(times),
                        overlap,
                        obstacle,
                    )
                )
                progress(f"measuring {name}", 1.0)
        finally:
            browser.close()
    return PeerBenches(len(gaussians), threads, browser_name, tuple(found))


def _measure_ours(
    gaussians: Gaussians, angles: list[float], threads: int, progress: Callable[[str, float], None]
) -> tuple[UInt8Array, PeerBench]:
    camera, rasterizer = peer_camera(SIZE), CpuRasterizer(SIZE, SIZE, threads=threads)
    progress("measuring perse-live", 0.0)
    for degrees in angles[:10]:  # compiles at first
        rasterizer.render(seen(gaussians, degrees), camera, background=WHITE)
    times: list[float] = []
    for degrees in angles:
        start = perf_counter()
        rasterizer.render(seen(gaussians, degrees), camera, background=WHITE)
        times.append(1000 * (perf_counter() - start))
    progress("measuring perse-live", 1.0)
    picture = rasterizer.render(seen(gaussians, 0.0), camera, background=WHITE).copy()
    return picture, PeerBench(
        "perse-live", 1000 * len(times) / sum(times), float(np.median(times)), len(times), 1.0
    )


def _measure_page(
    browser: Any, address: str, angles: list[float]
) -> tuple[tuple[list[float], float, UInt8Array], str]:
    """Milliseconds of each frame, of all of them, the view from the front; and what draws."""
    page = browser.new_page(viewport={"width": SIZE, "height": SIZE})
    try:
        page.set_default_timeout(_PATIENCE)
        page.goto(address)
        page.wait_for_selector("body[data-ready=yes]")
        found = page.evaluate("([path, seconds]) => measure(path, seconds)", [angles, _SECONDS])
        picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    finally:
        page.close()
    return (found["times"], found["wall"], picture), str(found["graphics"])


def _overlap(one: UInt8Array, other: UInt8Array) -> float:
    """Intersection over union of what two pictures show on white."""
    first, second = _head(one), _head(other)
    return float((first & second).sum() / max(int((first | second).sum()), 1))


def _head(picture: UInt8Array) -> BoolArray:
    return np.asarray(picture.min(2) < _SHOWN)
