"""The vector type against numpy, and that it becomes vector instructions."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numba
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from perse_live.splatting import _backward, _blend, _project, _sort, _tile
from perse_live.splatting._elementary import exp2, log2
from perse_live.splatting._lanes import (
    fetch_add,
    floor,
    from_bits,
    lane_numbers,
    largest,
    load,
    load_block_float,
    load_records,
    load_rows3,
    load_rows4,
    mask_bits,
    maximum,
    minimum,
    select,
    splat,
    store,
    store_block_float,
    store_block_rgb,
    store_block_rgba,
    store_records,
    store_rows3,
    store_rows4,
    sum_each,
    to_float,
    truncate,
)
from perse_live.splatting._layout import BLOCKS, RECORD


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    return numba.njit(fastmath=True, error_model="numpy")(function)


def numbers(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-9, 9, count).astype(np.float32)


def test_arithmetic_mixes_lanes_and_numbers() -> None:
    @jit
    def run(values: Any, out: Any) -> float:
        x, y = load(values, 0), load(values, 16)
        z = select((x >= y) & (x > -1), 2.0 * x - y / 3, minimum(-y, 1.5) + 1)
        store(out, 0, z)
        store(out, 16, maximum(floor(x), to_float(truncate(y))))
        store(out, 32, to_float((lane_numbers() << 2) | 1) + splat(0.5))
        store(out, 48, from_bits(lane_numbers() + 0x3F800000))
        out[64] = mask_bits(x >= y)
        return largest(x)

    values, out = numbers(32), np.zeros(65, np.float32)
    x, y = values[:16], values[16:]
    assert run(values, out) == x.max()
    np.testing.assert_allclose(
        out[:16], np.where((x >= y) & (x > -1), 2 * x - y / 3, np.minimum(-y, 1.5) + 1), rtol=1e-6
    )
    assert_array_equal(out[16:32], np.maximum(np.floor(x), np.trunc(y)))
    assert_array_equal(out[32:48], np.arange(16) * 4 + 1.5)
    assert_array_equal(out[48:64].view(np.int32), np.arange(16) + 0x3F800000)
    assert out[64] == sum(1 << i for i in range(16) if x[i] >= y[i])


def test_rows_and_records_are_transposed_and_back() -> None:
    @jit
    def run(values: Any, out: Any) -> None:
        three, four, sixteen = load_rows3(values, 1), load_rows4(values, 2), load_records(values, 3)
        store_rows3(out, 0, three)
        store(out, 48, three[2])
        store_rows4(out, 64, four)
        store(out, 128, four[3])
        store(out, 144, sixteen[5])
        store_records(out, 160, (three[0], three[1], three[2]))
        store(out, 416, sum_each((three[0], three[1], three[2])))

    values, out = numbers(300), np.zeros(432, np.float32)
    run(values, out)
    assert_array_equal(out[:48], values[1:49])
    assert_array_equal(out[48:64], values[3:49:3])
    assert_array_equal(out[64:128], values[2:66])
    assert_array_equal(out[128:144], values[5:66:4])
    assert_array_equal(out[144:160], values[8:259:16])
    rows = values[1:49].reshape(16, 3)
    assert_array_equal(out[160:416].reshape(16, 16), np.pad(rows, ((0, 0), (0, 13))))
    np.testing.assert_allclose(out[416:432], np.pad(rows.sum(0), (0, 13)), atol=1e-4)


def test_blocks_of_pixels_keep_their_places() -> None:
    @jit
    def run(values: Any, floats: Any, words: Any, rgb: Any, rgba: Any) -> None:
        block = load_block_float(values, 0, 20)
        store_block_float(floats, 3, 30, block)
        store(floats, 150, block[2])
        packed = load(words, 0)
        store_block_rgb(rgb, 1, 15, packed)
        store_block_rgba(rgba, 2, 18, packed)

    values, floats = numbers(100), np.zeros(170, np.float32)
    words = np.random.default_rng(1).integers(0, 2**31, 16).astype(np.int32)
    rgb, rgba = np.zeros(64, np.uint8), np.zeros(80, np.uint8)
    run(values, floats, words, rgb, rgba)
    pixels = words.view(np.uint8).reshape(4, 4, 4)
    for row in range(4):
        assert_array_equal(floats[3 + 30 * row : 19 + 30 * row], values[20 * row : 20 * row + 16])
        assert_array_equal(
            floats[150 + 4 * row : 154 + 4 * row], values[20 * row + 2 : 20 * row + 16 : 4]
        )
        assert_array_equal(rgb[1 + 15 * row : 13 + 15 * row], pixels[row, :, :3].reshape(-1))
        assert_array_equal(rgba[2 + 18 * row : 18 + 18 * row], pixels[row].reshape(-1))
    assert not rgb[13:16].any()  # nothing is written between the rows


def test_exponential_and_logarithm() -> None:
    @jit
    def run(values: Any, powers: Any, logarithms: Any) -> None:
        for k in range(0, len(values), 16):
            store(powers, k, exp2(-load(values, k)))
            store(logarithms, k, log2(load(values, k)))

    values = np.geomspace(1e-3, 120, 4096).astype(np.float32)
    powers, logarithms = np.zeros_like(values), np.zeros_like(values)
    run(values, powers, logarithms)
    np.testing.assert_allclose(powers, 2.0 ** -values.astype(float), rtol=4e-6)
    np.testing.assert_allclose(logarithms, np.log2(values.astype(float)), atol=5e-7)


def test_fetch_add_returns_what_was_there() -> None:
    @jit
    def run(counters: Any) -> int:
        return fetch_add(counters, 1, 5)

    counters = np.array([1, 2, 3])
    assert run(counters) == 2
    assert_array_equal(counters, [1, 7, 3])


def test_mixed_types_are_refused_when_compiling() -> None:
    @jit
    def shift_by_a_float(values: Any, out: Any) -> None:
        store(out, 0, lane_numbers() << 1.5)  # pyright: ignore[reportOperatorIssue]

    with pytest.raises(numba.TypingError):
        shift_by_a_float(np.zeros(16, np.float32), np.zeros(16, np.int32))


def _assembly(kernel: Any, *args: Any) -> str:
    """Machine code of a kernel, compiled here, as code from the disk cache cannot be listed."""
    dispatcher: Any = jit(kernel.py_func)
    dispatcher(*args)
    return "\n".join(dispatcher.inspect_asm().values())


def _tile_arguments(floats_per_block: int) -> tuple[Any, ...]:
    nothing = np.zeros(1, np.int32)
    state = np.zeros(BLOCKS * floats_per_block, np.float32)
    return (
        0,
        1,
        nothing,
        nothing,
        nothing,
        np.zeros(RECORD, np.float32),
        state,
        _tile.make_workspace(),
    )


@pytest.mark.parametrize("name", ["blend", "blend backward", "load batch", "project"])
def test_inner_loops_are_vectors_as_wide_as_the_machine_has(name: str) -> None:
    counter, room = np.ones(1, np.int64), np.zeros(16 * RECORD, np.float32)
    integers, keys = np.zeros(16, np.int32), np.zeros(16, np.uint64)
    zero, work = np.float32(0), _tile.make_workspace()
    code = {
        "blend": lambda: _assembly(_blend.blend_tile, *_tile_arguments(64)),
        "blend backward": lambda: _assembly(
            _backward.blend_tile_backward, *_tile_arguments(96), room
        ),
        "load batch": lambda: _assembly(_tile.load_batch, integers, 0, 0, room, zero, zero, work),
        "project": lambda: _assembly(
            _project.project_chunks,
            counter,
            0,
            0,
            room,
            room.view(np.int32),
            room,
            room,
            room,
            room,
            1.0,
            1.0,
            1.0,
            1.0,
            8,
            8,
            room,
            integers,
            keys,
            counter,
            integers,
            integers.reshape(1, 16),
        ),
    }[name]()
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        features = llvmlite.binding.get_host_cpu_features()
        register = "zmm" if features.get("avx512f") else "ymm" if features.get("avx2") else "xmm"
        if {"NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"} & set(os.environ):
            register = "[xyz]mm"  # the user chose another machine
        assert re.search(rf"cvttps2dq\s.*{register}", code), "packed conversions to integers"
        assert re.search(rf"mulps\s.*{register}|fmadd\d*ps\s.*{register}", code), "packed products"
        assert not re.search(r"fmadd\d*ss|\bv?divss|\bv?sqrtss", code), "no lane is computed alone"
    elif machine in ("aarch64", "arm64"):
        assert re.search(r"fcvtz\w+(\.4s)?\s+v\d+", code), "packed conversions to integers"
        assert re.search(r"f(mul|mla)(\.4s)?\s+v\d+", code), "packed products"
    else:
        pytest.skip(f"no table of instructions for {machine}")


def test_depth_sort_is_stable_and_total() -> None:
    """Depth bits in the upper half, index in the lower; also depths that differ in more than 24 bits, for a third round."""
    random = np.random.default_rng(0)
    for depths in (
        random.uniform(0.4, 0.7, 3000),
        random.choice([0.5, 0.25], 3000),
        10.0 ** random.uniform(-2, 30, 3000),
        np.full(3000, 0.5),
    ):
        bits = depths.astype(np.float32).view(np.uint32).astype(np.uint64)
        visible = bits << np.uint64(32) | np.arange(3000, dtype=np.uint64)
        order = np.zeros(3000, np.int32)
        counts = np.array([1024, 1024, 3000 - 2048])
        total = _sort.sort_by_depth(
            visible,
            counts,
            3,
            np.zeros(3000, np.uint64),
            np.zeros(3000, np.uint64),
            np.zeros((3, _sort.DIGIT_VALUES), np.int64),
            order,
        )
        assert total == 3000
        assert_array_equal(order, np.argsort(bits, kind="stable"))
