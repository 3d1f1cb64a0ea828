"""Sixteen floats at once inside numba kernels, without hoping for the auto-vectoriser.

Numba has no vector type. The two types here wrap LLVM's `<16 x float>` and `<16 x i32>`, so that a kernel says what is done to
sixteen pixels or sixteen Gaussians at once and LLVM fits it to the machine: one AVX-512 register, two AVX2 or four SSE / NEON
ones. Numbers mix freely with lanes (`0.5 * x + 1`). The functions below work only inside kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import add, and_, ge, gt, le, lshift, lt, mul, neg, or_, rshift, sub, truediv
from typing import Any, Protocol, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typeconv.castgraph import Conversion
from numba.extending import (
    intrinsic,
    lower_builtin,
    lower_cast,
    models,
    register_model,
    type_callable,
)

from perse_live.arrays import Float32Array, UInt8Array

LANES = 16

# What pyright sees ------------------------------------------------------------------------------------------------------------


class LaneMask(Protocol):
    """Sixteen truth values."""

    def __and__(self, other: LaneMask) -> LaneMask: ...


class Lanes(Protocol):
    """Sixteen float32."""

    def __add__(self, other: Lanes | float) -> Lanes: ...
    def __radd__(self, other: float) -> Lanes: ...
    def __sub__(self, other: Lanes | float) -> Lanes: ...
    def __rsub__(self, other: float) -> Lanes: ...
    def __mul__(self, other: Lanes | float) -> Lanes: ...
    def __rmul__(self, other: float) -> Lanes: ...
    def __truediv__(self, other: Lanes | float) -> Lanes: ...
    def __rtruediv__(self, other: float) -> Lanes: ...
    def __neg__(self) -> Lanes: ...
    def __lt__(self, other: Lanes | float) -> LaneMask: ...
    def __le__(self, other: Lanes | float) -> LaneMask: ...
    def __gt__(self, other: Lanes | float) -> LaneMask: ...
    def __ge__(self, other: Lanes | float) -> LaneMask: ...


class IntLanes(Protocol):
    """Sixteen int32; `>>` shifts zeros in."""

    def __add__(self, other: IntLanes | int) -> IntLanes: ...
    def __sub__(self, other: IntLanes | int) -> IntLanes: ...
    def __and__(self, other: IntLanes | int) -> IntLanes: ...
    def __or__(self, other: IntLanes | int) -> IntLanes: ...
    def __lshift__(self, other: IntLanes | int) -> IntLanes: ...
    def __rshift__(self, other: IntLanes | int) -> IntLanes: ...


# What numba sees --------------------------------------------------------------------------------------------------------------

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)
_BITS = ir.VectorType(ir.IntType(1), LANES)
# Products may be fused into sums; nothing more, as fuller fastmath would make infinities and NaNs of lanes that are masked out
# later undefined. An explicit flag also keeps numba's `fastmath=True` from adding its own.
_FLAGS = ("contract",)


class _LanesType(types.Type):
    def __init__(self) -> None:
        super().__init__("f32x16")

    def can_convert_from(self, typingctx: Any, other: Any) -> Any:
        return Conversion.safe if isinstance(other, types.Number) else None


class _IntLanesType(types.Type):
    def __init__(self) -> None:
        super().__init__("i32x16")

    def can_convert_from(self, typingctx: Any, other: Any) -> Any:
        return Conversion.safe if isinstance(other, types.Integer) else None


class _LaneMaskType(types.Type):
    def __init__(self) -> None:
        super().__init__("mask16")


_lanes, _int_lanes, _mask = _LanesType(), _IntLanesType(), _LaneMaskType()


def _register(numba_type: type, llvm_type: Any) -> None:
    class Model(models.PrimitiveModel):
        def __init__(self, manager: Any, frontend_type: Any) -> None:
            super().__init__(manager, frontend_type, llvm_type)

    register_model(numba_type)(Model)


_register(_LanesType, _FLOATS)
_register(_IntLanesType, _INTS)
_register(_LaneMaskType, _BITS)


def _splat(builder: Any, scalar: Any, vector_type: Any) -> Any:
    single = builder.insert_element(
        ir.Constant(vector_type, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0)
    )
    return builder.shuffle_vector(
        single, ir.Constant(vector_type, ir.Undefined), ir.Constant(_INTS, [0] * LANES)
    )


@lower_cast(types.Float, _lanes)
@lower_cast(types.Integer, _lanes)
def _number_to_lanes(context: Any, builder: Any, from_type: Any, to_type: Any, value: Any) -> Any:
    return _splat(builder, context.cast(builder, value, from_type, types.float32), _FLOATS)


@lower_cast(types.Integer, _int_lanes)
def _number_to_int_lanes(
    context: Any, builder: Any, from_type: Any, to_type: Any, value: Any
) -> Any:
    return _splat(builder, context.cast(builder, value, from_type, types.int32), _INTS)


def _binary(operator: Any, operand: Any, result: Any, emit: Callable[[Any, Any, Any], Any]) -> None:
    numbers = (
        (types.Number,) if operand is _lanes else (types.Integer,) if operand is _int_lanes else ()
    )

    def typer(context: Any) -> Any:
        def typed(a: Any, b: Any) -> Any:
            if operand in (a, b) and all(x == operand or isinstance(x, numbers) for x in (a, b)):
                return result(operand, operand)
            return None

        return typed

    type_callable(operator)(typer)
    lower_builtin(operator, operand, operand)(
        lambda context, builder, signature, args: emit(builder, *args)
    )


_binary(add, _lanes, _lanes, lambda b, x, y: b.fadd(x, y, flags=_FLAGS))
_binary(sub, _lanes, _lanes, lambda b, x, y: b.fsub(x, y, flags=_FLAGS))
_binary(mul, _lanes, _lanes, lambda b, x, y: b.fmul(x, y, flags=_FLAGS))
_binary(truediv, _lanes, _lanes, lambda b, x, y: b.fdiv(x, y, flags=_FLAGS))
_binary(ge, _lanes, _mask, lambda b, x, y: b.fcmp_ordered(">=", x, y, flags=_FLAGS))
_binary(gt, _lanes, _mask, lambda b, x, y: b.fcmp_ordered(">", x, y, flags=_FLAGS))
_binary(le, _lanes, _mask, lambda b, x, y: b.fcmp_ordered("<=", x, y, flags=_FLAGS))
_binary(lt, _lanes, _mask, lambda b, x, y: b.fcmp_ordered("<", x, y, flags=_FLAGS))
_binary(add, _int_lanes, _int_lanes, lambda b, x, y: b.add(x, y))
_binary(sub, _int_lanes, _int_lanes, lambda b, x, y: b.sub(x, y))
_binary(and_, _int_lanes, _int_lanes, lambda b, x, y: b.and_(x, y))
_binary(or_, _int_lanes, _int_lanes, lambda b, x, y: b.or_(x, y))
_binary(lshift, _int_lanes, _int_lanes, lambda b, x, y: b.shl(x, y))
_binary(rshift, _int_lanes, _int_lanes, lambda b, x, y: b.lshr(x, y))
_binary(and_, _mask, _mask, lambda b, x, y: b.and_(x, y))


@type_callable(neg)
def _type_neg(context: Any) -> Any:
    return lambda value: _lanes if value == _lanes else None


@lower_builtin(neg, _lanes)
def _lower_neg(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.fneg(args[0], flags=_FLAGS)


# Functions --------------------------------------------------------------------------------------------------------------------

_intrinsic = cast("Callable[[Callable[..., Any]], Any]", intrinsic)


def _address(
    context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector_type: Any
) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector_type.as_pointer())


def _load_vector(builder: Any, address: Any, vector_type: Any) -> Any:
    # Arrays begin anywhere: only byte alignment may be promised
    loaded = builder.load(address, align=1)
    return loaded if loaded.type == vector_type else builder.bitcast(loaded, vector_type)


def _call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(result, [a.type for a in args]), name
    )
    return builder.call(function, args)


def _pick(builder: Any, a: Any, b: Any, positions: list[int]) -> Any:
    return builder.shuffle_vector(
        a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(positions)), positions)
    )


def _is_flat(array: Any, *dtypes: Any) -> bool:
    return (
        isinstance(array, types.Array)
        and array.ndim == 1
        and array.layout == "C"
        and array.dtype in dtypes
    )


def _load(typing: Any, array: Any, index: Any) -> Any:
    if _is_flat(array, types.float32):
        result, vector = _lanes, _FLOATS
    elif _is_flat(array, types.int32, types.uint32):
        result, vector = _int_lanes, _INTS
    else:
        return None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load_vector(
            builder, _address(context, builder, array, args[0], args[1], vector), vector
        )

    return result(array, types.intp), emit


def _store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    if value == _lanes and _is_flat(array, types.float32):
        vector = _FLOATS
    elif value == _int_lanes and _is_flat(array, types.int32, types.uint32):
        vector = _INTS
    else:
        return None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, array, args[0], args[1], vector), align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), emit


def _lane_numbers(typing: Any) -> Any:
    return _int_lanes(), lambda context, builder, signature, args: ir.Constant(
        _INTS, list(range(LANES))
    )


def _splat_number(typing: Any, value: Any) -> Any:
    return _lanes(_lanes), lambda context, builder, signature, args: args[0]


def _splat_integer(typing: Any, value: Any) -> Any:
    return _int_lanes(_int_lanes), lambda context, builder, signature, args: args[0]


def _truncate(typing: Any, value: Any) -> Any:
    return _int_lanes(_lanes), lambda context, builder, signature, args: builder.fptosi(
        args[0], _INTS
    )


def _to_float(typing: Any, value: Any) -> Any:
    return _lanes(_int_lanes), lambda context, builder, signature, args: builder.sitofp(
        args[0], _FLOATS
    )


def _bits_of(typing: Any, value: Any) -> Any:
    return _int_lanes(_lanes), lambda context, builder, signature, args: builder.bitcast(
        args[0], _INTS
    )


def _from_bits(typing: Any, value: Any) -> Any:
    return _lanes(_int_lanes), lambda context, builder, signature, args: builder.bitcast(
        args[0], _FLOATS
    )


def _square_root(typing: Any, value: Any) -> Any:
    return _lanes(_lanes), lambda context, builder, signature, args: _call(
        builder, "llvm.sqrt.v16f32", _FLOATS, args[0]
    )


def _floor(typing: Any, value: Any) -> Any:
    return _lanes(_lanes), lambda context, builder, signature, args: _call(
        builder, "llvm.floor.v16f32", _FLOATS, args[0]
    )


def _choose_smaller(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b, flags=_FLAGS), a, b)


def _choose_larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b, flags=_FLAGS), a, b)


def _minimum(typing: Any, a: Any, b: Any) -> Any:
    return _lanes(_lanes, _lanes), lambda context, builder, signature, args: _choose_smaller(
        builder, *args
    )


def _maximum(typing: Any, a: Any, b: Any) -> Any:
    return _lanes(_lanes, _lanes), lambda context, builder, signature, args: _choose_larger(
        builder, *args
    )


def _int_maximum(typing: Any, a: Any, b: Any) -> Any:
    return _int_lanes(
        _int_lanes, _int_lanes
    ), lambda context, builder, signature, args: builder.select(
        builder.icmp_signed(">", args[0], args[1]), args[0], args[1]
    )


def _int_minimum(typing: Any, a: Any, b: Any) -> Any:
    return _int_lanes(
        _int_lanes, _int_lanes
    ), lambda context, builder, signature, args: builder.select(
        builder.icmp_signed("<", args[0], args[1]), args[0], args[1]
    )


def _int_equal(typing: Any, a: Any, b: Any) -> Any:
    return _mask(
        _int_lanes, _int_lanes
    ), lambda context, builder, signature, args: builder.icmp_signed("==", *args)


def _select(typing: Any, mask: Any, a: Any, b: Any) -> Any:
    operand = _int_lanes if _int_lanes in (a, b) else _lanes
    return operand(
        _mask, operand, operand
    ), lambda context, builder, signature, args: builder.select(*args)


def _halve(builder: Any, vector: Any, combine: Callable[[Any, Any, Any], Any]) -> Any:
    width = LANES
    while width > 1:
        width //= 2
        vector = combine(
            builder,
            _pick(builder, vector, vector, list(range(width))),
            _pick(builder, vector, vector, list(range(width, 2 * width))),
        )
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


def _largest(typing: Any, value: Any) -> Any:
    return types.float32(_lanes), lambda context, builder, signature, args: _halve(
        builder, args[0], _choose_larger
    )


def _mask_bits(typing: Any, mask: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(args[0], ir.IntType(LANES)), ir.IntType(64))

    return types.int64(_mask), emit


def _transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """The 16 x 16 transpose in four rounds; each round swaps one bit of the row number with one bit of the lane number."""
    for bit in (1, 2, 4, 8):
        low = [lane if not lane & bit else LANES + lane - bit for lane in range(LANES)]
        high = [lane + bit if not lane & bit else LANES + lane for lane in range(LANES)]
        swapped = list(rows)
        for row in range(LANES):
            if not row & bit:
                swapped[row] = _pick(builder, rows[row], rows[row + bit], low)
                swapped[row + bit] = _pick(builder, rows[row], rows[row + bit], high)
        rows = swapped
    return rows


def _padded(builder: Any, values: Any, count: int) -> list[Any]:
    zero = ir.Constant(_FLOATS, [0.0] * LANES)
    return [builder.extract_value(values, i) for i in range(count)] + [zero] * (LANES - count)


def _sum_each(typing: Any, values: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # Pairwise merging: after the round with distance `bit`, a vector holds the partial sums of twice as many inputs.
        vectors: list[Any] = _padded(builder, args[0], values.count)
        present = [i < values.count for i in range(LANES)]
        bit = 1
        while len(vectors) > 1:
            merged: list[Any] = []
            merged_present: list[bool] = []
            for k in range(0, len(vectors), 2):
                a, b = vectors[k], vectors[k + 1]
                if not (present[k] or present[k + 1]):
                    merged.append(a)
                else:
                    first = [lane if not lane & bit else LANES + lane for lane in range(LANES)]
                    second = [
                        lane ^ bit if not lane & bit else LANES + (lane ^ bit)
                        for lane in range(LANES)
                    ]
                    merged.append(
                        builder.fadd(
                            _pick(builder, a, b, first), _pick(builder, a, b, second), flags=_FLAGS
                        )
                    )
                merged_present.append(present[k] or present[k + 1])
            vectors, present, bit = merged, merged_present, bit * 2
        return vectors[0]

    return _lanes(values), emit


def _store_records(typing: Any, array: Any, index: Any, columns: Any) -> Any:
    if not _is_flat(array, types.float32):
        return None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        for row, vector in enumerate(_transpose(builder, _padded(builder, args[2], columns.count))):
            offset = builder.add(args[1], ir.Constant(args[1].type, row * LANES))
            builder.store(
                vector, _address(context, builder, array, args[0], offset, _FLOATS), align=1
            )
        return context.get_dummy_value()

    return types.void(array, types.intp, columns), emit


def _load_records(typing: Any, array: Any, index: Any) -> Any:
    if not _is_flat(array, types.float32):
        return None
    result = types.UniTuple(_lanes, LANES)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows = [
            _load_vector(
                builder,
                _address(
                    context,
                    builder,
                    array,
                    args[0],
                    builder.add(args[1], ir.Constant(args[1].type, row * LANES)),
                    _FLOATS,
                ),
                _FLOATS,
            )
            for row in range(LANES)
        ]
        return context.make_tuple(builder, result, _transpose(builder, rows))

    return result(array, types.intp), emit


def _interleaved_loader(channels: int) -> Callable[..., Any]:
    def load_interleaved(typing: Any, array: Any, index: Any) -> Any:
        result = types.UniTuple(_lanes, channels)
        if not _is_flat(array, types.float32):
            return None

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            parts = [
                _load_vector(
                    builder,
                    _address(
                        context,
                        builder,
                        array,
                        args[0],
                        builder.add(args[1], ir.Constant(args[1].type, k * LANES)),
                        _FLOATS,
                    ),
                    _FLOATS,
                )
                for k in range(channels)
            ]
            return context.make_tuple(
                builder,
                result,
                [_gather_channel(builder, parts, channels, c) for c in range(channels)],
            )

        return result(array, types.intp), emit

    return load_interleaved


def _gather_channel(builder: Any, parts: list[Any], channels: int, channel: int) -> Any:
    """Every `channels`-th float of the vectors in `parts`, from number `channel` on."""
    wanted = [lane * channels + channel for lane in range(LANES)]
    out = parts[0]
    for k in range(1, channels):
        first = [w if w < LANES else 0 for w in wanted] if k == 1 else list(range(LANES))
        out = _pick(
            builder,
            out,
            parts[k],
            [
                LANES + w - k * LANES if k * LANES <= w < (k + 1) * LANES else first[lane]
                for lane, w in enumerate(wanted)
            ],
        )
    return out


def _interleaved_storer(channels: int) -> Callable[..., Any]:
    def store_interleaved(typing: Any, array: Any, index: Any, values: Any) -> Any:
        if not _is_flat(array, types.float32):
            return None

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            columns = [builder.extract_value(args[2], c) for c in range(channels)]
            for k in range(channels):
                # (row, channel) of each float
                places = [divmod(k * LANES + lane, channels) for lane in range(LANES)]
                out = ir.Constant(_FLOATS, ir.Undefined)
                for channel, column in enumerate(columns):
                    out = _pick(
                        builder,
                        out,
                        column,
                        [
                            LANES + row if c == channel else lane
                            for lane, (row, c) in enumerate(places)
                        ],
                    )
                offset = builder.add(args[1], ir.Constant(args[1].type, k * LANES))
                builder.store(
                    out, _address(context, builder, array, args[0], offset, _FLOATS), align=1
                )
            return context.get_dummy_value()

        return types.void(array, types.intp, values), emit

    return store_interleaved


def _store_block_float(typing: Any, array: Any, index: Any, stride: Any, values: Any) -> Any:
    if not _is_flat(array, types.float32):
        return None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        channels = [builder.extract_value(args[3], c) for c in range(4)]
        offset = args[1]
        for row in range(4):
            lower = [4 * row + lane // 4 + (LANES if lane % 4 == 1 else 0) for lane in range(LANES)]
            red_green = _pick(builder, channels[0], channels[1], lower)
            blue_alpha = _pick(
                builder,
                channels[2],
                channels[3],
                [4 * row + lane // 4 + (LANES if lane % 4 == 3 else 0) for lane in range(LANES)],
            )
            pixels = _pick(
                builder,
                red_green,
                blue_alpha,
                [lane if lane % 4 < 2 else LANES + lane for lane in range(LANES)],
            )
            builder.store(
                pixels, _address(context, builder, array, args[0], offset, _FLOATS), align=1
            )
            offset = builder.add(offset, args[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, values), emit


def _load_block_float(typing: Any, array: Any, index: Any, stride: Any) -> Any:
    if not _is_flat(array, types.float32):
        return None
    result = types.UniTuple(_lanes, 4)

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        offset, rows = args[1], []
        for _ in range(4):
            rows.append(
                _load_vector(
                    builder, _address(context, builder, array, args[0], offset, _FLOATS), _FLOATS
                )
            )
            offset = builder.add(offset, args[2])
        return context.make_tuple(
            builder, result, [_gather_channel(builder, rows, 4, c) for c in range(4)]
        )

    return result(array, types.intp, types.intp), emit


def _pixel_storer(bytes_per_pixel: int) -> Callable[..., Any]:
    def store_block(typing: Any, array: Any, index: Any, stride: Any, packed: Any) -> Any:
        if not _is_flat(array, types.uint8):
            return None

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = builder.bitcast(args[3], ir.VectorType(ir.IntType(8), 4 * LANES))
            offset = args[1]
            for row in range(4):
                kept = [
                    16 * row + 4 * pixel + byte
                    for pixel in range(4)
                    for byte in range(bytes_per_pixel)
                ]
                line = _pick(builder, data, data, kept + [0] * (16 - len(kept)))
                words = builder.bitcast(line, ir.VectorType(ir.IntType(32), 4))
                for word in range(bytes_per_pixel):  # 4 pixels of n bytes are n words
                    place = builder.add(offset, ir.Constant(offset.type, 4 * word))
                    builder.store(
                        builder.extract_element(words, ir.Constant(ir.IntType(32), word)),
                        _address(context, builder, array, args[0], place, ir.IntType(32)),
                        align=1,
                    )
                offset = builder.add(offset, args[2])
            return context.get_dummy_value()

        return types.void(array, types.intp, types.intp, _int_lanes), emit

    return store_block


def _fetch_add(typing: Any, array: Any, index: Any, amount: Any) -> Any:
    if not _is_flat(array, types.int64):
        return None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(array)(context, builder, args[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [args[1]]), args[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), emit


load: Callable[[Any, int], Any] = _intrinsic(_load)
"""Sixteen elements of a flat float32, int32 or uint32 array from an index on."""
store: Callable[[Any, int, Any], None] = _intrinsic(_store)
"""Write sixteen elements to a flat array from an index on."""
lane_numbers: Callable[[], IntLanes] = _intrinsic(_lane_numbers)
"""0, 1 ... 15."""
splat: Callable[[float], Lanes] = _intrinsic(_splat_number)
"""One number in all lanes."""
splat_integer: Callable[[int], IntLanes] = _intrinsic(_splat_integer)
"""One integer in all lanes."""
truncate: Callable[[Lanes], IntLanes] = _intrinsic(_truncate)
"""Integers, rounded towards zero; undefined beyond the range of int32."""
to_float: Callable[[IntLanes], Lanes] = _intrinsic(_to_float)
"""The nearest floats."""
bits_of: Callable[[Lanes], IntLanes] = _intrinsic(_bits_of)
"""The bit patterns of floats."""
from_bits: Callable[[IntLanes], Lanes] = _intrinsic(_from_bits)
"""The floats of bit patterns."""
square_root: Callable[[Lanes], Lanes] = _intrinsic(_square_root)
"""Square roots."""
floor: Callable[[Lanes], Lanes] = _intrinsic(_floor)
"""Largest whole numbers not above."""
minimum: Callable[[Lanes | float, Lanes | float], Lanes] = _intrinsic(_minimum)
"""The smaller of two, lane by lane; the second where either is NaN."""
maximum: Callable[[Lanes | float, Lanes | float], Lanes] = _intrinsic(_maximum)
"""The larger of two, lane by lane; the second where either is NaN."""
int_maximum: Callable[[IntLanes, IntLanes], IntLanes] = _intrinsic(_int_maximum)
"""The larger of two, lane by lane."""
int_minimum: Callable[[IntLanes, IntLanes], IntLanes] = _intrinsic(_int_minimum)
"""The smaller of two, lane by lane."""
int_equal: Callable[[IntLanes, IntLanes], LaneMask] = _intrinsic(_int_equal)
"""Where two are equal."""
select: Callable[[LaneMask, Any, Any], Any] = _intrinsic(_select)
"""The first value where the mask is set, else the second."""
largest: Callable[[Lanes], float] = _intrinsic(_largest)
"""The largest lane."""
mask_bits: Callable[[LaneMask], int] = _intrinsic(_mask_bits)
"""Lane i as bit i of an integer."""
sum_each: Callable[[tuple[Lanes, ...]], Lanes] = _intrinsic(_sum_each)
"""Lane i = the sum of the lanes of the i-th of up to sixteen vectors."""
store_records: Callable[[Float32Array, int, tuple[Lanes, ...]], None] = _intrinsic(_store_records)
"""Write up to sixteen columns as sixteen rows of sixteen floats; missing columns become 0."""
load_records: Callable[[Float32Array, int], tuple[Lanes, ...]] = _intrinsic(_load_records)
"""The columns of sixteen rows of sixteen floats."""
load_rows3: Callable[[Float32Array, int], tuple[Lanes, Lanes, Lanes]] = _intrinsic(
    _interleaved_loader(3)
)
"""The columns of sixteen rows of three floats."""
load_rows4: Callable[[Float32Array, int], tuple[Lanes, Lanes, Lanes, Lanes]] = _intrinsic(
    _interleaved_loader(4)
)
"""The columns of sixteen rows of four floats."""
store_rows3: Callable[[Float32Array, int, tuple[Lanes, Lanes, Lanes]], None] = _intrinsic(
    _interleaved_storer(3)
)
"""Write three columns as sixteen rows of three floats."""
store_rows4: Callable[[Float32Array, int, tuple[Lanes, Lanes, Lanes, Lanes]], None] = _intrinsic(
    _interleaved_storer(4)
)
"""Write four columns as sixteen rows of four floats."""
store_block_float: Callable[[Float32Array, int, int, tuple[Lanes, Lanes, Lanes, Lanes]], None] = (
    _intrinsic(_store_block_float)
)
"""Write a 4 x 4 block of four-channel pixels; index of its first float, floats from row to row, the channels."""
load_block_float: Callable[[Float32Array, int, int], tuple[Lanes, Lanes, Lanes, Lanes]] = (
    _intrinsic(_load_block_float)
)
"""Read a 4 x 4 block of four-channel pixels."""
store_block_rgb: Callable[[UInt8Array, int, int, IntLanes], None] = _intrinsic(_pixel_storer(3))
"""Write the low three bytes of each lane as a 4 x 4 block of RGB pixels; index of its first byte, bytes from row to row."""
store_block_rgba: Callable[[UInt8Array, int, int, IntLanes], None] = _intrinsic(_pixel_storer(4))
"""Write the four bytes of each lane as a 4 x 4 block of RGBA pixels."""
fetch_add: Callable[[Any, int, int], int] = _intrinsic(_fetch_add)
"""Add to an element of a flat int64 array, safely between threads; returns what it was before."""
