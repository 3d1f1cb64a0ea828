"""Front-to-back blending of the tiles' Gaussians (Kerbl et al. 2023, section 6; stopping rule and thresholds as in gsplat)."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import Float32Array, Int32Array, UInt8Array
from perse_live.jit import inline_kernel, kernel
from perse_live.splatting._elementary import exp2
from perse_live.splatting._lanes import (
    LANES,
    IntLanes,
    Lanes,
    bits_of,
    fetch_add,
    from_bits,
    lane_numbers,
    load,
    maximum,
    minimum,
    select,
    splat,
    store,
    store_block_float,
    store_block_rgb,
    store_block_rgba,
    to_float,
    truncate,
)
from perse_live.splatting._layout import (
    ALPHA_MAX,
    BATCH,
    BLOCK,
    BLOCKS,
    BLUE,
    CURVATURE_E,
    CURVATURE_Y,
    GREEN,
    LOG2_ALPHA_MIN,
    LOG2_OPACITY,
    MEAN_X,
    MEAN_Y,
    RECORD,
    RED,
    SIGN_BIT,
    SLOPE,
    STRIPS,
    TILE,
    TRANSMITTANCE_MIN,
    Int64Array,
)
from perse_live.splatting._tile import (
    Workspace,
    aligned_floats,
    close_finished,
    load_batch,
    make_workspace,
    open_all,
)

_STATE = 4 * LANES
"""Floats per block: transmittance (negative once the pixel is finished), red, green, blue."""


@kernel
def blend_tile(
    tile: int,
    tiles_across: int,
    starts: Int32Array,
    ends: Int32Array,
    entries: Int32Array,
    records: Float32Array,
    state: Float32Array,
    work: Workspace,
) -> None:
    """Lay the tile's Gaussians over each other into `state` ((BLOCKS * _STATE,), any content before)."""
    one, zero = splat(1.0), splat(0.0)
    for block in range(BLOCKS):
        at = block * _STATE
        store(state, at, one)
        store(state, at + LANES, zero)
        store(state, at + 2 * LANES, zero)
        store(state, at + 3 * LANES, zero)
    open_all(work)
    x0, y0 = np.float32(tile % tiles_across * TILE), np.float32(tile // tiles_across * TILE)
    lane_x = to_float(lane_numbers() & (BLOCK - 1)) + 0.5
    lane_y = to_float(lane_numbers() >> 2) + 0.5
    batch, spans, strips = work.batch, work.spans, work.strips
    end = ends[tile]
    for begin in range(starts[tile], end, BATCH):
        count = min(BATCH, end - begin)
        load_batch(entries, begin, begin + count, records, x0, y0, work)
        for k in range(count):
            g = k * RECORD
            mean_x, mean_y = batch[g + MEAN_X], batch[g + MEAN_Y]
            curvature_e, curvature_y, slope = (
                batch[g + CURVATURE_E],
                batch[g + CURVATURE_Y],
                batch[g + SLOPE],
            )
            log2_opacity = batch[g + LOG2_OPACITY]
            red, green, blue = batch[g + RED], batch[g + GREEN], batch[g + BLUE]
            for strip in range(strips[2 * k], strips[2 * k + 1]):
                dy = lane_y + (np.float32(BLOCK * strip) - mean_y)
                constant = log2_opacity + curvature_y * dy * dy
                first, last = spans[k * LANES + strip], spans[k * LANES + STRIPS + strip]
                e = lane_x + (np.float32(BLOCK * (first - 1)) - mean_x) - slope * dy
                for block in range(first, last + 1):
                    at = (strip * STRIPS + block) * _STATE
                    e = e + BLOCK
                    power = constant + curvature_e * e * e
                    alpha = select(power >= LOG2_ALPHA_MIN, minimum(exp2(power), ALPHA_MAX), zero)
                    before = load(state, at)
                    after = before - alpha * before
                    # False for good once the transmittance is negative
                    goes_on = after > TRANSMITTANCE_MIN
                    weight = select(goes_on, alpha * before, zero)
                    store(state, at, select(goes_on, after, from_bits(bits_of(before) | SIGN_BIT)))
                    store(state, at + LANES, load(state, at + LANES) + weight * red)
                    store(state, at + 2 * LANES, load(state, at + 2 * LANES) + weight * green)
                    store(state, at + 3 * LANES, load(state, at + 3 * LANES) + weight * blue)
        if close_finished(state, _STATE, work):
            break


@inline_kernel
def _composite(
    state: Float32Array, at: int, red: float, green: float, blue: float
) -> tuple[Lanes, Lanes, Lanes, Lanes]:
    """A block's colour over a background, and its alpha."""
    transmittance = from_bits(bits_of(load(state, at)) & 0x7FFFFFFF)
    return (
        load(state, at + LANES) + transmittance * red,
        load(state, at + 2 * LANES) + transmittance * green,
        load(state, at + 3 * LANES) + transmittance * blue,
        1.0 - transmittance,
    )


@inline_kernel
def _to_byte(value: Lanes) -> IntLanes:
    return truncate(maximum(minimum(value, 1.0), 0.0) * 255.0 + 0.5)


@inline_kernel
def _to_bytes(color: tuple[Lanes, Lanes, Lanes, Lanes]) -> IntLanes:
    """Red in the lowest byte."""
    return (
        _to_byte(color[0])
        | (_to_byte(color[1]) << 8)
        | (_to_byte(color[2]) << 16)
        | (_to_byte(color[3]) << 24)
    )


@kernel
def blend_float(
    claims: Int64Array,
    claim: int,
    width: int,
    height: int,
    starts: Int32Array,
    ends: Int32Array,
    entries: Int32Array,
    records: Float32Array,
    red: float,
    green: float,
    blue: float,
    image: Float32Array,
) -> None:
    """Blend tile after tile until none is left to claim; image: (H * W * 4,) colour over the background, alpha."""
    tiles_across = (width + TILE - 1) // TILE
    state, border, work = (
        aligned_floats(BLOCKS * _STATE),
        aligned_floats(TILE * TILE * 4),
        make_workspace(),
    )
    while True:
        tile = fetch_add(claims, claim, 1)
        if tile >= starts.shape[0]:
            break
        blend_tile(tile, tiles_across, starts, ends, entries, records, state, work)
        x0, y0 = tile % tiles_across * TILE, tile // tiles_across * TILE
        if x0 + TILE <= width and y0 + TILE <= height:
            for block in range(BLOCKS):
                at = ((y0 + block // STRIPS * BLOCK) * width + x0 + block % STRIPS * BLOCK) * 4
                store_block_float(
                    image, at, 4 * width, _composite(state, block * _STATE, red, green, blue)
                )
        else:
            for block in range(BLOCKS):
                at = (block // STRIPS * TILE + block % STRIPS) * BLOCK * 4
                store_block_float(
                    border, at, 4 * TILE, _composite(state, block * _STATE, red, green, blue)
                )
            _copy_border(border, image, x0, y0, width, height, 4)


@kernel
def blend_rgba(
    claims: Int64Array,
    claim: int,
    width: int,
    height: int,
    starts: Int32Array,
    ends: Int32Array,
    entries: Int32Array,
    records: Float32Array,
    image: UInt8Array,
) -> None:
    """Blend tile after tile until none is left to claim; image: (H * W * 4,) colour times alpha, alpha."""
    tiles_across = (width + TILE - 1) // TILE
    state, border, work = (
        aligned_floats(BLOCKS * _STATE),
        np.empty(TILE * TILE * 4, np.uint8),
        make_workspace(),
    )
    while True:
        tile = fetch_add(claims, claim, 1)
        if tile >= starts.shape[0]:
            break
        blend_tile(tile, tiles_across, starts, ends, entries, records, state, work)
        x0, y0 = tile % tiles_across * TILE, tile // tiles_across * TILE
        if x0 + TILE <= width and y0 + TILE <= height:
            for block in range(BLOCKS):
                at = ((y0 + block // STRIPS * BLOCK) * width + x0 + block % STRIPS * BLOCK) * 4
                store_block_rgba(
                    image,
                    at,
                    4 * width,
                    _to_bytes(_composite(state, block * _STATE, 0.0, 0.0, 0.0)),
                )
        else:
            for block in range(BLOCKS):
                at = (block // STRIPS * TILE + block % STRIPS) * BLOCK * 4
                store_block_rgba(
                    border,
                    at,
                    4 * TILE,
                    _to_bytes(_composite(state, block * _STATE, 0.0, 0.0, 0.0)),
                )
            _copy_border(border, image, x0, y0, width, height, 4)


@kernel
def blend_rgb(
    claims: Int64Array,
    claim: int,
    width: int,
    height: int,
    starts: Int32Array,
    ends: Int32Array,
    entries: Int32Array,
    records: Float32Array,
    red: float,
    green: float,
    blue: float,
    image: UInt8Array,
) -> None:
    """Blend tile after tile until none is left to claim; image: (H * W * 3,) colour over the background."""
    tiles_across = (width + TILE - 1) // TILE
    state, border, work = (
        aligned_floats(BLOCKS * _STATE),
        np.empty(TILE * TILE * 3, np.uint8),
        make_workspace(),
    )
    while True:
        tile = fetch_add(claims, claim, 1)
        if tile >= starts.shape[0]:
            break
        blend_tile(tile, tiles_across, starts, ends, entries, records, state, work)
        x0, y0 = tile % tiles_across * TILE, tile // tiles_across * TILE
        if x0 + TILE <= width and y0 + TILE <= height:
            for block in range(BLOCKS):
                at = ((y0 + block // STRIPS * BLOCK) * width + x0 + block % STRIPS * BLOCK) * 3
                store_block_rgb(
                    image,
                    at,
                    3 * width,
                    _to_bytes(_composite(state, block * _STATE, red, green, blue)),
                )
        else:
            for block in range(BLOCKS):
                at = (block // STRIPS * TILE + block % STRIPS) * BLOCK * 3
                store_block_rgb(
                    border,
                    at,
                    3 * TILE,
                    _to_bytes(_composite(state, block * _STATE, red, green, blue)),
                )
            _copy_border(border, image, x0, y0, width, height, 3)


@inline_kernel
def _copy_border(
    tile: Float32Array | UInt8Array,
    image: Float32Array | UInt8Array,
    x0: int,
    y0: int,
    width: int,
    height: int,
    channels: int,
) -> None:
    """Copy the part of a tile that lies within the picture."""
    count = min(TILE, width - x0) * channels
    for row in range(min(TILE, height - y0)):
        source, target = row * TILE * channels, ((y0 + row) * width + x0) * channels
        for k in range(count):
            image[target + k] = tile[source + k]
