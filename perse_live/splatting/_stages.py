"""The steps of drawing one picture on the CPU, with the buffers that pass between them."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from perse_live.arrays import Float32Array, UInt8Array
from perse_live.camera import Camera
from perse_live.gaussians import Gaussians
from perse_live.splatting._backward import blend_backward, project_backward
from perse_live.splatting._blend import blend_float, blend_rgb, blend_rgba
from perse_live.splatting._checks import (
    NOT_FINITE,
    Background,
    check_arrays,
    check_background,
    check_camera,
    check_size,
)
from perse_live.splatting._lanes import LANES
from perse_live.splatting._layout import CHUNK, RECORD, TILE
from perse_live.splatting._project import project_chunks
from perse_live.splatting._sort import DIGIT_VALUES, fill_tiles, sort_by_depth, start_tiles
from perse_live.team import team_of

_INFINITY_BITS = 0x7F800000
_SHARED_BIN_MIN = 30_000
"""Visible Gaussians from which sharing the filling of the tiles saves more than waking a helper costs (0.1 ms)."""


class FlatGaussians(NamedTuple):
    """The arrays of Gaussians as the kernels want them: contiguous, flat, at least 16."""

    means: Float32Array
    """(3 G,)"""
    quats: Float32Array
    """(4 G,)"""
    scales: Float32Array
    """(3 G,)"""
    opacities: Float32Array
    """(G,)"""
    colors: Float32Array
    """(3 G,)"""


def flatten(gaussians: Gaussians) -> FlatGaussians:
    """Check shapes and types, and lay the arrays flat; fewer than 16 are filled up with invisible ones.

    Raises ValueError naming the array that is wrong.
    """
    arrays = (
        gaussians.means,
        gaussians.quats,
        gaussians.scales,
        gaussians.opacities,
        gaussians.colors,
    )
    check_arrays(*arrays)
    count = len(gaussians)
    flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
    if 0 < count < LANES:
        flat = [
            np.concatenate([array, np.zeros(len(array) // count * (LANES - count), np.float32)])
            for array in flat
        ]
    return FlatGaussians(*flat)


def _aligned(shape: int, dtype: Any) -> Any:
    """An uninitialised flat array that begins at a cache line."""
    size = shape * np.dtype(dtype).itemsize
    memory = np.empty(size + 64, np.uint8)
    begin = -memory.ctypes.data % 64
    return memory[begin : begin + size].view(dtype)


class Stages:
    """Project, sort, bin and blend; each method needs the ones before it in the same picture."""

    def __init__(self, width: int, height: int, *, threads: int) -> None:
        """width, height: pixels; threads: including the calling thread. Raises ValueError if any is not positive or too large."""
        check_size(width, height, threads)
        self.width, self.height = width, height
        self.times: dict[str, float] = {}
        self.visible = 0
        self.total_entries = 0
        self._team = team_of(threads)
        self._claims = np.zeros(3, np.int64)
        tiles = -(-width // TILE) * -(-height // TILE)
        self._tile_counts = np.zeros((threads, tiles), np.int32)
        self.starts, self.ends = np.zeros(tiles, np.int32), np.zeros(tiles, np.int32)
        self._histograms = np.empty((3, DIGIT_VALUES), np.int64)
        self.entries = np.empty(0, np.int32)
        self._make_room(0)

    def _make_room(self, count: int) -> None:
        chunks = -(-count // CHUNK)
        self._room = count
        self.records = _aligned(count * RECORD, np.float32)
        self.rectangles = _aligned(count, np.int32)
        self._visible, self._keys, self._spare = (np.empty(count, np.uint64) for _ in range(3))
        self._order = np.empty(count, np.int32)
        self._visible_counts = np.empty(chunks, np.int64)
        self._magnitudes = np.empty(chunks * LANES, np.int32)

    def _timed(self, stage: str, since: float) -> float:
        now = perf_counter()
        self.times[stage] = (now - since) * 1e3
        return now

    def assign(self, flat: FlatGaussians, camera: Camera) -> None:
        """Find which Gaussians each tile shows, front to back.

        Raises ValueError if the camera's picture has another size, or for numbers that are not finite.
        """
        fx, fy, cx, cy = check_camera(camera, self.width, self.height)
        count = len(flat.opacities)
        if count > self._room:
            self._make_room(count + count // 4)
        chunks = -(-count // CHUNK)
        self._claims[:] = 0
        time = perf_counter()

        mean_bits = flat.means.view(np.int32)

        def project(member: int) -> None:
            project_chunks(
                self._claims,
                0,
                member,
                flat.means,
                mean_bits,
                flat.quats,
                flat.scales,
                flat.opacities,
                flat.colors,
                fx,
                fy,
                cx,
                cy,
                self.width,
                self.height,
                self.records,
                self.rectangles,
                self._visible,
                self._visible_counts,
                self._magnitudes,
                self._tile_counts,
            )

        if count:
            self._team.run(project)
            if self._magnitudes[: chunks * LANES].max() >= _INFINITY_BITS:
                self._tile_counts[:] = 0
                raise ValueError(NOT_FINITE)
        time = self._timed("project", time)
        self.visible = sort_by_depth(
            self._visible,
            self._visible_counts,
            chunks,
            self._keys,
            self._spare,
            self._histograms,
            self._order,
        )
        time = self._timed("sort", time)

        self.total_entries = start_tiles(self._tile_counts, self.starts, self.ends)
        if self.total_entries > len(self.entries):
            self.entries = np.empty(self.total_entries + self.total_entries // 4, np.int32)

        parts = self._team.threads if self.visible >= _SHARED_BIN_MIN else 1

        def fill(member: int) -> None:
            fill_tiles(
                self._claims,
                1,
                parts,
                self._order,
                self.visible,
                self.rectangles,
                self.width,
                self.height,
                self.ends,
                self.entries,
            )

        if parts > 1:
            self._team.run(fill)
        else:
            fill(0)
        self._timed("bin", time)

    def _blend(self, task: Callable[[int], None]) -> None:
        time = perf_counter()
        self._team.run(task)
        self._timed("blend", time)

    def blend_rgb(self, background: Background, image: UInt8Array) -> None:
        """image: (H * W * 3,), written."""
        red, green, blue = check_background(background)
        self._blend(
            lambda member: blend_rgb(
                self._claims,
                2,
                self.width,
                self.height,
                self.starts,
                self.ends,
                self.entries,
                self.records,
                red,
                green,
                blue,
                image,
            )
        )

    def blend_rgba(self, image: UInt8Array) -> None:
        """image: (H * W * 4,), written."""
        self._blend(
            lambda member: blend_rgba(
                self._claims,
                2,
                self.width,
                self.height,
                self.starts,
                self.ends,
                self.entries,
                self.records,
                image,
            )
        )

    def blend_float(self, background: Background, image: Float32Array) -> None:
        """image: (H * W * 4,), written."""
        red, green, blue = check_background(background)
        self._blend(
            lambda member: blend_float(
                self._claims,
                2,
                self.width,
                self.height,
                self.starts,
                self.ends,
                self.entries,
                self.records,
                red,
                green,
                blue,
                image,
            )
        )

    def backward(
        self, flat: FlatGaussians, camera: Camera, image: Float32Array, gradient: Float32Array
    ) -> FlatGaussians:
        """Gradients of a loss by the Gaussians that `assign` and `blend_float` were last called with.

        image: (H * W * 4,) as blended; gradient: (H * W * 4,) of the loss by it. Returns arrays of the sizes of `flat`.
        """
        count, threads = len(flat.opacities), self._team.threads
        gradients = FlatGaussians(*(np.empty_like(array) for array in flat))
        if not count:
            return gradients
        sums = _aligned(threads * count * RECORD, np.float32).reshape(threads, count * RECORD)
        fx, fy, cx, cy = check_camera(camera, self.width, self.height)
        self._claims[:] = 0

        def blend(member: int) -> None:
            blend_backward(
                self._claims,
                0,
                threads,
                self.width,
                self.height,
                self.starts,
                self.ends,
                self.entries,
                self.records,
                image,
                gradient,
                sums,
            )

        def project(member: int) -> None:
            project_backward(
                self._claims,
                1,
                flat.means,
                flat.quats,
                flat.scales,
                flat.opacities,
                fx,
                fy,
                cx,
                cy,
                self.width,
                self.height,
                self.records,
                self.rectangles,
                sums,
                gradients.means,
                gradients.quats,
                gradients.scales,
                gradients.opacities,
                gradients.colors,
            )

        self._team.run(blend)
        self._team.run(project)
        return gradients
