"""Gradients of the blended picture, front to back again, and of the projection.

The usual backward pass goes back to front. Here a pixel carries `remaining` = gradient . (what the Gaussians further back and
the background add to the pixel); it starts as gradient . pixel and loses each Gaussian's part in turn. So the transmittances, and
which Gaussian is the last, come out exactly as they did in the forward pass.
"""

from __future__ import annotations

import numpy as np

from perse_live.arrays import Float32Array, Int32Array
from perse_live.jit import inline_kernel, kernel
from perse_live.splatting._elementary import exp2
from perse_live.splatting._lanes import (
    LANES,
    LaneMask,
    Lanes,
    bits_of,
    fetch_add,
    from_bits,
    int_equal,
    lane_numbers,
    load,
    load_block_float,
    load_records,
    load_rows3,
    load_rows4,
    maximum,
    minimum,
    select,
    splat,
    splat_integer,
    square_root,
    store,
    store_rows3,
    store_rows4,
    sum_each,
    to_float,
)
from perse_live.splatting._layout import (
    ALPHA_MAX,
    BATCH,
    BLOCK,
    BLOCKS,
    BLUE,
    CHUNK,
    CURVATURE_E,
    CURVATURE_Y,
    EXPONENT_SCALE,
    GREEN,
    LN2,
    LOG2_ALPHA_MIN,
    LOG2_OPACITY,
    MEAN_X,
    MEAN_Y,
    NORM_MIN,
    RECORD,
    RED,
    SIGN_BIT,
    SLOPE,
    STRIPS,
    TILE,
    TRANSMITTANCE_MIN,
    Int64Array,
)
from perse_live.splatting._project import jacobian, rotation_matrix
from perse_live.splatting._tile import (
    Workspace,
    aligned_floats,
    close_finished,
    load_batch,
    make_workspace,
    open_all,
)

_STATE = 6 * LANES
"""Floats per block: transmittance (negative once finished), remaining, gradient by red, green, blue, alpha."""


