"""The work area of one tile: its pixels, and the batch of Gaussians that is being laid over them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from perse_live.arrays import Float32Array, Int32Array
from perse_live.jit import inline_kernel, kernel
from perse_live.splatting._lanes import (
    LANES,
    floor,
    lane_numbers,
    largest,
    load,
    maximum,
    minimum,
    square_root,
    store,
    to_float,
    truncate,
)
from perse_live.splatting._layout import (
    BATCH,
    BLOCK,
    CLIP_MARGIN,
    DY_RIGHTMOST,
    HALF_HEIGHT,
    HALF_WIDTH,
    INVERSE_SQUARED_HEIGHT,
    MEAN_X,
    MEAN_Y,
    RECORD,
    SLOPE,
    STRIPS,
    TILE,
)


class Workspace(NamedTuple):
    """Small arrays that stay in the nearest cache while a tile is drawn; each thread makes its own."""

    batch: Float32Array
    """(BATCH * RECORD,) copied records, means relative to the tile's corner."""
    spans: Int32Array
    """(BATCH * LANES,) per Gaussian: the first block of each strip, then the last block of each (before the first if none)."""
    strips: Int32Array
    """(BATCH * 2,) per Gaussian: first strip touched, one past the last."""
    open_bounds: Float32Array
    """(LANES,) of the blocks with an unfinished pixel: minus the first of each strip, then the last of each."""
    open_strips: Int32Array
    """(2,) first strip with an unfinished pixel, one past the last."""


@inline_kernel
def aligned_floats(count: int) -> Float32Array:
    """(count,) float32 that begin at a cache line, so that no vector lies across two."""
    memory = np.empty(count + LANES, np.float32)
    offset = (-(memory.ctypes.data // 4)) % LANES
    return memory[offset : offset + count]


@kernel
def make_workspace() -> Workspace:
    """Fresh work arrays."""
    return Workspace(
        aligned_floats(BATCH * RECORD),
        np.empty(BATCH * LANES, np.int32),
        np.empty(BATCH * 2, np.int32),
        np.empty(LANES, np.float32),
        np.empty(2, np.int32),
    )


@kernel
def load_batch(
    entries: Int32Array,
    begin: int,
    end: int,
    records: Float32Array,
    x0: np.float32,
    y0: np.float32,
    work: Workspace,
) -> None:
    """Copy the Gaussians entries[begin:end] next to each other, with the open blocks they touch.

    Copying first lets the scattered reads of `records` overlap; blending then reads from the nearest cache only.
    x0, y0: the tile's corner, pixels.
    """
    # -1: left ends of the eight strips, then +1: right ends
    side = to_float((lane_numbers() >> 3) << 1) - 1.0
    strip_top = to_float((lane_numbers() & (STRIPS - 1)) << 2) + 0.5
    bounds = load(work.open_bounds, 0)
    first_open, past_open = work.open_strips[0], work.open_strips[1]
    for k in range(end - begin):
        source: int = entries[begin + k] * RECORD
        target = k * RECORD
        store(work.batch, target, load(records, source))
        mean_x, mean_y = records[source + MEAN_X] - x0, records[source + MEAN_Y] - y0
        work.batch[target + MEAN_X] = mean_x
        work.batch[target + MEAN_Y] = mean_y
        half_height = records[source + HALF_HEIGHT]
        # The ellipse's rightmost point within a strip is its rightmost point of all, moved into the strip's range of dy.
        dy = minimum(
            maximum(
                side * records[source + DY_RIGHTMOST], maximum(strip_top - mean_y, -half_height)
            ),
            minimum(strip_top + (np.float32(BLOCK - 1) - mean_y), half_height),
        )
        half_width = (
            records[source + HALF_WIDTH]
            * square_root(maximum(1.0 - dy * dy * records[source + INVERSE_SQUARED_HEIGHT], 0.0))
            + CLIP_MARGIN
        )
        x = mean_x + records[source + SLOPE] * dy + side * half_width
        # First pixel centre right of the left end, last one left of the right end; both in whole blocks, and mirrored for the
        # left ends so that one minimum cuts both sides. The lower cut keeps far-away ends within the range of integers.
        block = floor((x - 0.5 * side) * (1 / BLOCK))
        mirrored = maximum(minimum(side * block, bounds), -TILE)
        store(work.spans, k * LANES, truncate(side * mirrored))
        top = max(mean_y - half_height + np.float32(0.5 - CLIP_MARGIN), np.float32(0))
        bottom = min(mean_y + half_height - np.float32(0.5 - CLIP_MARGIN), np.float32(TILE - 1))
        work.strips[2 * k] = max(np.int32(top) >> 2, first_open)
        work.strips[2 * k + 1] = min((np.int32(bottom) >> 2) + 1, past_open)


@kernel
def open_all(work: Workspace) -> None:
    """Begin a tile: every block is unfinished."""
    for strip in range(STRIPS):
        work.open_bounds[strip] = 0
        work.open_bounds[STRIPS + strip] = STRIPS - 1
    work.open_strips[0], work.open_strips[1] = 0, STRIPS


@kernel
def close_finished(state: Float32Array, block_floats: int, work: Workspace) -> bool:
    """Look for blocks in which every pixel is finished (transmittance <= 0); True if all are.

    state: the blocks, `block_floats` floats each, transmittances first.
    """
    first_open, past_open = STRIPS, 0
    for strip in range(work.open_strips[0], work.open_strips[1]):
        first, last = np.int32(-work.open_bounds[strip]), np.int32(work.open_bounds[STRIPS + strip])
        base = strip * STRIPS
        while first <= last and largest(load(state, (base + first) * block_floats)) <= 0:
            first += 1
        while last > first and largest(load(state, (base + last) * block_floats)) <= 0:
            last -= 1
        if first > last:
            first, last = TILE, -1
        else:
            first_open = min(first_open, strip)
            past_open = strip + 1
        work.open_bounds[strip] = -first
        work.open_bounds[STRIPS + strip] = last
    work.open_strips[0], work.open_strips[1] = first_open, past_open
    return first_open >= past_open
