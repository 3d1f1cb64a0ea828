"""Front to back, then into tiles: a radix sort of the depths and a counting sort by tile that keeps their order."""

from __future__ import annotations

import numpy as np

from perse_live.arrays import Int32Array
from perse_live.jit import kernel
from perse_live.splatting._lanes import fetch_add
from perse_live.splatting._layout import CHUNK, TILE, Int64Array, UInt64Array

_DIGIT = 12
DIGIT_VALUES = 1 << _DIGIT


@kernel
def sort_by_depth(
    visible: UInt64Array,
    visible_counts: Int64Array,
    chunks: int,
    keys: UInt64Array,
    spare: UInt64Array,
    histograms: Int64Array,
    order: Int32Array,
) -> int:
    """Stable sort of the chunks' visible Gaussians by depth, equal depths by index; returns how many there are.

    visible: as written by the projection; keys, spare: room for all; histograms: (3, DIGIT_VALUES). Written: order, the indices.
    The depths of a head differ in the low 24 bits at most, so two rounds of 12 bits do; a third handles any other scene.
    """
    low, high = np.uint64(0xFFFFFFFF), np.uint64(0)
    total = 0
    shift = np.uint64(32)
    for chunk in range(chunks):
        begin = chunk * CHUNK
        for k in range(begin, begin + visible_counts[chunk]):
            key = visible[k]
            keys[total] = key
            total += 1
            depth = key >> shift
            low, high = min(low, depth), max(high, depth)
    if total == 0:
        return 0
    difference = high - low
    rounds = 0
    while difference > np.uint64(0):
        rounds += 1
        difference = difference >> np.uint64(_DIGIT)
    base = low << shift
    digit_mask = np.uint64(DIGIT_VALUES - 1)
    histograms[:rounds] = 0
    for k in range(total):
        key = keys[k] - base
        keys[k] = key
        for digit in range(rounds):
            histograms[digit, (key >> np.uint64(32 + _DIGIT * digit)) & digit_mask] += 1
    source, target = keys, spare
    for digit in range(rounds):
        counts = histograms[digit]
        running = 0
        for value in range(DIGIT_VALUES):
            running, counts[value] = running + counts[value], running
        digit_shift = np.uint64(32 + _DIGIT * digit)
        for k in range(total):
            key = source[k]
            value = (key >> digit_shift) & digit_mask
            place = counts[value]
            counts[value] = place + 1
            target[place] = key
        source, target = target, source
    for k in range(total):
        order[k] = np.int32(source[k] & np.uint64(0xFFFFFFFF))
    return total


@kernel
def start_tiles(tile_counts: Int32Array, starts: Int32Array, ends: Int32Array) -> int:
    """Where each tile's list begins; returns the length of all lists together.

    tile_counts: (threads, T), the threads' counts, zeroed here for the next picture; starts, ends: (T,), both set to the begin.
    """
    running = 0
    for tile in range(starts.shape[0]):
        starts[tile] = running
        ends[tile] = running
        for participant in range(tile_counts.shape[0]):
            running += tile_counts[participant, tile]
            tile_counts[participant, tile] = 0
    return running


@kernel
def fill_tiles(
    claims: Int64Array,
    claim: int,
    parts: int,
    order: Int32Array,
    total: int,
    rectangles: Int32Array,
    width: int,
    height: int,
    ends: Int32Array,
    entries: Int32Array,
) -> None:
    """Write the tiles' lists of Gaussians front to back, part after part until none is left to claim.

    The parts are bands of tile rows, so that the threads write to lists of their own. ends: (T,) where each
    list begins, moved to its end; entries: the lists, one after another.
    """
    tiles_across, tiles_down = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    while True:
        part = fetch_add(claims, claim, 1)
        if part >= parts:
            break
        band_top, band_bottom = part * tiles_down // parts, (part + 1) * tiles_down // parts - 1
        for k in range(total):
            index = order[k]
            rectangle = rectangles[index]
            left, right = rectangle & 0xFF, (rectangle >> 8) & 0xFF
            for row in range(
                max((rectangle >> 16) & 0xFF, band_top),
                min((rectangle >> 24) & 0xFF, band_bottom) + 1,
            ):
                for tile in range(row * tiles_across + left, row * tiles_across + right + 1):
                    end = ends[tile]
                    entries[end] = index
                    ends[tile] = end + 1