@inline_kernel
def _load_tile(
    image: Float32Array,
    gradient: Float32Array,
    x0: int,
    y0: int,
    width: int,
    height: int,
    image_border: Float32Array,
    gradient_border: Float32Array,
    state: Float32Array,
) -> None:
    inside = x0 + TILE <= width and y0 + TILE <= height
    if not inside:
        image_border[:] = 0
        gradient_border[:] = 0
        for row in range(min(TILE, height - y0)):
            source = ((y0 + row) * width + x0) * 4
            for k in range(min(TILE, width - x0) * 4):
                image_border[row * TILE * 4 + k] = image[source + k]
                gradient_border[row * TILE * 4 + k] = gradient[source + k]
    one = splat(1.0)
    for block in range(BLOCKS):
        at = block * _STATE
        if inside:
            source = ((y0 + block // STRIPS * BLOCK) * width + x0 + block % STRIPS * BLOCK) * 4
            pixel = load_block_float(image, source, 4 * width)
            by_pixel = load_block_float(gradient, source, 4 * width)
        else:
            source = (block // STRIPS * TILE + block % STRIPS) * BLOCK * 4
            pixel = load_block_float(image_border, source, 4 * TILE)
            by_pixel = load_block_float(gradient_border, source, 4 * TILE)
        store(state, at, one)
        store(
            state,
            at + LANES,
            pixel[0] * by_pixel[0]
            + pixel[1] * by_pixel[1]
            + pixel[2] * by_pixel[2]
            + pixel[3] * by_pixel[3],
        )
        store(state, at + 2 * LANES, by_pixel[0])
        store(state, at + 3 * LANES, by_pixel[1])
        store(state, at + 4 * LANES, by_pixel[2])
        store(state, at + 5 * LANES, by_pixel[3])


@kernel
def blend_tile_backward(
    tile: int,
    tiles_across: int,
    starts: Int32Array,
    ends: Int32Array,
    entries: Int32Array,
    records: Float32Array,
    state: Float32Array,
    work: Workspace,
    sums: Float32Array,
) -> None:
    """Add the tile's part to `sums` ((G * RECORD,)); state: as laid out by `_load_tile`, overwritten.

    With d = d loss / d alpha * alpha at each pixel, sums are d, d e, d dy, d e^2, d e dy, d dy^2, then d loss / d colour.
    """
    open_all(work)
    zero = splat(0.0)
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
            sum_1, sum_e, sum_y, sum_ee, sum_ey, sum_yy = zero, zero, zero, zero, zero, zero
            sum_red, sum_green, sum_blue = zero, zero, zero
            for strip in range(strips[2 * k], strips[2 * k + 1]):
                dy = lane_y + (np.float32(BLOCK * strip) - mean_y)
                constant = log2_opacity + curvature_y * dy * dy
                strip_1, strip_e = zero, zero
                first, last = spans[k * LANES + strip], spans[k * LANES + STRIPS + strip]
                e = lane_x + (np.float32(BLOCK * (first - 1)) - mean_x) - slope * dy
                for block in range(first, last + 1):
                    at = (strip * STRIPS + block) * _STATE
                    e = e + BLOCK
                    power = constant + curvature_e * e * e
                    unclamped = exp2(power)
                    alpha = select(power >= LOG2_ALPHA_MIN, minimum(unclamped, ALPHA_MAX), zero)
                    before = load(state, at)
                    after = before - alpha * before
                    goes_on = after > TRANSMITTANCE_MIN
                    weight = select(goes_on, alpha * before, zero)
                    store(state, at, select(goes_on, after, from_bits(bits_of(before) | SIGN_BIT)))
                    by_red, by_green = load(state, at + 2 * LANES), load(state, at + 3 * LANES)
                    by_blue, by_alpha = load(state, at + 4 * LANES), load(state, at + 5 * LANES)
                    by_weight = by_red * red + by_green * green + by_blue * blue + by_alpha
                    remaining = load(state, at + LANES) - weight * by_weight
                    store(state, at + LANES, remaining)
                    d = select(
                        goes_on & (unclamped <= ALPHA_MAX),
                        alpha * (before * by_weight - remaining / (1.0 - alpha)),
                        zero,
                    )
                    strip_1 = strip_1 + d
                    strip_e = strip_e + d * e
                    sum_ee = sum_ee + d * e * e
                    sum_red = sum_red + weight * by_red
                    sum_green = sum_green + weight * by_green
                    sum_blue = sum_blue + weight * by_blue
                sum_1 = sum_1 + strip_1
                sum_e = sum_e + strip_e
                sum_y = sum_y + strip_1 * dy
                sum_ey = sum_ey + strip_e * dy
                sum_yy = sum_yy + strip_1 * dy * dy
            total = sum_each(
                (sum_1, sum_e, sum_y, sum_ee, sum_ey, sum_yy, sum_red, sum_green, sum_blue)
            )
            row: int = entries[begin + k] * RECORD
            store(sums, row, load(sums, row) + total)
        if close_finished(state, _STATE, work):
            break


@kernel
def blend_backward(
    claims: Int64Array,
    claim: int,
    parts: int,
    width: int,
    height: int,
    starts: Int32Array,
    ends: Int32Array,
    entries: Int32Array,
    records: Float32Array,
    image: Float32Array,
    gradient: Float32Array,
    sums: Float32Array,
) -> None:
    """Gradients by what the records hold, part after part until none is left to claim.

    Part p of `parts` is the tiles p, p + parts ... and adds to sums[p] ((parts, G * RECORD), any content before), so that the
    result does not depend on which thread took which part. image: (H * W * 4,) as blended; gradient: (H * W * 4,) by it.
    """
    tiles_across = (width + TILE - 1) // TILE
    state, work = aligned_floats(BLOCKS * _STATE), make_workspace()
    image_border, gradient_border = aligned_floats(TILE * TILE * 4), aligned_floats(TILE * TILE * 4)
    while True:
        part = fetch_add(claims, claim, 1)
        if part >= parts:
            break
        sums[part] = 0
        # neighbouring tiles cost alike: dealing them out in turn, shifted by one from row to row, gives equal parts
        for tile in range(starts.shape[0]):
            if (tile + tile // tiles_across * (tiles_across + 1)) % parts == part and starts[
                tile
            ] < ends[tile]:
                x0, y0 = tile % tiles_across * TILE, tile // tiles_across * TILE
                _load_tile(
                    image, gradient, x0, y0, width, height, image_border, gradient_border, state
                )
                blend_tile_backward(
                    tile, tiles_across, starts, ends, entries, records, state, work, sums[part]
                )


@inline_kernel
def _seen(unseen: LaneMask, value: Lanes) -> Lanes:
    """The value, or 0 for Gaussians that are not seen, whose records may hold anything."""
    return select(unseen, splat(0.0), value)


@inline_kernel
def _dot(a: tuple[Lanes, Lanes, Lanes], b: tuple[Lanes, Lanes, Lanes]) -> Lanes:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inline_kernel
def _by_unit_quaternion(
    w: Lanes,
    x: Lanes,
    y: Lanes,
    z: Lanes,
    v0: tuple[Lanes, Lanes, Lanes],
    v1: tuple[Lanes, Lanes, Lanes],
    v2: tuple[Lanes, Lanes, Lanes],
) -> tuple[Lanes, Lanes, Lanes, Lanes]:
    """Gradient by unit quaternions, from the gradient by the rows of their rotation matrices."""
    return (
        2.0 * (x * (v2[1] - v1[2]) + y * (v0[2] - v2[0]) + z * (v1[0] - v0[1])),
        2.0
        * (
            y * (v0[1] + v1[0])
            + z * (v0[2] + v2[0])
            + w * (v2[1] - v1[2])
            - 2.0 * x * (v1[1] + v2[2])
        ),
        2.0
        * (
            x * (v0[1] + v1[0])
            + z * (v1[2] + v2[1])
            + w * (v0[2] - v2[0])
            - 2.0 * y * (v0[0] + v2[2])
        ),
        2.0
        * (
            x * (v0[2] + v2[0])
            + y * (v1[2] + v2[1])
            + w * (v1[0] - v0[1])
            - 2.0 * z * (v0[0] + v1[1])
        ),
    )


@kernel
def project_backward(
    claims: Int64Array,
    claim: int,
    means: Float32Array,
    quats: Float32Array,
    scales: Float32Array,
    opacities: Float32Array,
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    width: int,
    height: int,
    records: Float32Array,
    rectangles: Int32Array,
    sums: Float32Array,
    by_means: Float32Array,
    by_quats: Float32Array,
    by_scales: Float32Array,
    by_opacities: Float32Array,
    by_colors: Float32Array,
) -> None:
    """Gradients by the Gaussians, chunk after chunk until none is left to claim; arrays as in `project_chunks`.

    sums: (parts, G * RECORD) from `blend_backward`. Written: by_means ... by_colors, flat, 0 for Gaussians that are not seen.
    """
    count = opacities.shape[0]
    total = aligned_floats(LANES * RECORD)
    zero = splat(0.0)
    while True:
        chunk = fetch_add(claims, claim, 1)
        begin = chunk * CHUNK
        if begin >= count:
            break
        for group in range(begin, min(begin + CHUNK, count), LANES):
            # The last sixteen may overlap the ones before, and are then written twice alike
            start = min(group, count - LANES)
            for row in range(LANES):
                at = (start + row) * RECORD
                row_sum = load(sums[0], at)
                for part in range(1, sums.shape[0]):
                    row_sum = row_sum + load(sums[part], at)
                store(total, row * RECORD, row_sum)
            total_columns = load_records(total, 0)
            sum_1, sum_e, sum_y, sum_ee, sum_ey, sum_yy, by_red, by_green, by_blue = total_columns[
                :9
            ]
            record_columns = load_records(records, start * RECORD)
            curvature_e, curvature_y = record_columns[CURVATURE_E], record_columns[CURVATURE_Y]
            slope = record_columns[SLOPE]
            unseen = int_equal(load(rectangles, start), splat_integer(-1))

            # alpha = 2^power, power = log2 opacity + curvature_e e^2 + curvature_y dy^2, e = dx - slope dy
            by_pixel_x = -LN2 * 2.0 * curvature_e * sum_e
            by_pixel_y = -LN2 * 2.0 * curvature_y * sum_y - slope * by_pixel_x
            # by the projected covariance ((sxx, sxy), (sxy, syy)): slope = sxy / syy, curvature_y = k / syy and
            # curvature_e = k / variance with variance = sxx - sxy^2 / syy, d variance = dsxx - 2 slope dsxy + slope^2 dsyy
            inverse_syy, inverse_variance = (
                (1 / EXPONENT_SCALE) * curvature_y,
                (1 / EXPONENT_SCALE) * curvature_e,
            )
            by_variance = -LN2 * sum_ee * curvature_e * inverse_variance
            by_slope = -LN2 * 2.0 * curvature_e * sum_ey
            # twice the symmetric gradient matrix
            hxx = 2.0 * by_variance
            hxy = by_slope * inverse_syy - 2.0 * slope * by_variance
            hyy = 2.0 * (
                slope * slope * by_variance
                - inverse_syy * (slope * by_slope + LN2 * sum_yy * curvature_y)
            )

            x, y, z = load_rows3(means, 3 * start)
            qw, qx, qy, qz = load_rows4(quats, 4 * start)
            s0, s1, s2 = load_rows3(scales, 3 * start)
            unit = 1.0 / square_root(maximum(qw * qw + qx * qx + qy * qy + qz * qz, NORM_MIN))
            qw, qx, qy, qz = qw * unit, qx * unit, qy * unit, qz * unit
            r0, r1, r2 = rotation_matrix(qw, qx, qy, qz)
            inverse_z = 1.0 / z
            jx, jxz, jy, jyz, u, v = jacobian(x, y, inverse_z, fx, fy, cx, cy, width, height)
            tx0, tx1, tx2 = (
                jx * r0[0] + jxz * r2[0],
                jx * r0[1] + jxz * r2[1],
                jx * r0[2] + jxz * r2[2],
            )
            ty0, ty1, ty2 = (
                jy * r1[0] + jyz * r2[0],
                jy * r1[1] + jyz * r2[1],
                jy * r1[2] + jyz * r2[2],
            )
            # S = sum_i s_i^2 t_i t_i^T + eps I, with t_i the columns of T = J R
            gx0, gx1, gx2 = hxx * tx0 + hxy * ty0, hxx * tx1 + hxy * ty1, hxx * tx2 + hxy * ty2
            gy0, gy1, gy2 = hxy * tx0 + hyy * ty0, hxy * tx1 + hyy * ty1, hxy * tx2 + hyy * ty2
            by_s0, by_s1, by_s2 = (
                s0 * (gx0 * tx0 + gy0 * ty0),
                s1 * (gx1 * tx1 + gy1 * ty1),
                s2 * (gx2 * tx2 + gy2 * ty2),
            )
            by_tx = (s0 * s0 * gx0, s1 * s1 * gx1, s2 * s2 * gx2)
            by_ty = (s0 * s0 * gy0, s1 * s1 * gy1, s2 * s2 * gy2)

            by_r0 = (jx * by_tx[0], jx * by_tx[1], jx * by_tx[2])
            by_r1 = (jy * by_ty[0], jy * by_ty[1], jy * by_ty[2])
            by_r2 = (
                jxz * by_tx[0] + jyz * by_ty[0],
                jxz * by_tx[1] + jyz * by_ty[1],
                jxz * by_tx[2] + jyz * by_ty[2],
            )
            by_w, by_x, by_y, by_z = _by_unit_quaternion(qw, qx, qy, qz, by_r0, by_r1, by_r2)
            along = by_w * qw + by_x * qx + by_y * qy + by_z * qz  # length has no effect

            by_jx, by_jxz, by_jy, by_jyz = (
                _dot(by_tx, r0),
                _dot(by_tx, r2),
                _dot(by_ty, r1),
                _dot(by_ty, r2),
            )
            raw_u, raw_v = x * inverse_z, y * inverse_z
            # Clamped: the Jacobian stays
            by_u = fx * by_pixel_x - select((u >= raw_u) & (u <= raw_u), jx * by_jxz, zero)
            by_v = fy * by_pixel_y - select((v >= raw_v) & (v <= raw_v), jy * by_jyz, zero)
            by_depth = -inverse_z * (
                jx * by_jx + jxz * by_jxz + jy * by_jy + jyz * by_jyz + by_u * raw_u + by_v * raw_v
            )

            store_rows3(
                by_means,
                3 * start,
                (
                    _seen(unseen, by_u * inverse_z),
                    _seen(unseen, by_v * inverse_z),
                    _seen(unseen, by_depth),
                ),
            )
            store_rows4(
                by_quats,
                4 * start,
                (
                    _seen(unseen, unit * (by_w - along * qw)),
                    _seen(unseen, unit * (by_x - along * qx)),
                    _seen(unseen, unit * (by_y - along * qy)),
                    _seen(unseen, unit * (by_z - along * qz)),
                ),
            )
            store_rows3(
                by_scales,
                3 * start,
                (_seen(unseen, by_s0), _seen(unseen, by_s1), _seen(unseen, by_s2)),
            )
            store(by_opacities, start, _seen(unseen, sum_1 / load(opacities, start)))
            store_rows3(by_colors, 3 * start, (by_red, by_green, by_blue))
